"""The real scripts beside the ideal: jobs that come, run and end by a clock of their own, never by a real one."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis

from broker.leasing.lease import BACK, DONE, Lease
from tests.broker.ideal import Ideal, first_in_first_out
from tests.broker.model.messages import Messages
from tests.broker.model.scripted import Shard
from tests.broker.model.worker import Worker

QUEUE = "q"
#: Rounding, and by how much orgs that join stand apart, in milliseconds.
TOLERANCE_MS = 0.5


@dataclass(eq=False)
class Job:
    """One message, from its sending to its end."""

    org: str
    takes_ms: float
    came_ms: float
    started_ms: float | None = None
    #: What its org was charged for it in advance, as work.
    charged_ms: float = 0.0


@dataclass(eq=False)
class Running:
    """A job on a thread."""

    job: Job
    lease: Lease
    worker: int
    ends_ms: float


class FairRun:
    """A fleet on one queue, and all that the ideal would have done by now.

    Parameters:
        client: of a server that nobody else uses.
        base: the shard's base key.
        threads: of each worker.
        weights: of orgs; 1 for all others.
        age_share: the part of the work that goes by age.
        exact: each cost is an actor of its own, whose mean is known; else all jobs are of one actor.
        ahead: messages that a worker fetches beyond its threads.
    """

    def __init__(
        self,
        client: "redis.Redis",
        base: str,
        *,
        threads: tuple[int, ...] = (1,),
        weights: Mapping[str, float] | None = None,
        age_share: float = 0.0,
        exact: bool = True,
        ahead: int = 0,
    ) -> None:
        self.shard = Shard(client, base)
        self.threads = threads
        self.now_ms = 0.0
        self.order: list[Job] = []
        self.jobs: list[Job] = []
        self.done_ms: dict[str, float] = defaultdict(float)
        self._weights = weights or {}
        self._limits: dict[str, int] = {}
        self._paused: set[str] = set()
        self._age_share = age_share
        self._exact = exact
        self._ahead = ahead
        self._message = Messages()
        self._by_id: dict[str, Job] = {}
        self._waiting: dict[str, list[Job]] = defaultdict(list)
        self._running: list[Running] = []
        self._held: list[tuple[int, Lease]] = []
        self._busy_ms = 0.0
        self._errors_ms: dict[str, float] = {}
        self._bounds_ms: dict[str, float] = {}
        self._time = 0.0
        self._made = 0
        self._workers = [self._new_worker() for _ in threads]
        self.ideal = Ideal(self.weight_of)
        self._configure()

    def weight_of(self, org: str) -> float:
        return self._weights.get(org, 1.0)

    def send(self, org: str, number: int, takes_ms: float) -> None:
        """So many jobs of an org come at once."""
        actor = f"takes{takes_ms:g}" if self._exact else "job"
        if self._exact:
            self.shard.client.hset(self.shard.key("avg"), actor, str(takes_ms))
        for _ in range(number):
            sent = self._message(QUEUE, org, f"{actor}:0")
            job = Job(org, takes_ms, self.now_ms)
            self._by_id[sent.message_id] = job
            self._waiting[org].append(job)
            self.jobs.append(job)
            self.ideal.add(org, takes_ms)
            self._advance(self.now_ms)
            self.shard.run("enqueue", *[0] * 6, "", 0, *sent)
        self._start()

    def end_next(self) -> None:
        """Time goes on until the next job ends, if one runs."""
        if not self._running:
            return
        ended = min(self._running, key=lambda each: each.ends_ms)
        self._running.remove(ended)
        self._advance(ended.ends_ms)
        worker, job = self._workers[ended.worker], ended.job
        worker.end(ended.lease, DONE, took_ms=job.takes_ms)
        self.done_ms[job.org] += job.takes_ms
        self._busy_ms += job.takes_ms
        self.ideal.serve(job.takes_ms, self._may_run)
        worker.flush()
        self._start()
        self.check()

    def pause(self, *orgs: str) -> None:
        """These may not run, all others may."""
        self._paused = set(orgs)
        self.shard.run("set_gates", "people", *(word for org in orgs for word in (f"o:{org}", 0, "test")))
        self._start()

    def limit(self, org: str, number: int) -> None:
        """No more than so many jobs of it at once; 0 for any number."""
        self._limits[org] = number
        self._configure()
        self._start()

    def give_back(self) -> None:
        """A worker returns what it fetched ahead, or else the job that it began last."""
        if self._held:
            number, lease = self._held.pop()
        elif self._running:
            running = self._running.pop()
            number, lease = running.worker, running.lease
        else:
            return
        self._return(lease)
        self._workers[number].end(lease, BACK)
        self._workers[number].flush()
        self._start()

    def stop(self, number: int) -> None:
        """A worker ends, and what it held goes back; another takes its place."""
        number %= len(self._workers)
        old = self._workers[number]
        for running in [each for each in self._running if each.worker == number]:
            self._running.remove(running)
            self._return(running.lease)
        for held in [each for each in self._held if each[0] == number]:
            self._held.remove(held)
            self._return(held[1])
        self.shard.run("report_death", old.worker_id, "stopped")
        self._workers[number] = self._new_worker()
        self._workers[number].flush()
        self._workers[number].flush()
        self._start()

    def check(self) -> None:
        """No org that waits is behind the ideal by more than was proven; the queue's time has not fallen."""
        time = float(self.shard.client.get(self.shard.key("qt", QUEUE)) or 0)
        assert time >= self._time, f"the queue's time fell from {self._time} to {time}"
        self._time = time
        for org, jobs in self._waiting.items():
            if jobs and self._may_run(org):
                behind_ms = self.ideal.served[org] - self.done_ms[org]
                # What ran when it began to be behind is over by now, and has made it so.
                bound_ms = max(self.bound_ms(org), self._bounds_ms.get(org, 0.0))
                self._bounds_ms[org] = bound_ms if behind_ms > 0 else 0.0
                assert behind_ms <= bound_ms, (
                    f"{org} is {behind_ms:.1f} ms behind, the bound is {bound_ms:.1f}"
                )

    def bound_ms(self, org: str) -> float:
        """By how much an org may be behind the ideal now."""
        competing = {each for each, ms in self.ideal.left.items() if ms > 1e-9} | {org}
        longest = dict.fromkeys(competing, 0.0)
        for job in self.jobs:
            if job.org in longest:
                longest[job.org] = max(longest[job.org], job.takes_ms)
        weight = sum(map(self.weight_of, competing))
        proven_ms = self.weight_of(org) * sum(longest.values()) / weight
        return (
            proven_ms
            + longest[org]
            + sum(each.job.takes_ms for each in self._running)
            + sum(self._by_id[lease.message_id].takes_ms for _, lease in self._held)
            + self._age_share * self._busy_ms
            + self._errors_ms.get(org, 0.0)
            + TOLERANCE_MS * max(1.0, self.weight_of(org))
        )

    def run_all(self) -> None:
        """Until nothing is left that may run."""
        while self._running:
            self.end_next()

    def check_waits(self) -> None:
        """No job has waited longer than the share for age lets it, by what first in, first out had made of it."""
        waits_ms = first_in_first_out([(job.came_ms, job.takes_ms) for job in self.jobs], sum(self.threads))
        longest_ms = max((job.takes_ms for job in self.jobs), default=0.0)
        for job, wait_ms in zip(self.jobs, waits_ms, strict=True):
            assert job.started_ms is not None
            waited_ms = job.started_ms - job.came_ms
            most_ms = (wait_ms + longest_ms) / self._age_share
            assert waited_ms <= most_ms, f"{job} waited {waited_ms:.0f} ms, at most {most_ms:.0f}"

    def _start(self) -> None:
        """Whatever thread is free gets a job, if there is one."""
        while True:
            for number, worker in enumerate(self._workers):
                begun = sum(each.worker == number for each in self._running)
                held = [each for each in self._held if each[0] == number]
                while held and begun < self.threads[number]:
                    self._begin(*held.pop(0))
                    begun += 1
                free = self.threads[number] + self._ahead - begun - len(held)
                fetched = worker.fetch(QUEUE, free, 0) if free > 0 else None
                if fetched:
                    for lease in fetched:
                        self._take(number, lease)
                    break
            else:
                return

    def _take(self, number: int, lease: Lease) -> None:
        job = self._by_id[lease.message_id]
        self._waiting[job.org].remove(job)
        job.charged_ms = lease.charged_ms * self.weight_of(job.org)
        self._held.append((number, lease))
        if not self._waiting[job.org]:
            self._errors_ms.pop(job.org, None)
        error_ms = max(0.0, job.takes_ms - job.charged_ms)
        for org, jobs in self._waiting.items():
            if jobs:
                # What ran already when it began to wait counts as well.
                if org not in self._errors_ms:
                    self._errors_ms[org] = sum(
                        max(0.0, each.job.takes_ms - each.job.charged_ms) for each in self._running
                    )
                if org != job.org:
                    self._errors_ms[org] += error_ms

    def _begin(self, number: int, lease: Lease) -> None:
        self._held.remove((number, lease))
        job = self._by_id[lease.message_id]
        job.started_ms = self.now_ms
        self.order.append(job)
        self._running.append(Running(job, lease, number, self.now_ms + job.takes_ms))

    def _return(self, lease: Lease) -> None:
        job = self._by_id[lease.message_id]
        job.started_ms = None
        self._waiting[job.org].insert(0, job)

    def _may_run(self, org: str) -> bool:
        if org in self._paused:
            return False
        active = sum(each.job.org == org for each in self._running)
        active += sum(self._by_id[lease.message_id].org == org for _, lease in self._held)
        limit = self._limits.get(org, 0)
        return not limit or active < limit

    def _advance(self, now_ms: float) -> None:
        self.now_ms = now_ms
        # Each send has a millisecond of its own, so that it is known who came first.
        self.shard.client.set(self.shard.key("clock"), self.shard.now_ms + int(now_ms) + len(self.jobs))

    def _configure(self) -> None:
        orgs = self._weights.keys() | self._limits.keys()
        words: list[Any] = []
        for org in sorted(orgs):
            words += [org, self.weight_of(org), self._limits.get(org) or ""]
        self.shard.run("configure", *words)

    def _new_worker(self) -> Worker:
        self._made += 1
        return Worker(self.shard, f"w{self._made}", "share", age_share=self._age_share)
