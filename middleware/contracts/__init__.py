"""Checks payloads against pydantic models when they are sent and before they run, across versions."""
