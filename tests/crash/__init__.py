"""What is left of a job whose worker was killed, or frozen, after any one of its calls."""
