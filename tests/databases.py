"""A database that a test was given."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Database:
    """One database of the embedded server, under both roles."""

    owner_url: str
    worker_url: str
