"""Worlds to kill workers in, made once a module."""

from collections.abc import Callable, Iterator, Sequence

import pytest

from tests.crash.kill_kit import Slot, slots
from tests.crash.seeds import SECRET_KEY
from tests.databases import Database
from tests.middleware.own_server import own_valkey


@pytest.fixture(scope="package")
def worlds(
    new_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sequence[Slot]]:
    """Four of them."""
    settings = {
        "log_level": "WARNING",
        "secret_keys": [SECRET_KEY],
        # What a killed worker leaves behind runs out as fast as its messages come back.
        "slot_lease_s": 1.5,
        "publish_lease_s": 2,
        "publish_allow_http": True,
        "publish_allowed_networks": ["127.0.0.0/8"],
    }
    with (
        own_valkey() as valkey,
        slots(new_database, valkey.url, tmp_path_factory.mktemp("worlds"), settings) as made,
    ):
        yield made
