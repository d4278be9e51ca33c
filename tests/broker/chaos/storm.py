"""Lets a storm happen: starts everything, kills what the plan says, and waits until all jobs are accounted for."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import redis

from tests.broker.chaos.hostile import put_hostile_records
from tests.broker.chaos.plan import Plan
from tests.broker.chaos.server import STEP_S, Servers
from tests.broker.chaos.verdict import State
from tests.broker.supervisor.supervised import Supervised

ROOT = Path(__file__).resolve().parents[3]

HOST = "tests.broker.chaos.worker_module:broker"
#: What a worker waits for that died fast, at first, in seconds.
_RESTART_S = 0.01

#: A storm in which nothing at all was done for so long is over, in seconds.
STILL_S = 60.0
#: Seconds between two looks, between two lines about the progress, and of an outage that is longer than any lease.
_LOOK_S = 0.02
_SAY_S = 5.0
_AWAY_S = 2.0
#: Seconds for which the server is full.
_FULL_S = 2.0

Say = Callable[[str], None]


@dataclass
class Storm:
    """What is under way, and what happened so far."""

    plan: Plan
    folder: Path
    say: Say
    server: Servers = field(init=False)
    fleet: Supervised = field(init=False)
    #: Ends of worker and probe processes, by kind and signal or code.
    ends: Counter[str] = field(default_factory=Counter)
    killed: int = 0
    restarted: int = 0
    happened: Counter[str] = field(default_factory=Counter)
    started_s: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._random = random.Random(self.plan.seed)
        self._ready: set[int] = set()
        self._events = (self.folder / "events.log").open("w", buffering=1)
        self._producers: list[subprocess.Popen[bytes]] = []
        self._said_s = self._moved_s = self.started_s
        self._last: tuple[int, ...] = ()
        self._planned = sorted(self._plan_events(), key=lambda event: event[0], reverse=True)

    def until_accounted_for(self, state: State) -> None:
        """Break things as planned, until every job is done or quarantined, or nothing moves any more."""
        nobody = threading.Event()
        while not nobody.wait(_LOOK_S):
            done, dead, left = state.progress()
            self._wait_for()
            if self._over(done, dead, left):
                return
            if self._planned and done >= self._planned[-1][0]:
                _, name, event = self._planned.pop()
                event()
                self.happened[name] += 1
            elif done >= self.plan.kill_every * (self.killed + 1) and self._ready:
                self._kill_a_worker()

    def stop(self) -> int:
        """Let the fleet drain; its exit code."""
        self.fleet.signal(signal.SIGTERM)
        code = self.fleet.code()
        self._wait_for()
        return code

    def still_planned(self) -> set[str]:
        """What was to happen to the servers and has not."""
        return {name for _, name, _ in self._planned}

    def took_s(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.started_s

    def _over(self, done: int, dead: int, left: int) -> bool:
        now_s = time.monotonic()
        sending = sum(each.poll() is None for each in self._producers)
        if (now := (done, dead, left, sending)) != self._last:
            self._last, self._moved_s = now, now_s
        if now_s >= self._said_s + _SAY_S:
            self._said_s = now_s
            self.say(
                f"{self.took_s():5.0f} s: {done:,} done, {dead:,} quarantined, {left:,} in the broker, "
                f"{sending} producers, {self.ends.total():,} processes ended"
            )
        return (not sending and left == 0) or now_s > self._moved_s + STILL_S

    def _plan_events(self) -> Iterator[tuple[int, str, Callable[[], None]]]:
        """All that is to happen to the servers: from how many done jobs on, what it is called, and what it is."""
        plan = self.plan
        each: tuple[tuple[str, int, Callable[[], None]], ...] = (
            ("server restarts", plan.restarts, self._restart_server),
            ("fail-overs", plan.failovers, lambda: self.server.fail_over()),
            ("clock steps", plan.clock_steps, self._step_clock),
            ("full servers", plan.full_servers, self._fill_server),
            ("hostile records", plan.hostile_times(), self._put_hostile_records),
        )
        for shift, (name, times, event) in enumerate(each):
            for number in range(times):
                # Of two that would come at once, the second comes a little later.
                yield plan.jobs * (number + 1) // (times + 1) + shift * plan.jobs // 50, name, event

    def _wait_for(self) -> None:
        for report in self.fleet.news():
            self._events.write(f"{self.took_s():8.2f} s {json.dumps(report)}\n")
            event = str(report["event"])
            if event == "worker_ready":
                self._ready.add(report["pid"])
            elif event.endswith(("_died", "_stopped", "_ended")):
                self._ready.discard(report["pid"])
                why = report["code"] if report["signal"] is None else report["signal"]
                self.ends[f"{event} {why}"] += 1

    def _kill_a_worker(self) -> None:
        pid = self._random.choice(sorted(self._ready))
        self._ready.discard(pid)
        self.killed += 1
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def _restart_server(self) -> None:
        self.restarted += 1
        brutal = self.restarted % 2 == 0
        self.server.primary.stop(signal.SIGKILL if brutal else signal.SIGTERM)
        if not brutal:
            threading.Event().wait(_AWAY_S)
        self.server.primary.start()

    def _step_clock(self) -> None:
        self.server.step_clock(STEP_S if self.happened["clock steps"] % 2 else -STEP_S)

    def _fill_server(self) -> None:
        self.server.limit_memory(limited=True)
        threading.Event().wait(_FULL_S)
        self.server.limit_memory(limited=False)

    def _put_hostile_records(self) -> None:
        put_hostile_records(self.server.client(), self.happened["hostile records"] + 1)


@contextmanager
def storm(plan: Plan, folder: Path, say: Say) -> Iterator[Storm]:
    """Server, fleet and producers; everything is gone afterwards, and the logs are in the folder."""
    under_way = Storm(plan, folder, say)
    under_way.server = Servers(folder, replicated=plan.failovers > 0, clock=plan.clock_steps > 0)
    under_way.server.start()
    environment = {
        **os.environ,
        **plan.environment(under_way.server.url),
        "PYTHONPATH": str(ROOT),
        "dramatiq_worker_timeout": "50",
    }
    with (folder / "workers.log").open("wb") as log:
        under_way.fleet = Supervised(_supervisor(plan), environment, ROOT, log)
        try:
            for index in range(plan.producers):
                command = [sys.executable, "-m", "tests.broker.chaos.producer", str(index)]
                under_way._producers.append(subprocess.Popen(command, cwd=ROOT, env=environment, stderr=log))
            yield under_way
        finally:
            under_way._events.close()
            under_way.fleet.close()
            for each in under_way._producers:
                each.kill()
                each.wait()
            with suppress(redis.RedisError):
                under_way.server.stop()


def _supervisor(plan: Plan) -> list[str]:
    if plan.forked:
        numbers = {"modules": [HOST], "processes": plan.workers, "threads": plan.threads}
        reported = json.dumps({**numbers, "restart_delay_s": _RESTART_S})
        return [sys.executable, "-m", "tests.broker.chaos.forking", reported]
    words = ["--processes", str(plan.workers), "--threads", str(plan.threads)]
    return [sys.executable, "-m", "broker", "worker", HOST, *words, "--restart-delay-s", str(_RESTART_S)]
