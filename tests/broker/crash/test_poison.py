"""Jobs that kill whoever runs them: others are not taken along, and in the end they are not run any more."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest
import redis
from dramatiq import Message

from app.embedded import Servers
from broker import FairRedisBroker
from middleware.dead_letters.letter import DeadLetter
from middleware.dead_letters.redis import RedisDeadLetterStore
from tests.broker.conftest import MakeBroker
from tests.broker.supervisor.supervised import Stage, is_alive, staged
from tests.broker.workers import folders, left_for_ever

JOBS_MODULE = "tests.broker.crash.poison_jobs"
#: The heartbeat's time-out where a supervisor tells of deaths: longer than any of these tests.
NEVER_MS = 600_000


class Began(NamedTuple):
    """A job that began: which, in which process, and what ran there by then."""

    name: str
    pid: int
    beside: str


class Poisoned:
    """A stage, and a broker to send with and to look at."""

    def __init__(self, stage: Stage, broker: FairRedisBroker) -> None:
        self.stage = stage
        self.broker = broker
        self.letters = RedisDeadLetterStore(stage.client, prefix=stage.space).of_every_org()

    def send(self, actor: str, *arguments: str) -> None:
        """One message."""
        self.broker.enqueue(
            Message(queue_name="default", actor_name=actor, args=arguments, kwargs={}, options={})
        )

    def began(self) -> Began:
        """The next job that begins."""
        name, pid, beside = self.stage.await_in("began").split()
        return Began(name, int(pid), beside)

    def letter(self) -> DeadLetter:
        """The only dead letter, once it is there."""
        self.stage.wait_until(lambda: len(self.letters.list()) == 1)
        return self.letters.list()[0]

    def charged(self) -> int:
        """How many messages are charged with a death now."""
        return int(self.stage.client.hlen(f"{self.broker.base}:d"))

    @contextmanager
    def worker(self, threads: int) -> Iterator["subprocess.Popen[bytes]"]:
        """A worker process without a supervisor, that says to nobody how it died."""
        environment = {
            **os.environ,
            "SUPERVISED_URL": self.stage.url,
            "SUPERVISED_SPACE": self.stage.space,
            "SUPERVISED_TIMEOUT_MS": os.environ["SUPERVISED_TIMEOUT_MS"],
        }
        process = subprocess.Popen(
            [sys.executable, "-m", JOBS_MODULE, str(threads)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def poisoned(
    servers: Servers,
    new_broker: MakeBroker,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Poisoned]:
    """A stage whose workers have this heartbeat time-out."""
    monkeypatch.setenv("SUPERVISED_TIMEOUT_MS", str(getattr(request, "param", NEVER_MS)))
    with staged(servers.redis_url) as stage:
        yield Poisoned(stage, new_broker(namespace=stage.space))


@pytest.mark.parametrize(
    ("how", "last"),
    [("SIGKILL", "SIGKILL"), ("SIGSEGV", "SIGSEGV"), ("0", "code 0"), ("7", "code 7")],
)
def test_it_runs_twice_and_twice_more_isolated_and_then_never(
    poisoned: Poisoned, how: str, last: str
) -> None:
    """The dead letter says what it is and how its process died; the other worker never ended, nor its job."""
    stage = poisoned.stage
    fleet = stage.command(
        "--processes", "2", "--threads", "1", "--restart-delay-s", "0.05", module=JOBS_MODULE
    )
    for _ in range(2):
        fleet.wait_for("worker_ready")
    poisoned.send("step", "long", "well")
    other = poisoned.began().pid
    poisoned.send("step", "poison", how)

    for event in ("worker_died", "worker_died", "probe_died", "probe_died"):
        pid = poisoned.began().pid
        stage.open_gate("poison")
        fleet.wait_for(event, pid=pid)

    letter = poisoned.letter()
    assert (letter.category, letter.error_class) == ("poison", "broker.PoisonMessage")
    assert f"4 workers died with this message, the last one: {last};" in letter.message
    stage.open_gate("long")
    assert stage.await_in("ended") == "long"
    assert is_alive(other)
    stage.wait_until(lambda: folders(stage.client, poisoned.broker) == {"dead": 1})
    assert poisoned.charged() == 0
    assert stage.client.llen(f"{stage.space}:began") == 0


def test_its_neighbours_run_to_their_ends_and_are_charged_nothing(poisoned: Poisoned) -> None:
    """What died beside it twice runs alone as well, ends there, and is as good as new."""
    stage = poisoned.stage
    fleet = stage.command("--threads", "2", "--restart-delay-s", "0.05", module=JOBS_MODULE)
    fleet.wait_for("worker_ready")
    poisoned.send("step", "mate", "well")
    poisoned.send("step", "poison", "SIGKILL")
    for _ in range(2):
        assert {poisoned.began().name, poisoned.began().name} == {"mate", "poison"}
        stage.open_gate("poison")
        fleet.wait_for("worker_died")

    suspects = []
    for _ in range(3):
        began = poisoned.began()
        suspects.append(began.name)
        assert began.beside == began.name
        stage.open_gate(began.name)
        if began.name == "poison":
            fleet.wait_for("probe_died", pid=began.pid)

    assert sorted(suspects) == ["mate", "poison", "poison"]
    assert stage.await_in("ended") == "mate"
    assert poisoned.letter().category == "poison"
    stage.wait_until(lambda: folders(stage.client, poisoned.broker) == {"dead": 1})
    assert poisoned.charged() == 0
    assert left_but_dead_letters(poisoned) == []


@pytest.mark.parametrize("actor", ["step", "hold"])
def test_workers_that_were_asked_to_stop_charge_nobody(poisoned: Poisoned, actor: str) -> None:
    """However often they are killed at the end of their drain, or give a job up."""
    stage = poisoned.stage
    fleet = stage.host(module=JOBS_MODULE, threads=1, drain_s=0.2, grace_s=0.5)
    fleet.wait_for("worker_ready")
    poisoned.send(actor, *(["endless", "well"] if actor == "step" else ["endless"]))
    for _ in range(3):
        began = poisoned.began()
        fleet.signal(signal.SIGHUP)
        fleet.wait_for("worker_died", pid=began.pid)

    assert poisoned.began().name == "endless"
    assert poisoned.charged() == 0
    assert not any(each["event"].startswith("probe") for each in fleet.heard)


@pytest.mark.parametrize("poisoned", [1_000], indirect=True)
def test_without_a_supervisor_an_idle_worker_runs_it_isolated(poisoned: Poisoned) -> None:
    """It lets what runs end, begins nothing beside, and goes on as ever when the suspect is gone."""
    stage = poisoned.stage
    poisoned.send("step", "poison", "SIGKILL")
    for _ in range(2):
        with poisoned.worker(2) as process:
            assert poisoned.began().name == "poison"
            stage.open_gate("poison")
            process.wait()

    for mate in ("first", "second"):
        poisoned.send("step", mate, "well")
        with poisoned.worker(2) as process:
            # The one is ready, the other a suspect once the dead worker's time is over; whichever comes first.
            stage.open_gate(mate)
            while (began := poisoned.began()).name == mate:
                assert began.beside == mate
            assert began.beside == "poison"
            stage.open_gate("poison")
            process.wait()

    with poisoned.worker(2):
        letter = poisoned.letter()
        assert (letter.category, "the last one: silent;" in letter.message) == ("poison", True)
        stage.wait_until(lambda: folders(stage.client, poisoned.broker) == {"dead": 1})
    assert {stage.await_in("ended") for _ in range(2)} == {"first", "second"}
    assert poisoned.charged() == 0


def left_but_dead_letters(poisoned: Poisoned) -> list[bytes]:
    """Keys of the broker that nothing would ever remove while no worker is there."""
    client: redis.Redis = poisoned.stage.client
    of_workers = (b":workers", b":wi")
    return [key for key in left_for_ever(client, poisoned.broker) if not key.endswith(of_workers)]
