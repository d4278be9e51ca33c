"""Redaction of log records, as every handler sees them."""

import logging
from collections.abc import Iterator

import dramatiq
import pytest
from dramatiq.errors import BrokerConnectionError

from middleware import Guard
from middleware.logs.format import log_formatter
from middleware.logs.redaction import LogRedaction, summary, trace

SECRET = "correct-horse-battery-staple"


@pytest.fixture
def redaction() -> Iterator[LogRedaction]:
    """Held for the test."""
    redaction = LogRedaction()
    redaction.hold()
    yield redaction
    redaction.release()


def record_of(
    name: str, message: str, *args: object, error: BaseException | None = None
) -> logging.LogRecord:
    """A record as `logging` makes it."""
    info = None if error is None else (type(error), error, error.__traceback__)
    return logging.getLogger(name).makeRecord(name, logging.ERROR, "x.py", 1, message, args, info)


def test_messages_among_arguments_are_named_on_every_logger(redaction: LogRedaction) -> None:
    """A payload is not logged by accident, whoever logs the message."""
    message: dramatiq.Message[object] = dramatiq.Message(
        queue_name="q", actor_name="job", args=(SECRET,), kwargs={}, options={}
    )

    assert record_of("anybody", "%s", message).getMessage() == f"job[{message.message_id}]"
    assert record_of("anybody", "%(m)s", {"m": message}).getMessage() == f"job[{message.message_id}]"


def test_a_value_in_an_option_is_not_repeated(redaction: LogRedaction) -> None:
    """Dramatiq quotes an `eta` that is no time; here it does not."""
    template = "Invalid eta value for message %r: %r. Setting eta to current_millis()."

    text = record_of("dramatiq.worker.ConsumerThread(q)", template, "the-id", SECRET).getMessage()

    assert text == "Invalid eta value for message 'the-id'. Setting eta to current_millis()."


def test_tracebacks_of_the_guards_themselves_lose_their_text(redaction: LogRedaction) -> None:
    """Whichever room of the library writes the record, an error that it logs may quote a payload."""
    record = record_of(Guard.__module__, "x", error=ValueError(SECRET))

    assert record.exc_info is None
    assert SECRET not in logging.Formatter().format(record)


def test_tracebacks_lose_their_text_where_dramatiq_and_its_like_write_them(redaction: LogRedaction) -> None:
    """A record of Dramatiq's has no exception any more; a stranger's is left as it is."""
    error = ValueError(SECRET)

    ours, theirs = record_of("asyncio", "x", error=error), record_of("anybody", "x", error=error)

    assert ours.exc_info is None
    assert SECRET not in logging.Formatter().format(ours)
    assert theirs.exc_info is not None


def test_an_exception_among_arguments_is_named(redaction: LogRedaction) -> None:
    """Dramatiq writes some errors into the line itself, without a traceback."""
    text = record_of("dramatiq.worker.WorkerThread", "exceeded: %s.", ValueError(SECRET)).getMessage()

    assert text.startswith("exceeded: ValueError [unknown ")
    assert SECRET not in text


def test_a_lost_connection_may_say_so(redaction: LogRedaction) -> None:
    """What Dramatiq says of its own connection is what an operator needs, and holds nothing of a job."""
    error = BrokerConnectionError("connection refused")  # type: ignore[no-untyped-call]

    text = record_of("dramatiq.worker.ConsumerThread(q)", "a connection error: %s", error).getMessage()

    assert "connection refused" in text


def test_an_exception_that_cannot_be_shown_does_not_fail_the_row(redaction: LogRedaction) -> None:
    """Logging never raises into the work, and what cannot be checked is not written."""

    class Hostile(Exception):
        category = "network"

        def __str__(self) -> str:
            raise RuntimeError(SECRET)

    record = record_of("dramatiq", "x %s", SECRET, error=Hostile())

    assert logging.Formatter().format(record) == "A line that could not be redacted."


def test_redactions_may_overlap() -> None:
    """Two workers in a process end in any order, and then the factory is the old one or does nothing."""
    factory = logging.getLogRecordFactory()
    first, second = LogRedaction(), LogRedaction(["anybody"])
    first.hold()
    second.hold()
    first.release()
    assert record_of("anybody", "x", error=ValueError(SECRET)).exc_info is None
    second.release()

    assert record_of("anybody", "x", error=ValueError(SECRET)).exc_info is not None
    assert record_of("dramatiq", "x", error=ValueError(SECRET)).exc_info is not None
    logging.setLogRecordFactory(factory)


def test_what_led_to_an_error_is_reported_by_class() -> None:
    """Causes, contexts, groups and notes are followed without a word of theirs."""
    error = ValueError(SECRET)
    error.__cause__ = ExceptionGroup(SECRET, [KeyError(SECRET)])
    error.__cause__.add_note(SECRET)

    lines = [*trace(error), summary(error)]

    assert any(row.startswith("because of ExceptionGroup [unknown ") for row in lines)
    assert any(row.startswith("with KeyError [unknown ") for row in lines)
    assert SECRET not in "\n".join(lines)


def test_a_circle_of_causes_ends() -> None:
    """Nothing an exception points at can hang the log."""
    first, second = ValueError("a"), KeyError("b")
    first.__cause__, second.__cause__ = second, first

    assert len(list(trace(first))) == 1


def test_the_formatter_serves_ones_own_handlers() -> None:
    """`log_formatter` writes JSON wherever it is hung up."""
    record = record_of("anybody", "hello %s", "you")

    assert '"event": "hello you"' in log_formatter().format(record)
