"""Region concurrency."""
