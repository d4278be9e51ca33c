"""Adapts how many jobs a process runs to its error rate and backlog."""
