"""Why a message has not started: the answer, and how it follows from what the broker knows of the message."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime
from typing import Literal

from .views import Facts, WorkerView, is_held, leased_ms, read_lane, read_org, read_worker, shown, whole

#: What may be the matter with a message.
#:
#: - `unknown`: it is not here. It has ended, or was never sent, or is another org's.
#: - `dead`: it was dead-lettered. `poison`: it will be, since it ended its workers.
#: - `leased`: a worker process has it; it runs there or is about to.
#: - `delayed`, `parked`, `held`: not due yet, as it was sent, for a cause, for want of a worker of another version.
#: - `suspect`: it waits to run alone, since workers died while it ran.
#: - `paused`, `breaker`: a gate is shut. `org_limit`, `key_full`, `rate`: a limit is reached.
#: - `no_worker`, `workers_quiet`, `workers_unwell`, `workers_busy`: nobody serves its queue, or nobody does now.
#: - `behind`: others of its own org go first.
#: - `next`: nothing holds it back; the next worker with a free thread takes it.
Cause = Literal[
    "unknown",
    "dead",
    "poison",
    "leased",
    "delayed",
    "parked",
    "held",
    "suspect",
    "paused",
    "breaker",
    "org_limit",
    "key_full",
    "rate",
    "no_worker",
    "workers_quiet",
    "workers_unwell",
    "workers_busy",
    "behind",
    "next",
]

#: Who shuts gates for circuit breakers; whatever else shuts them is a pause.
BREAKERS = "breakers"
#: So many deaths alone, and a message is not run any more.
QUARANTINED = 2


@dataclass(frozen=True)
class Reason:
    """A single thing that keeps a message from starting."""

    cause: Cause
    #: For people, one sentence.
    text: str
    _: KW_ONLY
    #: When it began, and when it ends by itself: epoch milliseconds by the server's clock.
    since_ms: int | None = None
    until_ms: int | None = None
    #: How many there are of what is limited, and how many there may be.
    running: int | None = None
    limit: int | None = None
    #: What shuts a gate or holds a message, like `q:exports`, `breaker:ai`.
    key: str | None = None
    #: The worker that has it, as host and process.
    worker: str | None = None
    #: Queues that some worker serves.
    served: tuple[str, ...] | None = None
    #: Messages of its own org that go first: those of its own lane, and all.
    ahead_in_lane: int | None = None
    ahead: int | None = None
    #: Other orgs that go before its own.
    orgs_ahead: int | None = None


@dataclass(frozen=True, kw_only=True)
class Why:
    """Why a message has not started.

    Example:
        >>> inspector.why(message_id).text
        'Delayed until 2026-11-26 18:45:00Z.'
    """

    message_id: str
    #: The main one first; the others hold at the same time.
    reasons: tuple[Reason, ...]
    queue: str | None = None
    org: str | None = None
    actor: str | None = None
    priority: int | None = None
    concurrency_key: str | None = None
    #: When this was so, by the server's clock, in epoch milliseconds.
    at_ms: int | None = None

    @property
    def held_back_ms(self) -> int:
        """For how long it does not start at the least, as far as that is known, in milliseconds."""
        ends = [each.until_ms for each in self.reasons if each.until_ms is not None]
        return max(0, max(ends) - self.at_ms) if ends and self.at_ms is not None else 0

    @property
    def cause(self) -> Cause:
        """The main cause."""
        return self.reasons[0].cause

    @property
    def text(self) -> str:
        """All reasons, for people."""
        return " ".join(each.text for each in self.reasons)


def explain(message_id: str, facts: Facts, record: bytes, *, silent_ms: int) -> Why:
    """Explain why a message waits, from what `lua/why.lua` returns.

    Parameters:
        message_id: the message's.
        facts: what is known of it.
        record: as it is stored; empty where it is not.
        silent_ms: after so long a silence a worker is taken for dead.
    """
    if not facts.get("state"):
        text = "The broker does not have it: it has ended, or was never sent here."
        return Why(message_id=message_id, reasons=(Reason("unknown", text),))
    queue, org, lane_name = (shown(each) for each in (*record.split(b"\n", 4), b"", b"", b"")[:3])
    lane = read_lane(lane_name)
    now_ms = _number(facts, "now") or 0
    listed = facts.get("workers")
    everyone = [read_worker(each, now_ms) for each in (listed if isinstance(listed, list) else [])]
    workers = [each for each in everyone if each.last_beat_s * 1_000 < silent_ms]
    reasons = _reasons(facts, record, queue, workers, everyone)
    return Why(
        message_id=message_id,
        reasons=tuple(reasons),
        queue=queue,
        org=read_org(org),
        actor=lane.actor,
        priority=lane.priority,
        concurrency_key=lane.key,
        at_ms=now_ms,
    )


def shut_reasons(facts: Facts) -> list[Reason]:
    """What holds a whole lane back, from what the scripts return: gates, the org's limit, its key's, its rate."""
    now_ms = _number(facts, "now") or 0
    reasons = list(_gates(facts, now_ms))
    active, limit = _number(facts, "active") or 0, _org_limit(facts)
    if facts.get("org_waits") == 1 or (limit is not None and active >= limit):
        limit = active if limit is None else limit
        text = f"Its org runs as much as it may: {active} of {limit}."
        reasons.append(Reason("org_limit", text, running=active, limit=limit))
    most, running = _number(facts, "key_most"), _number(facts, "key_active") or 0
    if most is not None and (running >= most or facts.get("key_waits") == 1):
        text = f"Its concurrency key is full: {running} of {most} run."
        reasons.append(Reason("key_full", text, running=running, limit=most, key=str(facts.get("key"))))
    until_ms = _rate_until(facts, blocked=bool(reasons))
    if until_ms is not None and until_ms > now_ms:
        text = f"Its org is over the actor's rate; the next may start at {_at(until_ms)}."
        reasons.append(Reason("rate", text, until_ms=until_ms))
    return reasons


def _reasons(
    facts: Facts, record: bytes, queue: str, workers: Sequence[WorkerView], everyone: Sequence[WorkerView]
) -> list[Reason]:
    state = facts["state"]
    if state == "dead":
        return [_dead(facts, record)]
    if state == "leased":
        return [_leased(facts, everyone, workers)]
    if state == "delayed":
        return [_delayed(facts)]
    reasons = _suspicion(facts)
    reasons += shut_reasons(facts)
    reasons += _nobody(queue, workers)
    if state == "ready":
        reasons += _ahead_of_it(facts)
    if not reasons or reasons[0].cause == "behind":
        reasons += _busy(queue, workers)
    return reasons or [_next(facts)]


def _dead(facts: Facts, record: bytes) -> Reason:
    since_ms = _number(facts, "since")
    try:
        error = json.loads(record.split(b"\n", 4)[-1])["options"]["error"]
        why = f"{error['category']} ({error['class']})"
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        why = "no error is kept with it"
    return Reason("dead", f"Dead-lettered at {_at(since_ms)}: {why}.", since_ms=since_ms)


def _leased(facts: Facts, everyone: Sequence[WorkerView], alive: Sequence[WorkerView]) -> Reason:
    since_ms = leased_ms(str(facts["token"]))
    worker = next((each for each in everyone if each.id == facts.get("worker")), None)
    place = worker.place if worker else str(facts.get("worker"))
    since = _at(since_ms)
    text = f"Worker {place} has it since {since}: it runs there, or is about to."
    if worker not in alive:
        text = f"Worker {place} had it since {since} and fell silent: another worker will take it over."
    return Reason("leased", text, since_ms=since_ms, worker=place)


def _delayed(facts: Facts) -> Reason:
    due_ms, parked = _number(facts, "due"), facts.get("parked")
    if not isinstance(parked, str):
        return Reason("delayed", f"Delayed until {_at(due_ms)}.", until_ms=due_ms)
    cause, _, key = parked.partition("\n")
    if is_held(key):
        text = f"Held until a worker of another version is there, and until {_at(due_ms)} at most: {cause}."
        return Reason("held", text, until_ms=due_ms, key=key)
    text = f"Parked until {_at(due_ms)}: {cause}."
    return Reason("parked", text, until_ms=due_ms, key=key or None)


def _suspicion(facts: Facts) -> list[Reason]:
    accounts = facts.get("deaths")
    if not isinstance(accounts, str):
        return []
    deaths, isolated, signal = (*accounts.split("|", 2), "", "")[:3]
    if whole(isolated) >= QUARANTINED:
        text = f"Its worker died {deaths} times while it ran, {isolated} times alone ({signal}); "
        text += "it will be dead-lettered."
        return [Reason("poison", text)]
    if facts["state"] != "suspect":
        return []
    text = f"Its worker died {deaths} times while it ran ({signal}); it waits to run alone in an idle worker."
    since_ms = _number(facts, "suspect_since")
    return [Reason("suspect", text, since_ms=since_ms)]


def _gates(facts: Facts, now_ms: int) -> Iterator[Reason]:
    gates = facts.get("gates")
    for gate, text in gates.items() if isinstance(gates, dict) else ():
        for source, until_ms, cause in _blocks(text):
            if until_ms and until_ms <= now_ms:
                continue
            ending = f"until {_at(whole(str(until_ms)))}" if until_ms else "until that is taken back"
            kind: Cause = "breaker" if source == BREAKERS else "paused"
            yield Reason(
                kind, f"{_sentence(cause)}, {ending}.", until_ms=whole(str(until_ms)) or None, key=gate
            )


def _blocks(text: str) -> list[tuple[str, float, str]]:
    """Who blocks a gate, until when and why; nobody where that cannot be read."""
    try:
        return sorted(
            (source, float(until_ms), str(why)) for source, (until_ms, why) in json.loads(text).items()
        )
    except (ValueError, TypeError, AttributeError, RecursionError):
        return []


def _nobody(queue: str, workers: Sequence[WorkerView]) -> list[Reason]:
    if any(each.queues is None for each in workers):
        return []  # one has only just started, and not published yet what it serves
    serving = [each for each in workers if queue in (each.queues or ())]
    if not serving:
        served = tuple(sorted({name for each in workers for name in each.queues or ()}))
        there = f"workers serve {', '.join(served)}" if served else "no worker runs at all"
        return [Reason("no_worker", f"No worker serves the queue {queue}; {there}.", served=served)]
    if all(each.quiet for each in serving):
        text = f"All workers of the queue {queue} are quiet: they fetch nothing until they are resumed."
        return [Reason("workers_quiet", text, running=len(serving))]
    unwell = [each.unwell for each in serving if each.unwell and not each.quiet]
    if unwell and len(unwell) == sum(not each.quiet for each in serving):
        text = f"All workers of the queue {queue} are unwell: {unwell[0]}."
        return [Reason("workers_unwell", text, running=len(serving))]
    return []


def _busy(queue: str, workers: Sequence[WorkerView]) -> list[Reason]:
    serving = [each for each in workers if not each.quiet and queue in (each.queues or ())]
    threads = sum(each.threads or 0 for each in serving)
    leased = sum(each.leased for each in serving)
    if not serving or any(each.threads is None or each.leased < each.threads for each in serving):
        return []
    text = f"All {threads} threads of the queue's workers are busy; they have leased {leased} messages."
    return [Reason("workers_busy", text, running=leased, limit=threads)]


def _ahead_of_it(facts: Facts) -> list[Reason]:
    place = _number(facts, "place")
    if place is None:
        length = _number(facts, "length")
        return [Reason("behind", f"It stands among the {length} messages of its own lane.")]
    others, lanes = _number(facts, "others") or 0, _number(facts, "lanes") or 0
    orgs, since_ms = _number(facts, "rank"), _number(facts, "since")
    ahead = place + others
    if ahead == 0:
        return []
    text = f"{ahead} of its own org go first: {place} of its own actor and priority"
    text += f", {others} in {lanes} of its other lanes that are older or more urgent." if others else "."
    if orgs:
        text += f" {orgs} other orgs go before its own."
    return [Reason("behind", text, since_ms=since_ms, ahead_in_lane=place, ahead=ahead, orgs_ahead=orgs)]


def _next(facts: Facts) -> Reason:
    orgs = _number(facts, "rank") or 0
    text = "Nothing holds it back: the next worker with a free thread takes it"
    text += f", after {orgs} other orgs' turns." if orgs else "."
    return Reason("next", text, since_ms=_number(facts, "since"), orgs_ahead=orgs)


def _org_limit(facts: Facts) -> int | None:
    share = facts.get("share")
    most = share.partition("|")[2] if isinstance(share, str) else ""
    return whole(most) if most else None


def _rate_until(facts: Facts, *, blocked: bool) -> int | None:
    """When the rate lets the next one start; a lane that nothing else holds back is aside for a rate."""
    times = [_number(facts, "starts_at"), None if blocked else _number(facts, "aside_until")]
    return max((each for each in times if each is not None), default=None)


def _number(facts: Facts, name: str) -> int | None:
    value = facts.get(name)
    if value is None or isinstance(value, bool):
        return None
    return whole(str(value))


def _at(ms: int | None) -> str:
    if ms is None:
        return "an unknown time"
    try:
        return f"{datetime.fromtimestamp(ms / 1_000, UTC):%Y-%m-%d %H:%M:%S}Z"
    except (ValueError, OverflowError, OSError):
        return "a time that no calendar has"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
