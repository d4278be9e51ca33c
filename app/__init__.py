"""The composition root: settings, wiring, command line, embedded servers."""
