"""Publishes how far a running job has come."""
