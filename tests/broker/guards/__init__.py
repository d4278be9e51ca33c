"""Our guards on the fair broker: a handful of their own suites, run again here."""
