"""What the broker promises, beside what Dramatiq's own Redis broker does in the same scenario; both are run."""
