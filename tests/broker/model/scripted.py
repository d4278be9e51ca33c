"""The real scripts with one thing changed: a key says what time it is, so that a step may be an hour."""

import hashlib
from typing import Any, Final

import redis

from broker.scripts import Argument, Script

#: What every script begins with, and what stands there in its place.
_CLOCK: Final = "local now = math.floor(time[1] * 1000 + time[2] / 1000)"
_OURS: Final = "local now = tonumber(redis.call('GET', B .. ':clock'))"

#: Keys live by the server's own clock: what is left of their time is shortened by as much. Not that of tokens: who
#: waits for one looks by himself before it is gone.
_ADVANCE: Final = """
for _, key in ipairs(redis.call('KEYS', KEYS[1] .. ':*')) do
  local left = redis.call('PTTL', key)
  if left > 0 and tonumber(ARGV[1]) > 0 and not string.find(key, ':wake:', 1, true) then
    left = left - ARGV[1]
    -- What has but moments left would be gone between two looks; a rate's time has to stay until it is over.
    redis.call('PEXPIRE', key, (left > 200 or string.find(key, ':t:', 1, true)) and math.max(0, left) or 0)
  end
end
redis.call('SET', KEYS[1] .. ':clock', ARGV[2])
"""


class Clocked(Script):
    """A script that takes the time from `B:clock`, in milliseconds."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        assert self._source.count(_CLOCK) == 1, f"{name} asks for the time in a way this does not know"
        self._source = self._source.replace(_CLOCK, _OURS)
        self._sha = hashlib.sha1(self._source.encode(), usedforsecurity=False).hexdigest()


class Shard:
    """A shard of its own, with a clock of its own and all scripts."""

    def __init__(self, client: "redis.Redis", base: str, *, now_ms: int = 1_700_000_000_000) -> None:
        self.client = client
        self.base = base
        self.now_ms = now_ms
        self._scripts: dict[str, Clocked] = {}
        self.advance(0)

    def run(self, name: str, *arguments: Argument) -> Any:
        """Call a script."""
        script = self._scripts.get(name)
        if script is None:
            script = self._scripts[name] = Clocked(name)
        return script(self.client, self.base, arguments)

    def advance(self, ms: int) -> None:
        """So much later; what expires meanwhile is gone."""
        self.now_ms += ms
        self.client.eval(_ADVANCE, 1, self.base, str(ms), str(self.now_ms))

    def key(self, *parts: str) -> str:
        """One of its keys."""
        return ":".join((self.base, *parts))
