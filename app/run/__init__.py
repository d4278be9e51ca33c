"""Runs the platform: servers, workers, web endpoint, probe and doctor."""
