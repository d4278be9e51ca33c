"""The shard on which promises about single transitions are looked at."""

from tests.broker.model.conftest import fleet, quiet_server
from tests.broker.test_full_server import server

__all__ = ["fleet", "quiet_server", "server"]
