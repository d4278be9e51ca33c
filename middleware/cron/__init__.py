"""Sends actors on schedule, each tick once in the fleet."""
