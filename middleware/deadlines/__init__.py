"""Ends jobs that run too long or come too late, and processes that no longer react."""
