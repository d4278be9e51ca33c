"""Pauses on the command line: how long one lasts, and how one is shown."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from app.cli.durations import duration_s
from middleware import Pause

For = Annotated[str | None, typer.Option("--for", help="End by itself after so long, like 30m or 2h.")]


def for_ms(lasting: str | None) -> int | None:
    """Milliseconds of the option `--for`; None without it.

    Raises:
        BadParameter: it is no length of time.
    """
    return None if lasting is None else duration_s(lasting, "--for") * 1_000


def paused_row(pause: Pause) -> dict[str, object]:
    """For people."""
    return {
        "what": str(pause.what),
        "by": pause.who,
        "reason": pause.reason,
        "since": _moment(pause.since_ms),
        "until": "it is resumed" if pause.until_ms is None else _moment(pause.until_ms),
    }


def paused_as_json(pause: Pause) -> dict[str, object]:
    """For scripts."""
    named = {"queue": pause.what.queue, "actor": pause.what.actor, "org": pause.what.org}
    times = {"since_ms": pause.since_ms, "until_ms": pause.until_ms}
    return {**named, "who": pause.who, "reason": pause.reason, **times}


def _moment(epoch_ms: int) -> datetime:
    return datetime.fromtimestamp(epoch_ms / 1_000, UTC)
