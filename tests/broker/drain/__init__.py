"""Taking over what lies in Dramatiq's own Redis broker."""
