"""The shard on which promises about single transitions are looked at."""

from tests.broker.model.conftest import fleet, quiet_server
from tests.broker.test_full_server import server
from tests.broker.test_script_bounds import own_server, played

__all__ = ["fleet", "own_server", "played", "quiet_server", "server"]
