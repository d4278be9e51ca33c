"""Runs what is sent twice once."""
