"""Bounds how many jobs of an org run at once, and how often they start."""
