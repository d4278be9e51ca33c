"""Pauses."""
