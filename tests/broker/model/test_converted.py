"""What a release left that counted no bytes."""

import pytest

from tests.broker.model.converted import count_bytes
from tests.broker.model.draining import drain
from tests.broker.model.fleet import Fleet
from tests.broker.model.messages import Messages

pytestmark = pytest.mark.slow


def test_what_is_converted_is_counted_once(fleet: Fleet) -> None:
    """With its mark, however often it is converted; nothing is left of it when all is done."""
    message = Messages()
    fleet.send([message() for _ in range(9)])
    marks = [header.enqueue_id for header in fleet.state.records.values() if header.enqueue_id[:1] != "."]

    count_bytes(fleet)
    count_bytes(fleet)

    assert len(marks) == 2
    assert fleet.state.numbers("by") == dict.fromkeys(("q:q", "o:a"), sum(fleet.state.sizes.values()))
    drain(fleet)
    assert fleet.state.numbers("by") == {}
