"""A hostile tenant, a producer that errs, a remote service that misbehaves."""
