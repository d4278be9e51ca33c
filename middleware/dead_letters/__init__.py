"""Keeps every message that failed for good, whole, until somebody replays or deletes it."""
