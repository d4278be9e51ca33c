"""Deliberately broken scripts, each with the test that has to find it."""
