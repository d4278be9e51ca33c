"""HTTP to the outside: requests, the check of addresses, signed links."""
