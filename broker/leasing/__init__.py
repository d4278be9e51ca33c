"""Fetches messages under leases, runs them by Dramatiq, and reports their ends."""
