"""Cancels jobs that wait or run, one by its id or many by a filter."""
