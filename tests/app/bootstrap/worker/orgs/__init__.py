"""Weight, limits and region of orgs, from their table to where it is decided by."""
