"""The StatsD handler, against a real socket."""

import socket
from collections.abc import Iterator

import pytest

from middleware.metrics.statsd import StatsdHandler


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A socket that hears what a StatsD server would."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        bound.settimeout(5)
        yield bound


def test_datadog_gets_tags(server: socket.socket) -> None:
    """Labels become tags, and seconds milliseconds."""
    handler = StatsdHandler("127.0.0.1", server.getsockname()[1])

    handler("counter", "attempts_total", 1, {"actor": "resize", "outcome": "failed"})
    handler("gauge", "queue_depth", 12, {"queue": "images"})
    handler("timer", "attempt_seconds", 0.25, {})

    assert [server.recv(2000) for _ in range(3)] == [
        b"pressroom.attempts_total:1|c|#actor:resize,outcome:failed",
        b"pressroom.queue_depth:12|g|#queue:images",
        b"pressroom.attempt_seconds:250|ms",
    ]
    handler.close()


def test_a_server_without_tags_gets_names(server: socket.socket) -> None:
    """The values of labels become parts of the name, and a gauge below zero is no difference."""
    handler = StatsdHandler("127.0.0.1", server.getsockname()[1], tags="name", prefix="")

    handler("counter", "attempts_total", 2, {"actor": "resize.big", "outcome": "failed"})
    handler("gauge", "drift", -1.5, {})

    assert [server.recv(2000) for _ in range(3)] == [
        b"attempts_total.resize_big.failed:2|c",
        b"drift:0|g",
        b"drift:-1.5|g",
    ]
    handler.close()


def test_labels_cannot_break_out_of_the_protocol(server: socket.socket) -> None:
    """Whatever a value holds, it stays one value of one metric."""
    handler = StatsdHandler("127.0.0.1", server.getsockname()[1])

    handler("counter", "jobs", 1, {"actor": "a|c\nfake:1|g|#x,y:z"})

    assert server.recv(2000) == b"pressroom.jobs:1|c|#actor:a_c_fake_1_g__x_y_z"
    handler.close()


def test_nobody_listening_costs_nothing_but_the_value() -> None:
    """A server that is away neither blocks nor raises; what the socket does not take is counted."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        port = gone.getsockname()[1]
    handler = StatsdHandler("127.0.0.1", port)

    handler("counter", "jobs", 1, {})
    assert handler.dropped == 0  # UDP does not tell
    handler.close()
    handler("counter", "jobs", 1, {})

    assert handler.dropped == 1


def test_a_way_to_tag_that_does_not_exist_is_refused() -> None:
    """The mistake is named where it was made."""
    with pytest.raises(ValueError, match="tags must be 'datadog' or 'name', not 'influx'"):
        StatsdHandler(tags="influx")  # type: ignore[arg-type]
