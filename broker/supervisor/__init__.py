"""Keeps worker processes running and replaces those that die."""
