"""Gives every log line of a job its ids, and hides payloads."""
