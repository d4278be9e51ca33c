"""An error at one write command of one script: what the call leaves behind is looked at, then the call is made anew."""

import copy
import hashlib
from collections.abc import Callable
from functools import cache
from typing import Any

from broker.errors import BrokerScriptError
from broker.scripts import Argument
from tests.broker.model.fleet import Fleet
from tests.broker.model.scripted import Clocked
from tests.broker.model.state import read
from tests.broker.model.structure import Broken, check

#: What stands at the head of every script.
_CLOCK = "local B = KEYS[1]\n"
#: Where a script calls the server, and what calls it instead.
_CALL = "  local reply = run(...)\n"
_FAILING = """
  local name, reply = (...), nil
  local reads = ' GET HGET HMGET HGETALL HEXISTS HKEYS HLEN EXISTS PTTL LRANGE LINDEX LLEN LPOS ZSCORE ZRANGE '
    .. 'ZRANGEBYSCORE ZRANK ZCARD SMEMBERS SISMEMBER SRANDMEMBER '
  if string.find(reads, ' ' .. name .. ' ', 1, true) then
    reply = run(...)
  else
    writes = writes + 1
    if writes == FAILING then
      reply = {err = 'ERR injected'}
    else
      reply = run(...)
    end
  end
"""


class Failing(Clocked):
    """A script whose n-th write is refused.

    Parameters:
        name: of the script.
        at: which write, from 1.
    """

    def __init__(self, name: str, at: int) -> None:
        super().__init__(name)
        assert self._source.count(_CALL) == 1, "scripts call the server in a way this does not know"
        failing = _FAILING.replace("FAILING", str(at))
        self._source = self._source.replace(_CLOCK, "local writes = 0\n" + _CLOCK).replace(_CALL, failing)
        self._sha = hashlib.sha1(self._source.encode(), usedforsecurity=False).hexdigest()


@cache
def _failing(name: str, at: int) -> Failing:
    return Failing(name, at)


class Injector:
    """Has one call of a script fail at its n-th write, looks at all keys, and makes the call again as it should be.

    Parameters:
        fleet: whose calls.
        name: of the script; None for whichever is called first.
        at: which write, from 1.
    """

    def __init__(self, fleet: Fleet, name: str | None, at: int) -> None:
        self._fleet = fleet
        self._run: Callable[..., Any] = fleet.shard.run
        self._name = name
        self._at = at
        self._truth = copy.deepcopy(fleet.truth)
        self.called = self.failed = False
        fleet.shard.run = self._inject  # type: ignore[method-assign]

    def disarm(self) -> None:
        """Have no further call fail."""
        self._fleet.shard.run = self._run  # type: ignore[method-assign]

    def _inject(self, name: str, *arguments: Argument) -> Any:
        if self._name not in (None, name):
            return self._run(name, *arguments)
        self.disarm()
        self.called = True
        shard = self._fleet.shard
        try:
            answer = _failing(name, self._at)(shard.client, shard.base, arguments)
        except BrokerScriptError as error:
            if "injected" not in str(error):
                raise
            self.failed = True
        else:
            return answer
        state = read(shard.client, shard.base)
        faults = self._truth.compare(state)
        if faults:
            raise Broken("\n".join(faults))
        check(state, now_ms=shard.now_ms)
        return self._run(name, *arguments)


#: What a scene does: it prepares a shard, arms the injector, makes the call and lets everything run.
Scene = Callable[[Fleet, Callable[[], None]], None]


def at_each_write(new_fleet: Callable[[], Fleet], name: str, scene: Scene) -> int:
    """Run a scene again and again, with an error at each write of the script in turn. Returns how many there are."""
    for at in range(1, 500):
        fleet = new_fleet()
        armed: list[Injector] = []
        scene(fleet, lambda fleet=fleet, at=at, armed=armed: armed.append(Injector(fleet, name, at)))  # type: ignore[misc]
        assert armed, "the scene arms nothing"
        assert armed[0].called, f"the scene never calls {name}"
        client = fleet.shard.client
        for key in client.scan_iter(f"{fleet.shard.base}:*"):
            client.delete(key)
        if not armed[0].failed:
            return at - 1
    raise AssertionError(f"{name} writes without end")
