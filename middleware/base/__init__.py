"""What every guard stands on; it knows none of them."""
