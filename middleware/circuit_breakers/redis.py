"""Circuits in Redis: one hash each, gone when nobody calls, and an index of those that have something to say."""

from collections.abc import Sequence
from typing import Any, Literal

import redis

from ..base.redis_scripts import Script
from .state import BreakerRule, BreakerState, State, Verdict, describe
from .store import Change, Permit, Reading


class RedisCircuitBreakerStore:
    """Keeps circuits under `<prefix>:{breakers}:...`, in one hash slot.

    Parameters:
      client: A redis-py client. Give it time-outs: while one thread waits for an answer, others go on.
      prefix: Set before every key. Default `pressroom`.

    Example:
      >>> CircuitBreakers(RedisCircuitBreakerStore(redis.Redis.from_url(url, socket_timeout=2)))
    """

    def __init__(self, client: "redis.Redis", *, prefix: str = "pressroom") -> None:
        self._base = f"{prefix}:{{breakers}}"
        self._read = Script(client, __package__, "read")
        self._trial = Script(client, __package__, "acquire_trial")
        self._record = Script(client, __package__, "record")
        self._force = Script(client, __package__, "force")

    def read(self, known_version: str | None) -> Reading | None:
        answer = self._read(
            keys=[f"{self._base}:index", f"{self._base}:version"],
            args=["" if known_version is None else known_version, f"{self._base}:state:"],
        )
        if answer is None:
            return None
        version, now_us, *rest = answer
        names = [_text(each) for each in rest[::2]]
        states = {name: _state(name, now_us, fields) for name, fields in zip(names, rest[1::2], strict=True)}
        return Reading(_text(version), states, as_of=now_us)

    def take_trial(self, key: str, token: str, rule: BreakerRule) -> Permit:
        granted, first, now_us, fields = self._trial(
            keys=self._circuit(key), args=[token, rule.trials, _ms(rule.trial_lease_s)]
        )
        state = _state(key, now_us, fields)
        return Permit(granted=bool(granted), first=bool(first), state=state, as_of=now_us)

    def record(
        self,
        key: str,
        verdict: Verdict,
        rule: BreakerRule,
        *,
        token: str | None = None,
        open_s: float | None = None,
        reason: str = "",
    ) -> Change:
        limits: list[int] = [
            rule.failures,
            rule.trials,
            _ms(rule.open_s),
            _ms(open_s or 0),
            _ms(rule.forget_s),
        ]
        return _change(
            key, self._record(keys=self._all(key), args=[key, verdict, token or "", *limits, reason])
        )

    def force(self, key: str, to: State | None, *, reason: str, who: str, rule: BreakerRule) -> Change:
        mode = "hold" if to in ("open", "closed") else "reset"
        return self._put(key, to or "closed", reason, who, rule, mode, 0)

    def set_state(self, key: str, to: State, *, reason: str, rule: BreakerRule) -> Change:
        return self._put(key, to, reason, "", rule, "move", _ms(rule.open_s) if to == "open" else 0)

    def _put(
        self, key: str, to: State, reason: str, who: str, rule: BreakerRule, mode: str, open_ms: int
    ) -> Change:
        args: list[str | int] = [key, to, reason, who, _ms(rule.forget_s), mode, open_ms]
        return _change(key, self._force(keys=self._all(key), args=args))

    def _circuit(self, key: str) -> list[str]:
        return [f"{self._base}:state:{key}", f"{self._base}:trials:{key}"]

    def _all(self, key: str) -> list[str]:
        return [*self._circuit(key), f"{self._base}:index", f"{self._base}:version"]


def _change(key: str, answer: Sequence[Any]) -> Change:
    before, now_us, fields = answer
    states: dict[str, State] = {"closed": "closed", "half-open": "half-open", "open": "open"}
    return Change(before=states[_text(before)], after=_state(key, now_us, fields), as_of=now_us)


def _state(key: str, now_us: int, flat: Sequence[str | bytes]) -> BreakerState:
    texts = [_text(each) for each in flat]
    fields = dict(zip(texts[::2], texts[1::2], strict=True))
    forced: dict[str, Literal["closed", "open"]] = {"closed": "closed", "open": "open"}
    return describe(
        key,
        now_us // 1_000,
        failures=int(fields.get("failures", 0)),
        successes=int(fields.get("successes", 0)),
        until_ms=_int(fields.get("until")),
        forced=forced.get(fields.get("forced", "")),
        reason=fields.get("reason", ""),
        who=fields.get("who", ""),
        since_ms=_int(fields.get("since")),
    )


def _int(text: str | None) -> int | None:
    return None if text is None else int(text)


def _ms(seconds: float) -> int:
    return round(seconds * 1_000)


def _text(data: str | bytes) -> str:
    return data.decode() if isinstance(data, bytes) else data
