"""What holds of a shard's keys at every moment, whatever was done before (invariants 1, 5, 8 and 9)."""

from collections import Counter
from collections.abc import Iterator

from broker.keys import COUNTED
from tests.broker.model.state import HELD, Lane, State, message_ids

#: A lane that waits until then waits for somebody to open it.
NEVER_MS = 9e15


class Broken(AssertionError):
    """An invariant does not hold."""


def check(state: State, *, now_ms: int) -> None:
    """Look for what may not be.

    Raises:
        Broken: with all that was found.
    """
    faults = [
        *_one_place_each(state),
        *_counters(state),
        *_bytes(state),
        *_parked(state),
        *_delayed(state, now_ms),
        *_dead(state),
        *_order(state),
        *_shares(state),
        *_ages(state),
        *_reachable(state, now_ms),
        *_owned(state),
    ]
    if faults:
        raise Broken("\n".join(faults))


def key_of(lane: str) -> tuple[str, int] | None:
    """The concurrency key of a lane, and how many of it may run."""
    _, _, *key = lane.split(":")
    return (key[0], int(key[1])) if key else None


def _one_place_each(state: State) -> Iterator[str]:
    locations = state.locations()
    for message_id, times in Counter(message_id for message_id, _ in locations).items():
        if times > 1:
            yield f"1: {message_id} stands {times} times: {[place for each, place in locations if each == message_id]}"
    standing = {message_id for message_id, _ in locations}
    for message_id in state.records.keys() - standing:
        yield f"1: {message_id} is lost: there is a record, and it stands nowhere"
    for message_id in standing - state.records.keys():
        yield f"1: {message_id} stands somewhere and has no record"
    for (queue, org, lane), entries in state.lanes.items():
        for message_id in message_ids(entries):
            header = state.records.get(message_id)
            if header and (header.queue, header.org, header.lane) != (queue, org, lane):
                yield f"1: {message_id} stands in another's lane: {(queue, org, lane)}"


def _counters(state: State) -> Iterator[str]:
    leased = [
        state.records[message_id]
        for held in state.leases.values()
        for message_id in held
        if message_id in state.records
    ]
    keys = [(each.org, key_of(each.lane)) for each in leased]
    due = {
        "n": Counter(each.queue for each in state.records.values()),
        "no": Counter(each.org for each in state.records.values()),
        "a": Counter(each.org for each in leased),
        "aq": Counter(each.queue for each in leased),
        "ak": Counter(f"{org}\n{key[0]}" for org, key in keys if org and key),
    }
    for name, expected in due.items():
        # What belongs to no org is not limited, and the slots of its keys are nobody's.
        found = {each: number for each, number in state.numbers(name).items() if each[:1] != "\n"}
        if found != dict(expected):
            yield f"1: counter {name} says {found}, there are {dict(expected)}"


def _bytes(state: State) -> Iterator[str]:
    due: Counter[str] = Counter()
    for message_id, header in state.records.items():
        if header.enqueue_id.startswith(COUNTED):
            due[f"q:{header.queue}"] += state.sizes[message_id]
            due[f"o:{header.org}"] += state.sizes[message_id]
    if (found := state.numbers("by")) != dict(due):
        yield f"10: the bytes are {found}, and should be {dict(due)}"


def _parked(state: State) -> Iterator[str]:
    parked = state.hashes.get("p", {})
    kinds: Counter[str] = Counter()
    for message_id, text in parked.items():
        header = state.records.get(message_id)
        if header is None or message_id not in state.delayed.get(header.queue, {}):
            yield f"1: {message_id} is parked and not among what waits"
            continue
        cause, _, key = text.partition("\n")
        kinds[f"{header.queue}\n{(key or cause).partition(':')[0]}"] += 1
    if (found := state.numbers("pn")) != dict(kinds):
        yield f"1: counter pn says {found}, there are {dict(kinds)}"
    for key, members in state.parked_keys.items():
        for message_id in members:
            if parked.get(message_id, "").partition("\n")[2] != key:
                yield f"1: {message_id} is to be released by {key} and is not parked under it"


