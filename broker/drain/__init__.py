"""Moves the messages of Dramatiq's own Redis broker over to ours."""
