"""The domain's ports on real technology: PostgreSQL, HTTP, object stores, providers of ideas."""
