"""What `benchmarks.broker` measures of a system; each measure gives samples by name, and leaves out what cannot be."""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import redis

from benchmarks.lab import Child, Counts, server
from benchmarks.systems import System
from benchmarks.tasks import Tasks

#: Measured values by figure; no entry: the system cannot do it. An empty list: it did not happen in time.
Samples = dict[str, list[float]]

#: Orgs that take turns where fairness is not the question.
ORGS = 10

#: Waited for before a worker counts as idle: longer than any broker's back-off takes to grow.
SETTLE_S = 2.5

#: The far-future messages' delay, in milliseconds.
FAR_MS = 600_000

#: Gaps between jobs while a worker is hot, in seconds.
HOT_GAP_S = (0.010, 0.030)

#: Requests that the background traffic of `kill` makes, as seconds between two.
TRAFFIC_GAP_S = 0.010

_DRAIN_TIMEOUT_S = 300.0


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much of everything."""

    one: int
    bulk: int
    noop: int
    two_ms: int
    hot: int
    pauses: int
    pause_s: float
    idle_s: float
    flood: int
    quiet: int
    far: int
    timers: int
    timer_s: float
    timer_patience_s: float
    kill_patience_s: float
    guarded: int


FULL = Sizes(
    one=5_000,
    bulk=20_000,
    noop=20_000,
    two_ms=10_000,
    hot=300,
    pauses=8,
    pause_s=1.6,
    idle_s=5.0,
    flood=5_000,
    quiet=10,
    far=100_000,
    timers=5,
    timer_s=3.0,
    timer_patience_s=20.0,
    kill_patience_s=120.0,
    guarded=2_000,
)

#: Runs everything and shows nothing.
QUICK = Sizes(
    one=100,
    bulk=500,
    noop=300,
    two_ms=200,
    hot=10,
    pauses=1,
    pause_s=0.2,
    idle_s=0.2,
    flood=100,
    quiet=3,
    far=100,
    timers=2,
    timer_s=0.2,
    timer_patience_s=1.0,
    kill_patience_s=0.2,
    guarded=50,
)


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A system on its server, and a process that sends."""

    system: System
    url: str
    sender: Child
    sizes: Sizes
    program: Path | None

    @property
    def client(self) -> redis.Redis:
        """For what the server counts."""
        return redis.Redis.from_url(self.url)


