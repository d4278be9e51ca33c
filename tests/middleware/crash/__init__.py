"""Guards in whole worker processes that are killed and frozen by real signals."""
