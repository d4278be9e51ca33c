"""What an older release left behind is read by this one."""