def enqueue(setup: Setup) -> Samples:
    """Send one at a time, and in bulk where there is such a thing."""
    sender, sizes, orgs = setup.sender, setup.sizes, _orgs()
    sender.ask(Tasks.send, "noop", orgs, sizes.one // 10)
    samples = {"enqueue_per_s": [sizes.one / sender.ask(Tasks.send, "noop", orgs, sizes.one)]}
    bulk_s = sender.ask(Tasks.send_many, "noop", orgs, sizes.bulk)
    if bulk_s is not None:
        samples["bulk_per_s"] = [sizes.bulk / bulk_s]
    return samples


def drain(setup: Setup) -> Samples:
    """A backlog of no-op jobs: speed, CPU, what it asks of the server, memory afterwards."""
    return _drain(setup, "noop", setup.sizes.noop, "noop")


def drain_two_ms(setup: Setup) -> Samples:
    """A backlog of jobs that wait for 2 ms, as for a database."""
    return _drain(setup, "two_ms", setup.sizes.two_ms, "two_ms")


def guards(setup: Setup) -> Samples:
    """A backlog of no-op jobs with every guard on, without idempotency keys and with them; and sending such jobs."""
    with Child(setup.system, setup.url, guarded=True) as sender:
        guarded = Setup(
            system=setup.system, url=setup.url, sender=sender, sizes=setup.sizes, program=setup.program
        )
        jobs, orgs = setup.sizes.guarded, _orgs()
        samples = _drain(guarded, "checked", jobs, "guarded") | _drain(guarded, "keyed", jobs, "keyed")
        samples["checked_enqueue_per_s"] = [jobs / sender.ask(Tasks.send, "checked", orgs, jobs)]
        bulk_s = sender.ask(Tasks.send_many, "checked", orgs, setup.sizes.bulk)
        if bulk_s is not None:
            samples["checked_bulk_per_s"] = [setup.sizes.bulk / bulk_s]
        return samples


def pick_up(setup: Setup) -> Samples:
    """From sent to begun: with a job every 20 ms or so, and after pauses."""
    sizes, org = setup.sizes, str(uuid4())
    gaps = random.Random(sizes.hot)  # noqa: S311 the same gaps for everybody
    jobs = sizes.hot + sizes.pauses
    with Child(setup.system, setup.url) as worker:
        worker.ask(Tasks.work, expect=jobs)
        setup.sender.ask(
            Tasks.send_spaced, "stamp", org, [gaps.uniform(*HOT_GAP_S) for _ in range(sizes.hot)]
        )
        setup.sender.ask(Tasks.send_spaced, "stamp", org, [sizes.pause_s] * sizes.pauses)
        starts = worker.ask(Tasks.began, jobs, _DRAIN_TIMEOUT_S)
    waits = [(each.begun_ns - each.sent_ns) / 1e6 for each in sorted(starts, key=lambda start: start.sent_ns)]
    return {"hot_ms": waits[: sizes.hot], "pause_ms": waits[sizes.hot :]}


def idle(setup: Setup) -> Samples:
    """What a worker with one queue and nothing to do costs."""
    with Child(setup.system, setup.url) as worker:
        worker.ask(Tasks.work, expect=0)
        time.sleep(min(SETTLE_S, setup.sizes.idle_s))
        counts, cpu_s, begun = Counts(setup.client), worker.cpu_s(), time.monotonic()
        time.sleep(setup.sizes.idle_s)
        seconds = time.monotonic() - begun
        used_s = worker.cpu_s() - cpu_s
        counted = counts.per(seconds)
    return {
        "idle_cpu_percent": [100 * used_s / seconds],
        "idle_requests_per_s": [counted["requests"]],
        "idle_commands_per_s": [counted["commands"]],
    }


def flood(setup: Setup) -> Samples:
    """Send an org's backlog of 5 ms jobs and another's few: how long these wait, and how many begin first."""
    sizes, loud, quiet, before = setup.sizes, str(uuid4()), str(uuid4()), str(uuid4())
    with Child(setup.system, setup.url) as worker:
        worker.ask(Tasks.work, expect=0)
        # Alone, but awake: the flooded worker is.
        setup.sender.ask(Tasks.send_spaced, "stamp", before, [min(HOT_GAP_S)] * sizes.quiet)
        setup.sender.ask(Tasks.send, "five_ms", [quiet], sizes.quiet)
        starts = worker.ask(Tasks.began, 2 * sizes.quiet, _DRAIN_TIMEOUT_S)
    of_quiet_org = [each for each in starts if each.org == quiet]
    setup.sender.ask(Tasks.fill, "five_ms", [loud], sizes.flood)
    with Child(setup.system, setup.url) as worker:
        worker.ask(Tasks.work, expect=sizes.flood + sizes.quiet)
        worker.ask(Tasks.began, sizes.flood // 20, _DRAIN_TIMEOUT_S)
        setup.sender.ask(Tasks.send, "five_ms", [quiet], sizes.quiet)
        starts = worker.ask(Tasks.began, sizes.flood + sizes.quiet, _DRAIN_TIMEOUT_S)
    behind = [each for each in starts if each.org == quiet]
    return {
        "quiet_ms": [(each.begun_ns - each.sent_ns) / 1e6 for each in of_quiet_org],
        "flood_ms": [(each.begun_ns - each.sent_ns) / 1e6 for each in behind],
        "flood_dispatches": [
            float(sum(each.sent_ns < other.begun_ns < each.begun_ns for other in starts)) for each in behind
        ],
    }


def delayed(setup: Setup) -> Samples:
    """Timers that are due soon, behind a great many messages that are not."""
    sizes, org = setup.sizes, str(uuid4())
    setup.sender.ask(Tasks.send, "noop", _orgs(), sizes.far, delay_ms=FAR_MS)
    timer_ms = round(1000 * sizes.timer_s)
    with Child(setup.system, setup.url) as worker:
        before_mb = worker.memory_mb()
        worker.ask(Tasks.work, expect=sizes.timers)
        setup.sender.ask(Tasks.send_spaced, "stamp", org, [0.1] * sizes.timers, delay_ms=timer_ms)
        starts = worker.ask(Tasks.began, sizes.timers, sizes.timer_s + sizes.timer_patience_s)
        grown_mb = worker.memory_mb() - before_mb
    return {
        "timers_fired": [float(len(starts))],
        "timer_late_ms": [(each.begun_ns - each.sent_ns) / 1e6 - timer_ms for each in starts],
        "delayed_memory_mb": [grown_mb],
    }


def kill(setup: Setup) -> Samples:
    """From kill -9 of a worker until another has its running job: on a queue with traffic, and on a quiet one."""
    with ThreadPoolExecutor() as pool:
        traffic, quiet = pool.map(lambda busy: _back_s(setup, busy=busy), (True, False))
    return {"killed_traffic_s": traffic, "killed_quiet_s": quiet}


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A measure, and how it is run."""

    run: Callable[[Setup], Samples]
    #: Mostly waiting: once instead of every round, and all systems at the same time.
    together: bool = False
    #: Long: once instead of every round.
    once: bool = False


MEASURES = {
    "enqueue": Measure(run=enqueue),
    "drain": Measure(run=drain),
    "drain-2ms": Measure(run=drain_two_ms),
    "pick-up": Measure(run=pick_up),
    "idle": Measure(run=idle),
    "flood": Measure(run=flood),
    "guards": Measure(run=guards),
    "delayed": Measure(run=delayed, once=True),
    "kill": Measure(run=kill, once=True, together=True),
}


def _drain(setup: Setup, actor: str, jobs: int, name: str) -> Samples:
    setup.sender.ask(Tasks.fill, actor, _orgs(), jobs)
    with Child(setup.system, setup.url, guarded=actor in ("checked", "keyed")) as worker:
        counts = Counts(setup.client)
        worker.ask(Tasks.work, expect=jobs)
        drained = worker.ask(Tasks.drained, _DRAIN_TIMEOUT_S)
        counted = counts.per(jobs)
        memory_mb = worker.memory_mb()
    if drained is None:
        return {f"{name}_per_s": []}
    return {
        f"{name}_per_s": [(jobs - 1) / drained.seconds],
        f"{name}_cpu_ms": [1e6 * drained.cpu_s / jobs],
        f"{name}_memory_mb": [memory_mb],
        **{f"{name}_{key}": [value] for key, value in counted.items()},
    }


def _back_s(setup: Setup, *, busy: bool) -> list[float]:
    org = str(uuid4())
    with server(setup.program) as url, Child(setup.system, url) as sender:
        with Child(setup.system, url) as victim:
            victim.ask(Tasks.work, expect=1, hold=True)
            sender.ask(Tasks.send, "held", [org], 1)
            victim.ask(Tasks.began, 1, _DRAIN_TIMEOUT_S)
            victim.kill()
            killed_ns = time.monotonic_ns()
        with Child(setup.system, url) as heir:
            heir.ask(Tasks.work, expect=1)
            if busy:
                sender.ask(Tasks.keep_sending, "noop", org, TRAFFIC_GAP_S)
            starts = heir.ask(Tasks.began, 1, setup.sizes.kill_patience_s)
    return [(each.begun_ns - killed_ns) / 1e9 for each in starts]


def _orgs() -> list[str]:
    return [str(uuid4()) for _ in range(ORGS)]
