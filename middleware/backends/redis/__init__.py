"""Stores in Redis or Valkey, shared by every process. The only place of the library that imports redis."""
