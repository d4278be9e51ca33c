"""Clients, and what they do to a shard: after each call all keys are read and compared with what should be there."""

from typing import Any

import redis

from broker.leasing.lease import Lease, Sent
from tests.broker.model.aside import waits_for_nothing
from tests.broker.model.rates import change_rate
from tests.broker.model.scripted import Shard
from tests.broker.model.state import Header, State, Token, message_ids, read, without_beats
from tests.broker.model.structure import Broken, check, key_of
from tests.broker.model.truth import Truth
from tests.broker.model.worker import SILENT_MS, Fate, Worker

QUEUES = ("q", "r")
#: What may be left when all is done: configuration, the clock, and what guards keep.
LASTING = {"clock", "o", "r", "g", "skew"}


class Fleet:
    """Workers and senders of one shard.

    Parameters:
        client: of a server that nobody else uses.
        base: the shard's base key.
        modes: of the workers, as `broker/leasing/prefetch.py` has them.
    """

    def __init__(
        self, client: "redis.Redis", base: str, modes: tuple[str, ...] = ("any", "any", "any")
    ) -> None:
        self.shard = Shard(client, base)
        self.truth = Truth()
        self.state = State()
        self.max_active = 0
        self.shares: dict[str, int] = {}
        self.gates: dict[str, dict[str, int]] = {}
        #: Enqueues of which no answer came.
        self.unanswered: list[Sent] = []
        #: Something was found already.
        self.broken = False
        self._made = 0
        self.workers = [self._new_worker(mode) for mode in modes]
        #: Their processes are frozen, or cut off: they wake up later, and know nothing.
        self.sleepers: list[Worker] = []
        self._look()

    def send(
        self, sent: list[Sent], *, bounds: tuple[int, int, int] = (0, 0, 0), fate: Fate = "answered"
    ) -> bool:
        """Enqueue; whether it was let in. Bounds: most of a queue, most of an org, how many are still to come."""
        before, new = self.state, [each for each in sent if not self.truth.is_present(each)]
        reply = self.shard.run(
            "enqueue", *bounds, 0, 0, 0, "", 0, *(value for each in sent for value in each)
        )
        refused = self._is_too_full(sent, new, bounds)
        if bool(reply) != refused:
            raise Broken(f"10: {len(new)} new messages within {bounds} were answered with {reply}")
        if not refused:
            for each in sent:
                self.truth.accept(each, at_once=True)
        if fate != "answered" and not refused:
            self.unanswered += sent
        self._look()
        if refused and self.state != before:
            raise Broken("10: something of what was refused was written")
        for queue, delayed in self.state.delayed.items():
            first = min(delayed, key=lambda message_id: (delayed[message_id], message_id))
            if first not in before.records and queue not in self.state.tokens:
                raise Broken(f"7: {first} is the first to be due in {queue}, and no token tells of it")
        return not refused

    def fetch(self, worker: Worker, queue: str, room: int, fate: Fate = "answered") -> list[Lease]:
        """As a consumer does."""
        self.reconcile(worker)
        if worker.may_fetch(queue) is None:
            self.flush(worker)
            return []
        before = self.state
        refused = self.truth.end(before, worker.worker_id, worker.finished)
        self.truth.reclaim(before, worker.worker_id, self.shard.now_ms, SILENT_MS)
        fetched = worker.fetch(queue, room, self.max_active, fate)
        self._check_refused(worker, refused, fate)
        self._look(lambda after: self._check_fetched(before, after, worker.worker_id, queue, room))
        recorded_deaths = fate == "answered" and worker.isolated_in == queue and worker.idle
        if recorded_deaths and not self._may_run_isolated(queue):
            raise Broken("5: a worker is to make itself idle, and no suspect may run")
        return fetched or []

    def flush(self, worker: Worker, fate: Fate = "answered") -> None:
        """As its process's thread does, also when nothing is to be told."""
        before, recorded_deaths = self.state, len(worker.finished)
        refused = self.truth.end(before, worker.worker_id, worker.finished)
        victim = self.truth.reclaim(before, worker.worker_id, self.shard.now_ms, SILENT_MS)
        worker.flush(fate)
        self._check_refused(worker, refused, fate)
        self._look()
        if (
            refused == recorded_deaths
            and victim is None
            and without_beats(self.state) != without_beats(before)
        ):
            changed = [name for name, was in vars(before).items() if vars(self.state)[name] != was]
            raise Broken(f"3: an end that was refused has changed {changed}")

    def flush_with(self, worker: Worker, *queues: str) -> None:
        """A beat of a worker that fetches nothing; what is due of these queues becomes ready."""
        self.truth.end(self.state, worker.worker_id, worker.finished)
        self.truth.reclaim(self.state, worker.worker_id, self.shard.now_ms, SILENT_MS)
        worker.flush(queues=queues)
        self._look()

    def reconcile(self, worker: Worker) -> None:
        """After an answer got lost."""
        if worker.unsure:
            self.truth.give_back(self.state, worker.worker_id, [*worker.holds, *worker.finished])
            worker.reconcile()
            self._look()

    def put_to_sleep(self, number: int) -> None:
        """The worker falls silent; another takes its place. What it held it believes to hold."""
        worker = self.workers[number]
        self.sleepers.append(worker)
        self.workers[number] = self._new_worker(worker.mode)
        silent = self.shard.now_ms - SILENT_MS - 1
        self.shard.client.zadd(self.shard.key("workers"), {worker.worker_id: silent}, xx=True)
        self._look()

    def leave(self, number: int) -> None:
        """The worker ends in good order, if it may."""
        worker = self.workers[number]
        self.reconcile(worker)
        held = bool(self.state.leases.get(worker.worker_id))
        left = self.shard.run("leave", worker.worker_id)
        if held and left:
            raise Broken("4: a worker left that holds leases")
        self._look()
        if not held:
            self.workers[number] = self._new_worker(worker.mode)

    def report(self, worker: Worker, what: str) -> None:
        """A supervisor saw it end."""
        self.shard.run("report_death", worker.worker_id, what)
        self._look()
        if self.state.workers.get(worker.worker_id, 0.0) > 0:
            raise Broken("4: a death was reported, and the worker counts as one that has just beaten")

    def release(self, key: str) -> None:
        """What is parked under a key is due."""
        due = self.state.parked_keys.get(key, set())
        while self.shard.run("release", key, 2):
            pass
        self._look()
        for each in self.state.delayed.values():
            for message_id in due & each.keys():
                if each[message_id] > self.shard.now_ms + self.state.lead_ms:
                    raise Broken(f"9: {message_id} was released and is not due")

    def shut(self, source: str, gates: dict[str, int]) -> None:
        """Replace what a source has shut: gate -> until ms, 0 for until it is opened."""
        self.gates[source] = gates
        open_now = [
            gate for gate, sources in self.state.gates.items() if source in sources and gate not in gates
        ]
        values = [value for gate, until in gates.items() for value in (gate, until, "because")]
        self.shard.run(
            "set_gates", source, *values, *(value for gate in open_now for value in (gate, "", ""))
        )
        self._look()

    def limit_orgs(self, shares: dict[str, int]) -> None:
        """Replace what orgs may have leased; their weights differ as well."""
        self.shares = shares
        self.shard.run(
            "configure", *(value for org, most in shares.items() for value in (org, most / 2, most))
        )
        self._look()

    def limit_rate(self, actor: str, rate: tuple[float, float] | None) -> None:
        """Set an actor's start rate: interval and tolerance in milliseconds."""
        if rate is None:
            self.truth.rates.pop(actor, None)
        else:
            self.truth.rates[actor] = rate
        change_rate(self.shard, actor, rate)
        self._look()

    def drop_all(self, queue: str) -> None:
        """Flush a queue."""
        orgs = self.state.numbers("no")
        standing = [entries for (where, *_), entries in self.state.lanes.items() if where == queue]
        self._clean(queue, *orgs)
        for message_id in (each for entries in standing for each in message_ids(entries)):
            self.truth.lives[self.state.records[message_id].enqueue_id].ended = "flushed"
        while self.shard.run("flush", queue, 2):
            pass
        for life in self.truth.lives.values():
            if life.header.queue == queue and life.ended is None:
                life.ended = "flushed"
        self._look()
        if self.state.dead.get(queue):
            raise Broken("1: dead letters are left of what was flushed")

    def clean_lanes(self, queue: str, org: str) -> None:
        """Drop what stands in an org's lanes."""
        for (where, whose, _), entries in self.state.lanes.items():
            for message_id in message_ids(entries) if (where, whose) == (queue, org) else ():
                self.truth.lives[self.state.records[message_id].enqueue_id].ended = "dropped"
        self._clean(queue, org)
        self._look()

    def clean_aside(self, queue: str, org: str, *states: str) -> None:
        """Drop what an org has waiting for its time, or to run alone."""
        suspects = "suspect" in states
        for message_id in (self.state.suspects if suspects else self.state.delayed).get(queue, {}):
            header = self.state.records[message_id]
            put_off = "parked" if message_id in self.state.hashes.get("p", {}) else "delayed"
            state = "suspect" if suspects else put_off
            if header.org == org and state in states:
                self.truth.lives[header.enqueue_id].ended = "dropped"
        from_ms, skip, looked_at = "-inf", 0, 2
        while looked_at:
            reply = self.shard.run(
                "clean_aside", "qx" if suspects else "qd", queue, org, "", "inf", 0, from_ms, skip, 2, *states
            )
            _, looked_at, from_ms, skip = reply
        self._look()

    def reprioritise(self, message_id: str, priority: int) -> None:
        """Give a message that waits another priority."""
        header = self.state.records[message_id]
        actor, _, *key = header.lane.split(":")
        lane = ":".join((actor, str(priority), *key))
        standing = self.state.lanes.get((header.queue, header.org, header.lane), [])
        entry = next((each for each in standing if each.partition("|")[2] == message_id), "")
        record = self.shard.client.hget(self.shard.key("m"), message_id)
        assert isinstance(record, bytes)
        new = record.replace(f"\n{header.lane}\n".encode(), f"\n{lane}\n".encode(), 1)
        if new != record and self.shard.run("reprioritise", message_id, record, new, entry):
            life = self.truth.lives[header.enqueue_id]
            life.header, life.serial = header._replace(lane=lane), None
        self._look()

    def claim(self, name: str, owner: str) -> str:
        """A guard notes who works on something; the key of it."""
        key = self.shard.key("op", name)
        self.shard.client.hset(key, "owner", owner)
        self.truth.claims[key] = owner
        self._look()
        return key

    def run(self, name: str, *arguments: str | int) -> Any:
        """Another script, of which nothing more is known than that it breaks nothing."""
        answer = self.shard.run(name, *arguments)
        self._look()
        return answer

    def advance(self, ms: int) -> None:
        """Time passes; workers that live have beaten meanwhile."""
        self.shard.advance(ms)
        self.shard.client.set(self.shard.key("heard"), self.shard.now_ms, px=ms + 60_000)
        beats = {
            each.worker_id: self.shard.now_ms for each in self.workers if each.worker_id in self.state.workers
        }
        if beats:
            self.shard.client.zadd(self.shard.key("workers"), beats, xx=True)
        self._look()

    def _clean(self, queue: str, *orgs: str) -> None:
        left, place, rank = list(orgs), 0, 0
        while left:
            _, through, place, rank = self.shard.run("clean_lanes", queue, "", "inf", 0, place, rank, *left)
            del left[:through]

    def step_back(self, ms: int) -> None:
        """The server's clock is put back; nobody has called since."""
        self.shard.advance(-ms)
        self._look()

    def _lead_ms(self) -> float:
        """By which timers are ahead of the clock, or will be once anybody is heard."""
        ahead_ms = float(self.state.strings.get("heard", 0)) - self.shard.now_ms
        return self.state.lead_ms + (ahead_ms if ahead_ms > SILENT_MS else 0)

    def _new_worker(self, mode: str) -> Worker:
        self._made += 1
        return Worker(self.shard, f"w{self._made}", mode)

    def _look(self, more: Any = None) -> None:
        self.broken = True
        before, self.state = self.state, read(self.shard.client, self.shard.base)
        faults = more(self.state) if more else []
        faults += [
            f"8: the time of {name} fell from {time} to {self.state.strings[name]}"
            for name, time in before.strings.items()
            if name.startswith("qt:") and float(self.state.strings.get(name, time)) < float(time)
        ]
        faults += self.truth.compare(self.state)
        faults += waits_for_nothing(
            self.state, self.gates, self.truth.rates, self.shard.now_ms, self._lead_ms()
        )
        if faults:
            raise Broken("\n".join(faults))
        check(self.state, now_ms=self.shard.now_ms)
        self.broken = False

    def _is_too_full(self, sent: list[Sent], new: list[Sent], bounds: tuple[int, int, int]) -> bool:
        most_of_queue, most_of_org, more = bounds
        for place, most, name, extra in ((0, most_of_queue, "n", more), (1, most_of_org, "no", 0)):
            coming = [each.record.decode().split("\n")[place] for each in new]
            for each in set(coming) if most else ():
                if self.state.numbers(name).get(each, 0) + coming.count(each) + extra > most:
                    return True
        return False

    def _check_refused(self, worker: Worker, refused: int, fate: Fate) -> None:
        if fate == "answered" and worker.refused != refused:
            raise Broken(f"3: {worker.refused} ends were refused, not {refused}")

    def _check_fetched(self, before: State, after: State, worker_id: str, queue: str, room: int) -> list[str]:
        known = {token.text for token in before.leases.get(worker_id, {}).values()}
        new = [
            (message_id, token)
            for message_id, token in after.leases.get(worker_id, {}).items()
            if token.text not in known
        ]
        faults = []
        if len(new) > room:
            faults.append(f"{len(new)} messages were leased where there was room for {room}")
        if new and worker_id in before.sets.get("quiet", set()):
            faults.append("a worker that was to be quiet has fetched")
        for message_id, token in sorted(new, key=lambda each: each[1].number):
            header = after.records[message_id]
            actor = header.lane.partition(":")[0]
            gates = {f"q:{queue}", f"a:{actor}", f"o:{header.org}", f"x:{header.org}:{actor}"}
            faults += [
                f"9: {message_id} was leased, and {gate} is shut" for gate in gates if self._is_shut(gate)
            ]
            if before.delayed.get(queue, {}).get(message_id, 0) > self.shard.now_ms + after.lead_ms:
                faults.append(f"6: {message_id} was leased before it was due")
            faults += self.truth.lease(header, token, self.shard.now_ms, after.lead_ms)
            faults += self._over(after, header, token)
        return faults

    def _over(self, state: State, header: Header, token: Token) -> list[str]:
        org = header.org
        # One that is to run alone does not wait for a busy org.
        most = 0 if token.flag == "a" else self.shares.get(org) or self.max_active
        before = [
            message_id for message_id, (_, each) in state.leased().items() if each.number <= token.number
        ]
        leased = [state.records[message_id] for message_id in before]
        faults = []
        if org and most and (of_org := sum(each.org == org for each in leased)) > most:
            faults.append(f"9: {of_org} messages of {org} are leased, and it may have {most}")
        key = key_of(header.lane)
        if org and key:
            keys = [known[0] for each in leased if each.org == org and (known := key_of(each.lane))]
            if keys.count(key[0]) > key[1]:
                faults.append(f"9: {keys.count(key[0])} of {key} run for {org}")
        return faults

    def _may_run_isolated(self, queue: str) -> bool:
        for message_id in self.state.suspects.get(queue, {}):
            _, org, lane, _ = self.state.records[message_id]
            actor, key = lane.partition(":")[0], key_of(lane)
            full = org and key and self.state.numbers("ak").get(f"{org}\n{key[0]}", 0) >= key[1]
            shut = [f"a:{actor}", f"o:{org}", f"x:{org}:{actor}", f"q:{queue}"]
            if not full and not any(self._is_shut(gate) for gate in shut):
                return True
        return False

    def _is_shut(self, gate: str) -> bool:
        found = [gates[gate] for gates in self.gates.values() if gate in gates]
        return any(until == 0 or until > self.shard.now_ms for until in found)
