"""Wires each job: its handler with the adapters it needs."""
