"""The log of a test: one stream for everything, and logging as it was before when the test is over."""

import io
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from middleware.logs.format import configure_logging


class Lines:
    """What was logged, as a program reading the log sees it."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def text(self) -> str:
        """All of it."""
        return self.stream.getvalue()

    @property
    def objects(self) -> list[dict[str, Any]]:
        """One object for each line."""
        return [json.loads(row) for row in self.text.splitlines()]

    def with_event(self, part: str) -> list[dict[str, Any]]:
        """The lines that say this."""
        return [each for each in self.objects if part in each["event"]]


@contextmanager
def configured(*, as_json: bool = True, level: str = "DEBUG") -> Iterator[Lines]:
    """Logging as `configure_logging` sets it up, for as long as the context is."""
    root = logging.getLogger()
    handlers, before, hook = root.handlers[:], root.level, threading.excepthook
    # `basicConfig(force=True)` closes what it removes, and pytest's own handlers are needed after.
    root.handlers[:] = []
    lines = Lines()
    configure_logging(json=as_json, level=level, stream=lines.stream)
    try:
        yield lines
    finally:
        root.handlers[:] = handlers
        root.setLevel(before)
        threading.excepthook = hook
        logging.captureWarnings(False)
        structlog.reset_defaults()