def _delayed(state: State, now_ms: int) -> Iterator[str]:
    expected: dict[tuple[str, str], dict[str, float]] = {}
    for queue, delayed in state.delayed.items():
        for message_id, due_ms in delayed.items():
            if header := state.records.get(message_id):
                expected.setdefault((queue, header.org), {})[message_id] = due_ms
    if state.delayed_by_org != expected:
        yield f"6: by org these are delayed: {state.delayed_by_org}, by queue {expected}"
    due = {queue: set(orgs) for queue, orgs in state.due_orgs.items()}
    for queue in {*due, *(queue for queue, _ in expected)}:
        orgs = {org for each, org in expected if each == queue}
        if due.get(queue, set()) != orgs:
            yield f"6: {sorted(orgs)} have messages delayed in {queue}, {due.get(queue)} are checked"
    for (queue, org), delayed in expected.items():
        at_ms = state.due_orgs.get(queue, {}).get(org, 0)
        if at_ms > max(now_ms + state.lead_ms, min(delayed.values())):
            yield f"6: {org} is checked at {at_ms} in {queue}, and has something due before"


def _dead(state: State) -> Iterator[str]:
    for queue in state.dead.keys() | state.dead_records.keys():
        index, records = state.dead.get(queue, {}), state.dead_records.get(queue, {})
        if index.keys() != records.keys():
            yield f"1: dead letters of {queue} are {sorted(records)}, their index says {sorted(index)}"


def _order(state: State) -> Iterator[str]:
    standing = {(queue, org): lanes for (queue, org), lanes in state.ordered_lanes.items()}
    for (queue, org, actor), others in state.other_lanes.items():
        shown = [lane for lane in standing.get((queue, org), {}) if lane in others]
        if shown != [min(others, key=lambda lane: (others[lane], lane))]:  # called at once
            yield f"8: of the lanes {others} of {actor} and {org} in {queue}, {shown} stand in the org's order"
        standing[queue, org] = {**standing.get((queue, org), {}), **others}
    for (queue, org), lanes in standing.items():
        for lane, score in lanes.items():
            entries = state.lanes.get((queue, org, lane))
            if not entries:
                yield f"8: lane {lane} of {org} stands in {queue} and is empty"
                continue
            due = int(entries[0].partition("|")[0]) + 1_000 * int(lane.split(":")[1])
            if score - (HELD if score >= HELD else 0) != due:
                yield f"8: lane {lane} of {org} in {queue} has score {score}, its head says {due}"
    for queue, org, lane in state.lanes:
        if lane not in standing.get((queue, org), {}):
            yield f"8: lane {lane} of {org} does not stand in its order in {queue}"


def _shares(state: State) -> Iterator[str]:
    configured = {org: float(text.partition("|")[0]) for org, text in state.hashes.get("o", {}).items()}
    charged: Counter[str] = Counter()
    for message_id, (_, token) in state.leased().items():
        if message_id in state.records:
            charged[state.records[message_id].queue] += token.charged_ms  # type: ignore[assignment]
    for queue in {*state.ready, *state.ahead, *charged, *_queues(state, "qw"), *_queues(state, "qc")}:
        ready, ahead = state.ready.get(queue, {}), state.ahead.get(queue, {})
        if both := ready.keys() & ahead.keys():
            yield f"8: {sorted(both)} wait in {queue} and have left it"
        extra = sum(configured.get(org, 1.0) - 1 for org in {*ready, *ahead})
        # A share that changes counts at once where there are messages.
        has_messages = queue in state.numbers("n")
        if has_messages and abs((found := float(state.strings.get(f"qw:{queue}", 0))) - extra) > 0.001:
            yield f"8: weights in {queue} are {extra} beyond their number, qw says {found}"
        if abs((found := float(state.strings.get(f"qc:{queue}", 0))) - charged[queue]) > 0.01:
            yield f"8: leases of {queue} were charged {charged[queue]}, qc says {found}"


