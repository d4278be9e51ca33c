"""Records each attempt at each message, and what it returned."""
