"""Where guards keep what they know: in memory, for one process and for tests, or in Redis, for a fleet."""
