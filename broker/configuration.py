"""What is configured beside the messages: shares of orgs, start rates, gates; and what becomes of it at once."""

import json
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import redis

from .connection import ask
from .keys import gate_of, part
from .scripts import Argument, Script

#: Parked messages that one call releases.
_BATCH_SIZE: Final = 100
#: Gates that one call reads, or changes.
_GATES_AT_ONCE: Final = 250
#: Orgs that one call sets aside.
_HELD_AT_ONCE: Final = 70
#: Orgs that one call looks at.
_LANES_BATCH_SIZE: Final = 250

_CONFIGURE = Script("configure")
_DIED = Script("report_death")
_FREE_LANES = Script("free_lanes")
_HOLD_ORGS = Script("hold_orgs")
_LIMIT = Script("set_rates")
_RELEASE = Script("release")
_SHUT = Script("set_gates")


@dataclass(frozen=True)
class OrgShare:
    """What an org has of the fleet.

    Parameters:
        weight: its share of each queue relative to other orgs. Default 1.
        max_active: messages of it that may be leased at once, over all queues. Default None: the broker's default.

    Raises:
        ValueError: a number is too small.
    """

    weight: float = 1
    max_active: int | None = None

    def __post_init__(self) -> None:
        if not self.weight > 0 or (self.max_active is not None and self.max_active < 1):
            raise ValueError(
                f"a weight must be more than 0 and max_active at least 1, not {self.weight} and {self.max_active}; to "
                "stop an org, pause it"
            )


class Configuration:
    """Writes configuration where the scripts read it; every call replaces what was there, so it may be repeated.

    Parameters:
        client: of the server.
        base: the shard's base key.

    Raises:
        ConnectionClosed: From calls: the server does not answer.
        BrokerScriptError: From calls: the server refused.
    """

    def __init__(self, client: "redis.Redis", base: str) -> None:
        self._client = client
        self._base = base

    def configure_orgs(self, shares: Mapping[str, OrgShare]) -> int:
        """Replace the shares of all orgs; those not named have weight 1 and the default. Returns how many changed."""
        arguments: list[Argument] = []
        for org, share in shares.items():
            arguments += [part(org), f"{share.weight:g}", share.max_active or ""]
        return int(_CONFIGURE(self._client, self._base, arguments))

    def limit(self, actor: str, interval_ms: float, tolerance_ms: float) -> None:
        """Set how often an actor's jobs may start for one org; an interval of 0 removes the limit.

        What waits for a rate that held before is checked again at once.
        """
        name = part(actor)
        rate = (repr(interval_ms), repr(tolerance_ms)) if interval_ms > 0 else ("", "")
        queues = _LIMIT(self._client, self._base, [name, *rate])
        for queue in queues:
            self._free_lanes(name, queue)
        if queues:
            _FREE_LANES(self._client, self._base, [name, "", 0, 0, 0])

    def shut(self, source: str, gates: Mapping[str, tuple[int, str]]) -> bool:
        """Replace all gates that a source blocks, in batches; an empty mapping unblocks them all.

        Parameters:
            source: who blocks them.
            gates: `q:<queue>`, `a:<actor>`, `o:<org>` or `x:<org>:<actor>`; until when, in epoch milliseconds by the
                server's clock (0: until it is unblocked), and why.

        Returns:
            False if nothing changed.

        Raises:
            ValueError: a gate is none of these.
        """
        wanted = {gate_of(gate): (until_ms, cause) for gate, (until_ms, cause) in gates.items()}
        changes: list[tuple[Argument, ...]] = []
        for gate, blocks in self._gates():
            old, new = blocks.get(source), wanted.pop(gate, None)
            if new is None and old is not None:
                changes.append((gate, "", ""))
            elif new is not None and (old is None or tuple(old) != new):
                changes.append((gate, *new))
        changes += [(gate, *new) for gate, new in wanted.items()]
        held = [str(gate) for gate, until_ms, _ in changes if str(gate).startswith("a:") and until_ms != ""]
        changed = 0
        while changes:
            batch = [value for change in changes[:_GATES_AT_ONCE] for value in change]
            done, of_them = _SHUT(self._client, self._base, [source, *batch])
            del changes[:done]
            changed += of_them
        for gate in held:
            self._hold_orgs(gate.partition(":")[2])
        return changed > 0

    def _hold_orgs(self, actor: str) -> None:
        """Set aside what waits of an actor that was just blocked: whoever has something else to run goes on at once."""
        for queue in ask(self._client, "HKEYS", f"{self._base}:n"):
            looked_at, place = 1, 0
            while looked_at:
                looked_at, place = _HOLD_ORGS(self._client, self._base, [actor, queue, place, _HELD_AT_ONCE])

    def _gates(self) -> Iterator[tuple[str, dict[str, tuple[int, str]]]]:
        """All that are blocked, each once, by source: until when and why."""
        seen: set[bytes] = set()
        cursor: int | None = None
        while cursor != 0:
            cursor, found = ask(
                self._client, "HSCAN", f"{self._base}:g", cursor or 0, "COUNT", _GATES_AT_ONCE
            )
            for gate in found.keys() - seen:
                seen.add(gate)
                yield gate.decode(), json.loads(found[gate])

    def release(self, key: str) -> int:
        """Make due what is parked under a key. Returns how many messages."""
        released = 0
        while batch := int(_RELEASE(self._client, self._base, [key, _BATCH_SIZE])):
            released += batch
        return released

    def _free_lanes(self, actor: str, queue: str | bytes) -> None:
        looked_at, from_ms, skip = 1, "0", 0
        while looked_at:
            looked_at, from_ms, skip = _FREE_LANES(
                self._client, self._base, [actor, queue, from_ms, skip, _LANES_BATCH_SIZE]
            )

    def report_death(self, worker_id: str, code: int | None, *, stopped: bool) -> None:
        """Report that a supervisor saw a worker end: what it held comes back with the next call of anybody.

        Parameters:
            worker_id: whose.
            code: exit code, or the negative number of the signal that ended it.
            stopped: it was asked to end, so that its messages are not to blame.
        """
        ended = "unknown" if code is None else f"code {code}" if code >= 0 else _name_of(-code)
        what = "stopped" if stopped else ended
        _DIED(self._client, self._base, [worker_id, what])


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
