"""Servers that take each other's place: behind one address, and by Sentinel."""
