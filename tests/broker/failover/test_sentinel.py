"""A primary that ends or freezes under load: Sentinel promotes a replica, and everybody goes on with that."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.broker.failover.servers import watched
from tests.middleware.crash.scenario import ROOT
from tests.middleware.eventually import eventually

pytestmark = pytest.mark.slow

#: From the promotion to the first send that returns and the first job that runs, in seconds.
BACK_S = {"kill": 3.0, "freeze": 5.0}


@pytest.mark.parametrize("ending", ["kill", "freeze"])
def test_a_primary_that_is_lost_under_load_costs_seconds_and_no_message(tmp_path: Path, ending: str) -> None:
    """Nothing that a send returned for is missing, and nothing runs twice."""
    sends, runs = tmp_path / "sends", tmp_path / "runs"
    with watched() as servers, host("work", servers.url, runs), ExitStack() as sending:
        sending.enter_context(host("send", servers.url, sends))
        assert eventually(lambda: len(numbers(runs, "")) > 100)

        getattr(servers.primary, ending)()
        promoted_s = servers.await_promotion()

        sent_s, ran_s = first_after(sends, "=", promoted_s), first_after(runs, "", promoted_s)
        before = len(numbers(runs, ""))
        assert eventually(lambda: len(numbers(runs, "")) > before + 100)
        sending.close()

        returned = set(numbers(sends, "="))
        assert eventually(lambda: returned <= set(numbers(runs, "")))
        ran = numbers(runs, "")
        assert len(ran) == len(set(ran))
        assert sent_s - promoted_s < BACK_S[ending]
        assert ran_s - promoted_s < BACK_S[ending]


@contextmanager
def host(what: str, url: str, book: Path) -> Iterator[None]:
    """A process that keeps a book; stopped in order with the block."""
    book.touch()
    command = [sys.executable, "-m", "tests.broker.failover.work_host", what, url, str(book)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) as process:
        try:
            yield
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(20)
            finally:
                process.kill()


def numbers(book: Path, mark: str) -> list[int]:
    """All that stand there with this mark, in order."""
    return [number for number, _ in _lines(book, mark)]


def first_after(book: Path, mark: str, moment_s: float) -> float:
    """Wait for a line with this mark that is written after a moment. Returns when, by the monotonic clock."""
    assert eventually(lambda: any(when_s > moment_s for _, when_s in _lines(book, mark)))
    return next(when_s for _, when_s in _lines(book, mark) if when_s > moment_s)


def _lines(book: Path, mark: str) -> Iterator[tuple[int, float]]:
    for row in book.read_text().splitlines(keepends=True):
        word, _, when_s = row.partition(" ")
        digits = word.lstrip("+=!?")
        if row.endswith("\n") and word == mark + digits:
            yield int(digits), float(when_s)
