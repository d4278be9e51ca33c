"""Parks jobs while a remote service they need is failing, without using a retry."""
