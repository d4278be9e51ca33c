"""HookedBroker metrics: the one call that whoever has a number makes."""

import logging
import threading
from collections.abc import Iterator, Mapping
from uuid import uuid4

import pytest

from middleware import emit_counter, emit_gauge, emit_metric, emit_timer, remove_metric_handler
from middleware.base.emit import Kind
from tests.middleware.recorded_metrics import Emitted, handling


@pytest.fixture
def emitted() -> Iterator[Emitted]:
    """A handler that hears everything."""
    handler = Emitted()
    with handling(handler):
        yield handler


@pytest.fixture
def name() -> str:
    """A metric that nothing else emits."""
    return f"m{uuid4().hex}"


def broken(kind: Kind, name: str, value: float, labels: Mapping[str, str]) -> None:
    """A handler that never works."""
    raise RuntimeError("the monitoring is down")


def test_every_handler_gets_every_value(emitted: Emitted, name: str) -> None:
    """Counters, gauges and timers reach each handler with kind, name, value and labels."""
    other = Emitted()
    with handling(other):
        emit_counter(name, {"actor": "resize"})
        emit_counter(name, by=3)
        emit_gauge(name, 7.5, {"queue": "images"})
        emit_metric("timer", name, 0.25)

    expected = [
        ("counter", name, 1, {"actor": "resize"}),
        ("counter", name, 3, {}),
        ("gauge", name, 7.5, {"queue": "images"}),
        ("timer", name, 0.25, {}),
    ]
    assert [each for each in emitted.values if each[1] == name] == expected
    assert [each for each in other.values if each[1] == name] == expected


def test_a_broken_handler_breaks_neither_the_caller_nor_other_handlers(
    emitted: Emitted, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What a handler raises is logged once, however often it fails, and whoever emits goes on."""
    later = Emitted()
    with caplog.at_level(logging.ERROR), handling(broken), handling(later):
        emit_counter(name)
        emit_counter(name)

    assert emitted.of(name) == later.of(name) == [1, 1]
    assert [record.name for record in caplog.records] == ["middleware.base.emit"]


def test_a_handler_that_was_removed_hears_no_more(emitted: Emitted, name: str) -> None:
    """Removing takes effect at once, and may be done twice."""
    remove_metric_handler(emitted)
    remove_metric_handler(emitted)

    emit_counter(name)

    assert emitted.of(name) == []


def test_a_timer_measures_its_block_also_when_it_raises(emitted: Emitted, name: str) -> None:
    """Failures take time as well."""
    with pytest.raises(ValueError, match="no"), emit_timer(name, {"format": "csv"}):
        raise ValueError("no")

    ((kind, _, seconds, labels),) = [each for each in emitted.values if each[1] == name]
    assert (kind, labels) == ("timer", {"format": "csv"})
    assert 0 <= seconds < 5


def test_values_from_many_threads_all_arrive(emitted: Emitted, name: str) -> None:
    """HookedBroker needs no care about threads."""

    def count() -> None:
        for _ in range(100):
            emit_counter(name)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(emitted.of(name)) == 800
