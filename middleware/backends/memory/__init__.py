"""Stores in this process's memory: for tests, for one process, and the plainest statement of what a store does."""
