"""What becomes of messages when worker processes are killed or frozen."""
