"""Object stores, and the media kept in them."""
