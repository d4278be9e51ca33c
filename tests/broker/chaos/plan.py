"""What a storm consists of: how many jobs, of which kinds, and how much is broken meanwhile."""

import json
import os
from dataclasses import asdict, dataclass

#: Under which name worker and producer processes find plan and server.
PLAN_VARIABLE = "CHAOS_PLAN"
URL_VARIABLE = "CHAOS_URL"

NAMESPACE = "chaos"
QUEUE = "storm"
#: What the storm itself writes down begins with this.
OWN = "storm:"

_ORGS = 7


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One storm.

    Parameters:
        jobs: how many, each with an idempotency key of its own.
        producers, workers: processes that send, and that work.
        threads: of each worker.
        restarts: of the server; every second one with SIGKILL.
        kill_every: a worker is killed each time so many jobs are done.
        poison_every: of so many jobs one ends its process, whoever runs it; 0: none does.
        poison_burst: so many of those follow one another.
        twice_every: one is sent twice, as two messages with one key.
        delayed_every: one is sent with a delay.
        failing_every: one fails at its first attempt.
        failovers: the server's replica takes over, behind one address at which open connections stay where they are.
        clock_steps: the server's clock steps ten minutes, back and forth in turn.
        full_servers: the server has no memory left for two seconds.
        hostile_every: each time so many jobs are done, records that no encoder wrote are put among the others; 0: none.
        heartbeat_ms: after so long a silence a worker is taken for dead.
        seed: of what is left to chance: which worker is killed.
        forked: whether workers are forks of their supervisor, which makes two thousand deaths cheap; else programs, as
            the command starts them.
    """

    jobs: int = 50_000
    producers: int = 4
    workers: int = 4
    threads: int = 4
    restarts: int = 2
    kill_every: int = 1_000
    poison_every: int = 100
    poison_burst: int = 5
    twice_every: int = 20
    delayed_every: int = 7
    failing_every: int = 11
    failovers: int = 2
    clock_steps: int = 2
    full_servers: int = 2
    hostile_every: int = 2_500
    heartbeat_ms: int = 1_000
    seed: int = 5
    forked: bool = True

    @classmethod
    def from_environment(cls) -> "Plan":
        """The plan of the storm this process is part of."""
        return cls(**json.loads(os.environ[PLAN_VARIABLE]))

    def environment(self, url: str) -> dict[str, str]:
        """For the processes of a storm on that server."""
        return {PLAN_VARIABLE: json.dumps(asdict(self)), URL_VARIABLE: url}

    def is_poison(self, job: int) -> bool:
        """Whether this job ends its process."""
        every = self.poison_every * self.poison_burst
        return every > 0 and 0 <= job % every - every // 2 < self.poison_burst

    def hostile_times(self) -> int:
        """How often records are put that no encoder wrote."""
        return self.jobs // self.hostile_every if self.hostile_every else 0

    def fails_first(self, job: int) -> bool:
        """Whether its first attempt fails."""
        return job % self.failing_every == 1

    def is_sent_twice(self, job: int) -> bool:
        """Whether two messages ask for it."""
        return job % self.twice_every == 2 and not self.is_poison(job)

    def delay_ms(self, job: int) -> int | None:
        """How long after it was sent it is due."""
        return 50 * (job % 9) if job % self.delayed_every == 3 else None

    def org(self, job: int) -> str:
        """Whose it is."""
        return f"org-{job % _ORGS}"

    def poison(self) -> set[int]:
        """All jobs that end their process."""
        return {job for job in range(self.jobs) if self.is_poison(job)}

    def ordinary(self) -> set[int]:
        """All others."""
        return {*range(self.jobs)} - self.poison()


def is_job(message_id: str) -> bool:
    """Whether a message, or a dead letter, is one of the plan's."""
    return message_id.startswith("job-")


def job_of(message_id: str) -> int:
    """Which job a message is about; ids of copies begin with their message's.

    Example:
        >>> job_of("job-17-again~4")
        17
    """
    return int(message_id.split("~")[0].split("-")[1])
