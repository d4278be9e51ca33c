"""`python -m broker drain-dramatiq`, as a person and a script run it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dramatiq.brokers.redis import RedisBroker

from app.embedded import Servers
from broker import FairRedisBroker
from broker.drain.command import DrainExit
from broker.drain.drain import Drained, ProgressPrinter
from broker.drain.dramatiq_queues import DramatiqQueue, MovedCounts
from tests.broker.workers import folders
from tests.middleware.eventually import PATIENCE_S, eventually

from .conftest import fetched, send

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]

#: What a module of a user's declares.
JOBS = """
import dramatiq
from dramatiq.brokers.stub import StubBroker

broker = StubBroker()

@dramatiq.actor(broker=broker, priority=7)
def job(number): ...
"""

Command = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def command(servers: Servers, vanilla: RedisBroker, fair: FairRedisBroker, tmp_path: Path) -> Command:
    """Starts it on both brokers, in a folder with a module `their_jobs`."""
    (tmp_path / "their_jobs.py").write_text(JOBS)

    def start(*arguments: str, url: str = servers.redis_url) -> "subprocess.Popen[str]":
        words = ["--url", url, "--from-namespace", vanilla.namespace, "--to-namespace", fair.namespace]
        return subprocess.Popen(
            [sys.executable, "-m", "broker", "drain-dramatiq", *arguments, *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    out, errors = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, errors


def test_a_dry_run_says_what_is_there(
    command: Command, vanilla: RedisBroker, fair: FairRedisBroker, raw: Any
) -> None:
    """And moves nothing; what cannot be read is found before it becomes a dead letter."""
    for number in range(3):
        send(vanilla, number)
    send(vanilla, 9, delay=60_000)
    raw.hset(f"{vanilla.namespace}:default.msgs", "broken", b"\x80pickle")
    raw.rpush(f"{vanilla.namespace}:default", "broken")

    code, out, _ = ended(command("--dry-run"))
    reported = json.loads(ended(command("--dry-run", "--json"))[1])

    assert (code, folders(raw, fair)) == (DrainExit.EMPTY, {})
    assert "default: nothing moved; left there: 4 ready, 1 delayed" in out
    assert "default: 1 of the first messages cannot be decoded here" in out
    assert reported["queues"]["default"]["left"]["ready"] == 4
    assert reported["undecodable"] == {"default": 1}


def test_it_drains_and_says_what_came(
    command: Command, vanilla: RedisBroker, fair: FairRedisBroker, raw: Any
) -> None:
    """With the priorities of the actors that a module declares."""
    for number in range(300):
        send(vanilla, number, org="a")

    code, out, _ = ended(command("their_jobs:broker"))

    assert (code, out) == (DrainExit.EMPTY, "default: moved 300 ready; left there: nothing\n")
    assert raw.zrange(f"{fair.base}:ql:default:a", 0, -1) == [b"job:7"]
    assert ended(command())[:2] == (DrainExit.EMPTY, "Nothing is there.\n")


def test_queues_and_dead_letters_are_moved_as_asked(command: Command, vanilla: RedisBroker) -> None:
    """One queue of several; dead letters with `--dead` alone."""
    send(vanilla, 1)
    consumer = vanilla.consume("default")
    consumer.nack(fetched(consumer))

    nothing = ended(command("--queue", "other"))
    left = ended(command("--json"))
    moved = ended(command("--dead", "--json"))

    assert nothing[:2] == (DrainExit.EMPTY, "other: nothing moved; left there: nothing\n")
    assert json.loads(left[1])["queues"]["default"]["left"]["dead"] == 1
    assert (left[0], moved[0]) == (DrainExit.EMPTY, DrainExit.EMPTY)
    assert json.loads(moved[1])["queues"]["default"]["moved"]["dead"] == 1
    assert json.loads(moved[1])["over"] is True


def test_what_workers_hold_is_waited_for(
    command: Command, vanilla: RedisBroker, fair: FairRedisBroker, raw: Any
) -> None:
    """With `--follow`; without, the exit code says that something is left."""
    send(vanilla, 1)
    send(vanilla, 2)
    consumer = vanilla.consume("default")
    held = fetched(consumer)

    code, out, _ = ended(command())
    assert code == DrainExit.LEFT
    assert out.splitlines() == [
        "default: moved 1 ready; left there: 1 held",
        "Something is left there: run it again, or with --follow.",
    ]
    following = command("--follow")
    assert following.stderr is not None
    assert following.stderr.readline() == "0 moved, 1 with workers there\n"
    consumer.requeue([held])

    assert ended(following)[0] == DrainExit.EMPTY
    assert folders(raw, fair) == {"ready": 2}


def test_left_off_it_says_how_far_it_came(command: Command, vanilla: RedisBroker) -> None:
    """By Ctrl-C: each message is here or there."""
    send(vanilla, 1)
    send(vanilla, 2)
    consumer = vanilla.consume("default")
    assert fetched(consumer)
    following = command("--follow")
    assert following.stderr is not None
    assert following.stderr.readline() == "1 moved, 1 with workers there\n"

    following.send_signal(signal.SIGINT)

    code, out, _ = ended(following)
    assert code == DrainExit.LEFT
    assert out.startswith("default: moved 1 ready; left there: 1 held\n")


def test_a_dead_workers_messages_come_when_asked_for(command: Command, vanilla: RedisBroker) -> None:
    """By how long it has been silent."""
    send(vanilla, 1)
    assert fetched(vanilla.consume("default"))
    assert eventually(lambda: vanilla.client.hlen(f"{vanilla.namespace}:default.msgs") == 1)

    code, out, _ = ended(command("--silent-s", "0"))

    assert (code, out) == (DrainExit.EMPTY, "default: moved 1 ready; left there: nothing\n")


def test_mistakes_are_reported_from_a_server_that_is_away(command: Command) -> None:
    """By the exit code, in a line."""
    away = ended(command(url="redis://127.0.0.1:1"))
    no_module = ended(command("no_such_module"))
    no_broker = ended(command("their_jobs:job"))

    assert away[0] == DrainExit.AWAY
    assert away[2].startswith("Error: ")
    assert "Traceback" not in away[2]
    assert no_module[0] == no_broker[0] == DrainExit.USAGE
    assert "no_such_module" in no_module[2]
    assert "their_jobs:job is no broker" in no_broker[2]


def test_progress_is_reported_once_a_second_and_only_when_there_is_any() -> None:
    """Whatever the number of steps."""
    said: list[str] = []
    now_s = [0.0]
    progress = ProgressPrinter(said.append, clock_s=lambda: now_s[0])
    drained = Drained()
    for step in range(40):
        now_s[0] = step / 10
        drained.moved["a"] = MovedCounts(ready=min(step, 20) * 100)
        progress(drained)
    drained.left["a"] = DramatiqQueue(name="a", ready=0, delayed=0, dead=0, held=3, silent=0)
    now_s[0] = 5.0
    progress(drained)

    assert said == ["1,000 moved", "2,000 moved", "2,000 moved, 3 with workers there"]


def test_the_old_name_of_the_command_works_and_says_the_new_one() -> None:
    """In one line on standard error, until 0.3; what it prints for scripts is the same."""
    old, new = (
        subprocess.run(
            [sys.executable, "-m", "broker", name, "--help"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        for name in ("drain-stock", "drain-dramatiq")
    )

    assert (old.returncode, old.stdout) == (0, new.stdout)
    assert old.stderr == "drain-stock is called drain-dramatiq now; the old name goes with 0.3\n"
    assert new.stderr == ""
