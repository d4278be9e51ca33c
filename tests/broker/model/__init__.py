"""A model of the state machine, run against the real scripts."""
