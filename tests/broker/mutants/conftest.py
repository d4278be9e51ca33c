"""The shard on which promises about single transitions are looked at."""

from tests.broker.model.conftest import fleet, quiet_server

__all__ = ["fleet", "quiet_server"]