def _ages(state: State) -> Iterator[str]:
    for queue in state.ages.keys() | state.ready.keys():
        ages, ready = state.ages.get(queue, {}), state.ready.get(queue, {})
        if ages.keys() != ready.keys():
            yield f"8: {sorted(ready)} are ready in {queue}, and {sorted(ages)} wait since some time"
        for org, age in ages.items():
            shown = state.ordered_lanes.get((queue, org), {})
            lanes = {lane: score for lane, score in shown.items() if score < HELD}
            first = min(lanes, key=lambda lane: (lanes[lane], lane), default=None)
            if first and int(age) > (since := int(state.lanes[queue, org, first][0].partition("|")[0])):
                yield f"8: {org} waits in {queue} since {since}, and is taken to wait since {age}"


def _queues(state: State, name: str) -> set[str]:
    return {key.partition(":")[2] for key in state.strings if key.startswith(f"{name}:")}


def _reachable(state: State, now_ms: int) -> Iterator[str]:
    for queue, org, lane in state.lanes:
        if not _lane_is_reachable(state, (queue, org, lane), now_ms):
            yield f"9: lane {lane} of {org} in {queue} waits, and nothing will let it in"
        elif lane in state.open_lanes(queue, org) and not _org_is_reachable(state, queue, org):
            yield f"9: org {org} waits in {queue}, and nothing will let it in"
    for queue, orgs in state.ready.items():
        if orgs and queue not in state.tokens and not _is_shut(state, f"q:{queue}"):
            yield f"7: {queue} has work, and no token tells of it"
        for org in orgs:
            if not state.open_lanes(queue, org):
                yield f"8: org {org} is ready in {queue} and has no lane that is"


def _lane_is_reachable(state: State, place: Lane, now_ms: int) -> bool:
    queue, org, lane = place
    if lane in state.open_lanes(queue, org):
        return True
    key, actor = key_of(lane), lane.partition(":")[0]
    if key and (queue, lane) in state.waiting_lanes.get((org, key[0]), set()):
        is_leased = state.numbers("ak").get(f"{org}\n{key[0]}", 0) > 0
        if is_leased or (org, key[0]) in state.due_keys:
            return True
    if org in state.behind_gates.get((queue, actor), set()):
        at_ms = state.blocked_actors.get(queue, {}).get(actor)
        if at_ms is not None and state.gates_due.get(queue, NEVER_MS) <= at_ms:
            return at_ms < NEVER_MS or _is_shut(state, f"a:{actor}")
    return _will_be_looked_at(state, queue, (org, actor), f"a:{actor}", f"x:{org}:{actor}")


def _org_is_reachable(state: State, queue: str, org: str) -> bool:
    if org in state.ready.get(queue, {}):
        return True
    if queue in state.waiting_orgs.get(org, set()):
        return state.numbers("a").get(org, 0) > 0
    return _will_be_looked_at(state, queue, (org, ""), f"o:{org}")


def _will_be_looked_at(state: State, queue: str, what: tuple[str, str], *gates: str) -> bool:
    at_ms = state.aside.get(queue, {}).get(what)
    if at_ms is None:
        return False
    return at_ms < NEVER_MS or any(_is_shut(state, gate) for gate in gates)


def _is_shut(state: State, gate: str) -> bool:
    return gate in state.gates


def _owned(state: State) -> Iterator[str]:
    for worker_id in state.leases.keys() - state.workers.keys():
        yield f"4: {worker_id} holds leases and is on no list, so nobody would take them back"
    numbers = [token.number for held in state.leases.values() for token in held.values()]
    if len(set(numbers)) != len(numbers):
        yield "3: two leases have one number"
    for name in ("wi", "quiet"):
        for worker_id in {*state.hashes.get(name, {}), *state.sets.get(name, set())} - state.workers.keys():
            yield f"4: {name} speaks of {worker_id}, which is not there"
