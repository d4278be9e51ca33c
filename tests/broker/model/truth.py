"""What the model knows of messages, limits and gates, apart from what the server says."""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from broker.leasing.lease import BACK, DEAD, Lease, Sent
from tests.broker.model.state import Header, State, Token
from tests.broker.model.structure import Broken

#: Deaths after which a message runs alone, and lonely ones after which it does not run.
SUSPECT: Final = 2
QUARANTINED: Final = 2


@dataclass
class Life:
    """One copy of a message, from the enqueue that brought it to its end."""

    header: Header
    #: Its place among what was sent to be run at once; None for what came in another way.
    serial: int | None
    leased: int = 0
    deaths: int = 0
    isolated: int = 0
    ended: str | None = None


@dataclass
class Truth:
    """Everything that was accepted, and what became of it."""

    lives: dict[str, Life] = field(default_factory=dict)
    #: Start times of rates, as the generic cell rate algorithm has them.
    arrivals: dict[tuple[str, str], float] = field(default_factory=dict)
    rates: dict[str, tuple[float, float]] = field(default_factory=dict)
    #: Hashes that ends of leases change: what their field says.
    claims: dict[str, str] = field(default_factory=dict)
    #: What has just become a dead letter.
    buried: list[tuple[str, str]] = field(default_factory=list)
    serials: int = 0
    last_serial: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def accept(self, sent: Sent, *, at_once: bool) -> None:
        """An enqueue has arrived; one that is here already changes nothing."""
        header = Header(*sent.record.decode().split("\n", 4)[:4])
        known = self.lives.get(sent.enqueue_id)
        if known is None or known.ended is not None:
            self.serials += 1
            self.lives[sent.enqueue_id] = Life(
                header, self.serials if at_once and sent.delay_ms == 0 else None
            )

    def is_present(self, sent: Sent) -> bool:
        """Whether this enqueue has arrived, and has not ended."""
        known = self.lives.get(sent.enqueue_id)
        return known is not None and known.ended is None

    def end(self, state: State, worker_id: str, batch: list[Lease]) -> int:
        """Leases end, where they are the sender's; how many were not."""
        valid: dict[str, Lease] = {}
        held = state.leases.get(worker_id, {})
        for lease in batch:
            token = held.get(lease.message_id)
            if token is not None and token.text == lease.token and lease.message_id not in valid:
                valid[lease.message_id] = lease
        for message_id, lease in valid.items():
            header = state.records[message_id]
            if lease.refund or lease.outcome == BACK:
                self._refund(header, Token(lease.token))
            if lease.outcome != BACK:
                self.lives[header.enqueue_id].ended = lease.outcome
            if lease.outcome == DEAD:
                self.buried.append((header.queue, message_id))
        for lease in valid.values():
            if lease.outcome != BACK:
                ended = self.lives[state.records[lease.message_id].enqueue_id]
                for sent in lease.carried:
                    self.accept(sent, at_once=False)
                    # One that is parked has not shown that it can end.
                    if sent.parked and sent.message_id == lease.message_id.partition("~")[0]:
                        again = self.lives[sent.enqueue_id]
                        again.deaths, again.isolated = ended.deaths, ended.isolated
                for each in lease.operations:
                    if self.claims.get(each.key) == each.expected:
                        self.claims.pop(each.key)
                        if each.new is not None:
                            self.claims[each.key] = each.new[1]
        return len(batch) - len(valid)

    def reclaim(self, state: State, caller: str, now_ms: int, silent_ms: int) -> str | None:
        """The worker that is silent for longest is taken for dead; which, if any."""
        # A beat that is to come is of a clock that has been put back since.
        beats = {
            each: float(now_ms) if at_ms > now_ms + silent_ms else at_ms
            for each, at_ms in state.workers.items()
        }
        workers = {**beats, caller: float(now_ms)}
        victim = min(workers, key=lambda worker_id: (workers[worker_id], worker_id))
        heard_ms = float(state.strings.get("heard", now_ms))
        # Where nobody was heard, it was the server that was away.
        away = heard_ms < now_ms - silent_ms or float(state.strings.get("up", math.inf)) <= now_ms + silent_ms
        if workers[victim] >= now_ms - silent_ms or (away and workers[victim] > 0):
            return None
        held = state.leases.get(victim, {})
        blamed = state.strings.get(f"dw:{victim}") != "stopped"
        for message_id, token in held.items():
            header = state.records[message_id]
            life = self.lives[header.enqueue_id]
            if not blamed:
                self._refund(header, token)
            elif token.flag != "p":
                life.deaths += 1
                life.isolated += token.flag == "a"
                if token.flag == "a" and len(held) > 1:
                    raise Broken(
                        f"5: {message_id} was to run alone, and {len(held) - 1} others ran beside it"
                    )
        return victim

    def give_back(self, state: State, worker_id: str, known: list[Lease]) -> None:
        """Leases of which their worker does not know come back."""
        mine = {(lease.message_id, lease.token) for lease in known}
        for message_id, token in state.leases.get(worker_id, {}).items():
            if (message_id, token.text) not in mine:
                self._refund(state.records[message_id], token)

    def lease(self, header: Header, token: Token, now_ms: int, lead_ms: int) -> list[str]:
        """A message is leased; what is wrong with that."""
        faults = []
        life = self.lives[header.enqueue_id]
        place = (header.queue, header.org, header.lane)
        if life.serial is not None and life.leased == 0:
            if life.serial < self.last_serial[place]:
                faults.append(f"8: {header.enqueue_id} was sent before one of {place} that is leased already")
            self.last_serial[place] = max(self.last_serial[place], life.serial)
        life.leased += 1
        actor = header.lane.partition(":")[0]
        rate = self.rates.get(actor)
        if rate and token.flag != "a" and header.org:
            interval_ms, tolerance_ms = rate
            due = max(self.arrivals.get((header.org, actor), 0.0) - lead_ms, now_ms)
            if due > now_ms + interval_ms + tolerance_ms + 1:
                due = now_ms + tolerance_ms  # by a slower rate that holds no more
            if due - tolerance_ms > now_ms + 0.01:
                faults.append(f"9: {actor} starts for {header.org} before its rate lets it")
            self.arrivals[header.org, actor] = due + interval_ms + lead_ms
        return faults

    def compare(self, state: State) -> list[str]:
        """What the server holds, and should not; and the other way round."""
        there = Counter(header.enqueue_id for header in state.records.values())
        due = {enqueue_id for enqueue_id, life in self.lives.items() if life.ended is None}
        faults = [
            f"1: {enqueue_id} is there {times} times" for enqueue_id, times in there.items() if times > 1
        ]
        faults += [
            f"1: {enqueue_id} was accepted, has not ended and is gone" for enqueue_id in due - there.keys()
        ]
        faults += [
            f"1: {enqueue_id} has ended, or never came, and is there" for enqueue_id in there.keys() - due
        ]
        faults += [
            f"1: {message_id} is dead, and no letter"
            for queue, message_id in self.buried
            if message_id not in state.dead.get(queue, {})
        ]
        self.buried.clear()
        faults += self._poison(state)
        held = {
            name.removeprefix("op:"): fields["owner"]
            for name, fields in state.hashes.items()
            if name.startswith("op:")
        }
        claims = {key.rpartition(":op:")[2]: owner for key, owner in self.claims.items()}
        if held != claims:
            faults.append(f"2: what ends were to change is {held}, and should be {claims}")
        return faults

    def _poison(self, state: State) -> list[str]:
        faults = []
        isolated = {message_id for each in state.suspects.values() for message_id in each}
        delayed = {message_id for each in state.delayed.values() for message_id in each}
        leased = state.leased()
        recorded_deaths = state.hashes.get("d", {})
        for message_id, header in state.records.items():
            life = self.lives.get(header.enqueue_id)
            if life is None:
                continue
            flag = leased[message_id][1].flag if message_id in leased else None
            suspect = life.deaths >= SUSPECT and life.isolated < QUARANTINED
            quarantined = life.isolated >= QUARANTINED
            if message_id not in delayed and (message_id in isolated or flag == "a") != suspect:
                faults.append(
                    f"5: {message_id} died {life.deaths} times ({life.isolated} alone): alone is {not suspect}"
                )
            if (flag == "p") != (quarantined and flag is not None):
                faults.append(f"5: {message_id} died alone {life.isolated} times and has the flag {flag!r}")
            deaths, isolated_deaths, _ = recorded_deaths.get(message_id, "0|0|").split("|", 2)
            if (int(deaths), int(isolated_deaths)) != (life.deaths, life.isolated):
                faults.append(
                    f"5: {message_id} is charged {recorded_deaths.get(message_id)}, not {life.deaths}, {life.isolated}"
                )
        return faults

    def _refund(self, header: Header, token: Token) -> None:
        place = (header.org, header.lane.partition(":")[0])
        if token.interval_ms and place in self.arrivals:
            self.arrivals[place] -= token.interval_ms
