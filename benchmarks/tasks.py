"""What a process of a measured system can be asked for: it sends or works, and says what it saw."""

import functools
import itertools
import resource
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NotRequired, Protocol, TypedDict, runtime_checkable

import dramatiq
import redis
from dramatiq import Message
from dramatiq.middleware import Middleware

from benchmarks.systems import SYSTEMS

#: Threads of a worker.
THREADS = 16

#: Messages that one call of a bulk enqueue takes.
BULK = 500

#: How often a child looks whether something has happened by now.
_POLL_S = 0.005


class Payload(TypedDict):
    """What a job is sent with; `n` is the sender's clock, so that the worker knows how long the job waited."""

    org_id: str
    n: int
    #: Only of `keyed` jobs.
    idempotency_key: NotRequired[str]


@dataclass(frozen=True, kw_only=True)
class Drained:
    """From the first job's start to the last one's."""

    seconds: float
    cpu_s: float


@dataclass(frozen=True, kw_only=True)
class Start:
    """A job that began, by the clock that all processes of a machine share."""

    org: str
    sent_ns: int
    begun_ns: int


@runtime_checkable
class SendsMany(Protocol):
    """A broker with a bulk enqueue."""

    def send_many(self, messages: list[Message[None]]) -> object: ...


class Tasks:
    """What a child can be asked for."""

    def __init__(self, system: str, url: str, *, guarded: bool) -> None:
        chosen = SYSTEMS[system]
        self._broker = chosen.make(url, _guards(url, chosen.stores_prefix) if guarded else None)
        self._seen = _Seen()
        self._actors = _declare(self._broker, self._seen, guarded=guarded)

    def ready(self) -> bool:
        """True once everything is imported and declared."""
        return True

    def send(self, actor: str, orgs: list[str], count: int, *, delay_ms: int | None = None) -> float:
        """Send one at a time, the orgs in turn; the seconds it took."""
        begun = time.perf_counter()
        for org in itertools.islice(itertools.cycle(orgs), count):
            self._broker.enqueue(self._message(actor, org), delay=delay_ms)
        return time.perf_counter() - begun

    def send_many(self, actor: str, orgs: list[str], count: int) -> float | None:
        """Send in bulk; the seconds it took, None when the broker has no bulk enqueue."""
        if not isinstance(self._broker, SendsMany):
            return None
        begun = time.perf_counter()
        turns = itertools.cycle(orgs)
        for sent in range(0, count, BULK):
            self._broker.send_many(
                [self._message(actor, next(turns)) for _ in range(min(BULK, count - sent))]
            )
        return time.perf_counter() - begun

    def fill(self, actor: str, orgs: list[str], count: int) -> None:
        """Send the fastest way there is."""
        if self.send_many(actor, orgs, count) is None:
            self.send(actor, orgs, count)

    def send_spaced(
        self, actor: str, org: str, gaps_s: Iterable[float], *, delay_ms: int | None = None
    ) -> None:
        """Send one job after each gap."""
        for gap_s in gaps_s:
            time.sleep(gap_s)
            self._broker.enqueue(self._message(actor, org), delay=delay_ms)

    def keep_sending(self, actor: str, org: str, gap_s: float) -> None:
        """Send one job after each gap for as long as the process lives."""
        threading.Thread(
            target=self.send_spaced, args=(actor, org, itertools.repeat(gap_s)), daemon=True
        ).start()

    def work(self, *, expect: int, hold: bool = False) -> None:
        """Start the worker.

        Parameters:
            expect: jobs after which it is drained.
            hold: `held` jobs never end.
        """
        self._seen.expect(expect, hold=hold)
        self._broker.emit_after("process_boot")
        dramatiq.Worker(self._broker, worker_threads=THREADS).start()

    def expect(self, jobs: int) -> None:
        """Count from zero again."""
        self._seen.expect(jobs)

    def drained(self, within_s: float) -> Drained | None:
        """Wait for the expected number of jobs; None when they did not come."""
        return self._seen.drained() if self._seen.done.wait(within_s) else None

    def began(self, jobs: int, within_s: float) -> list[Start]:
        """Wait until so many noted jobs have begun, or the time is over; all that have."""
        deadline = time.monotonic() + within_s
        while len(self._seen.starts) < jobs and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        return list(self._seen.starts)

    def _message(self, actor: str, org: str) -> Message[None]:
        payload = Payload(org_id=org, n=time.monotonic_ns())
        if actor == "keyed":
            payload["idempotency_key"] = str(payload["n"])
        return self._actors[actor].message_with_options(args=(payload,), org=org)


class _Seen:
    """The jobs that this process has begun."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.expect(0, hold=True)

    def expect(self, jobs: int, *, hold: bool = False) -> None:
        self.starts: list[Start] = []
        self.done = threading.Event()
        self._expected = jobs
        self._numbers = itertools.count(1)
        if not hold:
            self.release.set()

    def count(self) -> None:
        number = next(self._numbers)
        if number == 1:
            self._first = time.perf_counter(), _cpu_s()
        if number == self._expected:
            self._last = time.perf_counter(), _cpu_s()
            self.done.set()

    def note(self, payload: Payload) -> None:
        begun_ns = time.monotonic_ns()
        self.starts.append(Start(org=payload["org_id"], sent_ns=payload["n"], begun_ns=begun_ns))
        self.count()

    def drained(self) -> Drained:
        (began, cpu_before), (ended, cpu_after) = self._first, self._last
        return Drained(seconds=ended - began, cpu_s=cpu_after - cpu_before)


def _declare(
    broker: dramatiq.Broker, seen: _Seen, *, guarded: bool
) -> "dict[str, dramatiq.Actor[[Payload], None]]":
    actor = functools.partial(dramatiq.actor, broker=broker)

    @actor
    def noop(payload: Payload) -> None:
        seen.count()

    @actor
    def two_ms(payload: Payload) -> None:
        seen.count()
        time.sleep(0.002)

    @actor
    def five_ms(payload: Payload) -> None:
        seen.note(payload)
        time.sleep(0.005)

    @actor
    def stamp(payload: Payload) -> None:
        seen.note(payload)

    @actor
    def held(payload: Payload) -> None:
        seen.note(payload)
        seen.release.wait()

    actors = [noop, two_ms, five_ms, stamp, held]
    if guarded:
        # Only here: what the guards import would weigh on everybody's memory.
        from benchmarks.measure import Job

        @actor
        def checked(payload: Job) -> None:
            seen.count()

        @actor
        def keyed(payload: Job) -> None:
            seen.count()

        actors = [checked, keyed]
    return {each.actor_name: each for each in actors}


def _guards(url: str, prefix: str) -> list[Middleware]:
    from benchmarks.stacks import WHOLE, stack

    return stack(WHOLE, redis.Redis.from_url(url), prefix)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
