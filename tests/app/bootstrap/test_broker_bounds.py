"""How much an org and a queue may hold on the platform, unless somebody says otherwise."""

import pytest

from app.bootstrap.broker import build_broker
from app.settings import Settings
from broker.sending import Bounds

MIB = 1024 * 1024


def bounds(settings: Settings) -> Bounds:
    """What the platform's broker refuses."""
    broker = build_broker(settings)
    try:
        return broker._enqueuer._sender._bounds
    finally:
        broker.close()


def test_an_org_and_a_queue_are_bounded_by_default() -> None:
    """In jobs and in bytes: one tenant's flood does not fill the server."""
    found = bounds(Settings())

    assert (found.max_org_depth, found.max_queue_depth) == (100_000, 1_000_000)
    assert (found.max_org_bytes, found.max_queue_bytes) == (256 * MIB, 2_048 * MIB)


@pytest.mark.parametrize("name", ["max_org_depth", "max_queue_depth", "max_org_bytes", "max_queue_bytes"])
def test_a_bound_of_0_is_none(name: str) -> None:
    """Each for itself."""
    found = bounds(Settings.model_validate({name: 0}))

    assert [each for each, bound in vars(found).items() if bound is None] == [name]
