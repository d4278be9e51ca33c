"""What is left of a storm, and whether it is what was promised; whatever is not, by job, state and key."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import redis

from broker.keys import base_key
from tests.broker.chaos.hostile import HOSTILE
from tests.broker.chaos.jobs import BEGUN, EFFECTS, REPEATS, TAKEN
from tests.broker.chaos.plan import NAMESPACE, OWN, QUEUE, Plan, is_job, job_of
from tests.broker.chaos.producer import RESENT

#: Keys that may stay for ever: what an operator configured, and what is true of the server.
CONFIGURATION = ("o", "w", "r", "g", "schema", "skew")

#: A job may end so many processes: two beside others, two alone.
MOST_DEATHS = 4

#: Of many that are wrong, so many are named.
_NAMED = 10


@dataclass
class Verdict:
    """How it ended.

    An effect is one field of a hash, set by the first run that gets there. That is what a message with an idempotency
    key promises and no more: a process that dies between its effect and its ack has the same message run again, and
    the second run must be able to see the effect, as a row that is there. Such a repeat is allowed only to the very
    message of the first run, and only when the first run's process had died, or one of the two was taken for dead.
    """

    #: What was promised and is not so, each in a sentence.
    wrong: list[str] = field(default_factory=list)
    #: What there is to know besides.
    figures: dict[str, object] = field(default_factory=dict)


class State:
    """The server's contents, as seen from outside."""

    def __init__(self, plan: Plan, connected: "Callable[[], redis.Redis]") -> None:
        self._plan = plan
        self._base = base_key(NAMESPACE)
        self._connected = connected

    @property
    def _client(self) -> Any:
        """Of whoever is the primary by now."""
        return self._connected()

    def progress(self) -> tuple[int, int, int]:
        """How many effects there are, how many dead letters, and how many messages are not at their end."""
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.hlen(EFFECTS)
            pipeline.zcard(f"{self._base}:xq:{QUEUE}")
            pipeline.hlen(f"{self._base}:m")
            done, dead, left = pipeline.execute()
        return int(done), int(dead), int(left)

    def judge(self) -> Verdict:
        """Compare it with what was promised."""
        verdict = Verdict()
        self._judge_effects(verdict)
        self._judge_repeats(verdict)
        self._judge_quarantine(verdict)
        self._judge_keys(verdict)
        resent = sum(int(each) for each in self._client.lrange(RESENT, 0, -1))
        verdict.figures["sends tried again"] = resent
        return verdict

    def _judge_effects(self, verdict: Verdict) -> None:
        effects = {int(job): str(run) for job, run in self._client.hgetall(EFFECTS).items()}
        missing = self._plan.ordinary() - {*effects}
        if missing:
            lost = {job: where for job in missing if (where := self._where(job)) == "nowhere: it is lost"}
            verdict.wrong.append(f"{len(missing)} jobs had no effect, {len(lost)} of them are lost.")
            verdict.wrong += [f"Job {job}: {self._where(job)}" for job in sorted(missing)[:_NAMED]]
        for job in sorted({*effects} - self._plan.ordinary())[:_NAMED]:
            verdict.wrong.append(f"Job {job} must not have had an effect, but had one in {effects[job]}.")
        verdict.figures["effects"] = len(effects)
        verdict.figures["of these in a probe"] = sum(run.endswith("probe") for run in effects.values())

    def _judge_repeats(self, verdict: Verdict) -> None:
        taken = set(self._client.smembers(TAKEN))
        after_a_death = after_a_silence = 0
        for repeat in self._client.lrange(REPEATS, 0, -1):
            job, first, alive, again = repeat.split("|")
            (first_pid, first_id, _), (again_pid, again_id, _) = first.split(), again.split()
            if first_id != again_id:
                verdict.wrong.append(f"Job {job} was run by two messages, {first_id} and {again_id}.")
            elif alive == "dead":
                after_a_death += 1
            elif taken & {first_pid, again_pid}:
                after_a_silence += 1
            else:
                verdict.wrong.append(
                    f"Job {job} ran again although the process of its first run lived: {first}."
                )
        verdict.figures["runs repeated after a death"] = after_a_death
        verdict.figures["runs repeated after a silence"] = after_a_silence

    def _judge_quarantine(self, verdict: Verdict) -> None:
        message_ids = self._client.zrange(f"{self._base}:xq:{QUEUE}", 0, -1)
        quarantined = {job_of(message_id) for message_id in message_ids if is_job(message_id)}
        for message_id in sorted(self._client.smembers(HOSTILE) - {*message_ids}):
            verdict.wrong.append(f"{message_id} cannot be run, and is no dead letter.")
        for job in sorted(quarantined - self._plan.poison())[:_NAMED]:
            verdict.wrong.append(f"Job {job} is no poison, but was quarantined: {self._where(job)}.")
        for job in sorted(self._plan.poison() - quarantined)[:_NAMED]:
            verdict.wrong.append(f"Job {job} is poison, but was not quarantined: {self._where(job)}.")
        deaths = Counter(int(run.split()[0]) for run in self._client.hkeys(BEGUN))
        for job, count in sorted(deaths.items()):
            if count > MOST_DEATHS:
                verdict.wrong.append(f"Job {job} ended {count} processes: {self._where(job)}.")
        verdict.figures["quarantined"] = len(quarantined)
        verdict.figures["processes ended by a poison job"] = dict(sorted(Counter(deaths.values()).items()))

    def _judge_keys(self, verdict: Verdict) -> None:
        allowed = {f"{self._base}:{name}" for name in CONFIGURATION}
        for key in sorted(self._client.scan_iter(count=10_000)):
            if key.startswith(OWN) or key in allowed or self._client.ttl(key) != -1:
                continue
            kind = self._client.type(key)
            verdict.wrong.append(f"Key {key} ({kind}) stays for ever: {self._sample(key, kind)}.")

    def _sample(self, key: str, kind: str) -> object:
        if kind == "hash":
            return dict(list(self._client.hgetall(key).items())[:3])
        if kind == "zset":
            return self._client.zrange(key, 0, 2, withscores=True)
        return self._client.lrange(key, 0, 2) if kind == "list" else "one value"

    def _where(self, job: int) -> str:
        """Which of its messages are in which state."""
        message_ids = self._client.hkeys(f"{self._base}:m")
        found = [
            f"{message_id} is {self._state(message_id)}"
            for message_id in message_ids
            if is_job(message_id) and job_of(message_id) == job
        ]
        dead = self._client.zrange(f"{self._base}:xq:{QUEUE}", 0, -1)
        found += [
            f"{message_id} is a dead letter"
            for message_id in dead
            if is_job(message_id) and job_of(message_id) == job
        ]
        deaths = self._client.hgetall(f"{self._base}:d")
        found += [
            f"{message_id} has deaths {deaths[message_id]!r}"
            for message_id in deaths
            if is_job(message_id) and job_of(message_id) == job
        ]
        return "; ".join(found) or "nowhere: it is lost"

    def _state(self, message_id: str) -> str:
        client, base = self._client, self._base
        due_ms = client.zscore(f"{base}:qd:{QUEUE}", message_id)
        if due_ms is not None:
            return f"delayed or parked until {due_ms:.0f} ({client.hget(f'{base}:p', message_id)!r})"
        if client.zscore(f"{base}:qx:{QUEUE}", message_id) is not None:
            return "a suspect that waits to be run alone"
        for lease in client.scan_iter(f"{base}:lease:*", count=10_000):
            if (token := client.hget(lease, message_id)) is not None:
                return f"leased, {lease} {token}"
        for lane in client.scan_iter(f"{base}:l:*", count=10_000):
            if any(each.endswith(f"|{message_id}") for each in client.lrange(lane, 0, -1)):
                return f"ready in {lane}"
        return "in no state at all"
