"""Counts and times attempts and queues for Prometheus, StatsD or CloudWatch."""
