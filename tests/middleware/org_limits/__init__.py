"""Org limits."""
