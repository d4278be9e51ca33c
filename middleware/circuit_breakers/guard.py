"""Circuit breakers: while a dependency is down, jobs wait for it instead of failing one after the other."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from dramatiq import Actor, Broker, Message, Worker
from dramatiq.broker import MessageProxy

from ..base.delegation import Gates, SupportsGates, delegate, stamp_org
from ..base.errors import GuardError, Parked
from ..base.guard import DEFAULT_UNDECIDED_DELAY_MS, Guard, OnError, Outcome
from ..base.options import Option
from ..base.poller import Poller, shared_poller
from ..base.stack import Position
from .broker_gates import BreakerGates
from .calls import BreakerCalls
from .state import BreakerRule, BreakerState, check_key, counts_as_failure
from .store import CircuitBreakerStore


class InvalidDependency(GuardError, ValueError):
    """An actor or a message names a dependency in a way that cannot be one."""


class CircuitBreakers(Guard[dict[str, str]]):
    """Parks jobs whose dependency is down, and lets a few through to find out when it is up again.

    Without it every job waits for a dead service's time-outs, spends its retries on it and ends in the dead
    letters, and the service meets the whole crowd the moment it is back.

    A job wraps what it calls; the outcome is counted for all processes. After `failures` in a row the circuit
    is open: the call is not made and `Parked` is raised, which costs the job no attempt. After `open_s` it is
    half-open: `trials` calls are let through in the whole fleet, and when as many have succeeded it is closed.

        >>> breakers = CircuitBreakers(RedisCircuitBreakerStore(client))
        >>> broker.add_middleware(breakers)
        >>> @dramatiq.actor(depends_on="ai")
        ... def write_ideas(job: WriteIdeas) -> None:
        ...     with breakers.calling("ai"):
        ...         ideas = ask(job.topic)

    `depends_on`, a name or several, on an actor or in a message's options, parks the job before it starts.
    Nothing is counted for that: only what is called inside `calling` is.

    What is the caller's own fault counts as nothing, neither failure nor success: the categories validation,
    auth and cancelled, HTTP 4xx except 429, guards' errors, a worker that stops. An exception whose
    `retry_after_s` is over 5 opens the circuit until then, at most for a day.

    Circuits are read at most once a second in each process and from its memory otherwise. A closed circuit
    costs no round trip; a failure, and the first success after one, cost one.

    On a broker that has gates (see `enforcement`), jobs of an actor whose `depends_on` is down are not fetched until
    trials are made, or somebody closes the circuit.

    Parameters:
      store: Where circuits are kept.
      rule: When circuits open and close. Default: 5 failures, 30 s, 3 trials.
      rules: Rules of dependencies that differ, by the first part of their keys. Default none.
      counts: Whether an exception is the dependency's fault. Default: see above.
      refresh_s: How old a reading may be, in seconds. Default 1.
      on_error: Whether jobs are parked (the default) or call unguarded while the store does not answer; both
        before they start and inside `calling`.
      undecided_delay_ms: How long they are parked then. Default 5,000.
      flags: The poll that keeps a broker's gates up to date. Default the process's own, shared with other guards.
      uniform: Draws a number between two, to spread parked jobs; for tests. Default `random.uniform`.
      monotonic: Seconds from a clock that never goes back; for tests.
    """

    position = Position.DEPEND
    message_options = (Option("depends_on", "caller"),)

    def __init__(
        self,
        store: CircuitBreakerStore,
        *,
        rule: BreakerRule | None = None,
        rules: Mapping[str, BreakerRule] | None = None,
        counts: Callable[[BaseException], bool] = counts_as_failure,
        refresh_s: float = 1.0,
        on_error: OnError = "park",
        undecided_delay_ms: int = DEFAULT_UNDECIDED_DELAY_MS,
        flags: Poller | None = None,
        uniform: Callable[[float, float], float] = random.uniform,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(on_error=on_error, undecided_delay_ms=undecided_delay_ms)
        self._calls = BreakerCalls(
            store,
            rule=rule,
            rules=rules,
            counts=counts,
            refresh_s=refresh_s,
            uniform=uniform,
            monotonic=monotonic,
        )
        self._job = _Job()
        self._flags = flags or shared_poller()
        self._gates: BreakerGates | None = None

    @property
    def actor_options(self) -> set[str]:
        return {"depends_on"}

    def calling(self, key: str, *, org: str | None = None) -> AbstractContextManager[None]:
        """Guards the block that calls a dependency, and counts how it ends.

        Parameters:
            key: the dependency, like `ai` or `publish:wordpress:example.org`.
            org: whose circuit, where orgs have their own. Default: the org of the job in this thread.

        Raises:
            Parked: the circuit is open, or its store does not answer; nothing was called.

        Example:
            >>> with breakers.calling("publish:wordpress:example.org"):
            ...     publish(post)
        """
        return self._calling(self._calls.full_key(check_key(key), org or self._job.org))

    def __getitem__(self, key: str) -> "Breaker":
        """One dependency's breaker, to hand to code that should not know which it is."""
        return Breaker(self, check_key(key))

    def state(self, key: str, *, org: str | None = None) -> BreakerState:
        """What this process knows of a circuit, at most `refresh_s` old; takes no trial.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        return self._calls.state(self._calls.full_key(check_key(key), org or self._job.org))

    def states(self) -> list[BreakerState]:
        """All circuits that are not plainly closed, by key, read afresh.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        return self._calls.states()

    def force_open(self, key: str, reason: str, *, who: str = "") -> BreakerState:
        """Hold a circuit open, whatever happens, until `reset`; all processes know within a second.

        Forcing the first parts of a key (`publish` or `publish:wordpress`) holds for all that begin with them.

        Parameters:
            key: as `states` lists it.
            reason: shown to whoever asks why jobs wait.
            who: who says so. Default empty.

        Raises:
            StoreUnavailable: nothing was forced.
        """
        return self._calls.force(key, "open", reason, who)

    def force_closed(self, key: str, reason: str, *, who: str = "") -> BreakerState:
        """Hold a circuit closed, however many calls fail, until `reset`. Parameters as for `force_open`."""
        return self._calls.force(key, "closed", reason, who)

    def reset(self, key: str, reason: str, *, who: str = "") -> BreakerState:
        """Close a circuit, forget its failures and let it work by itself. Parameters as for `force_open`."""
        return self._calls.force(key, None, reason, who)

    def before_declare_actor(self, broker: Broker, actor: "Actor[..., Any]") -> None:
        _names(actor.options.get("depends_on"))

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        super().before_worker_boot(broker, worker)
        if isinstance(broker, SupportsGates) and delegate(broker, [Gates()]):
            self._gates = BreakerGates(broker, broker, self._calls, _depends_on)
            self._flags.add("circuit breakers", self.refresh)

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        self._flags.remove(self.refresh)
        self._gates = None

    def refresh(self) -> None:
        """Have a broker's gates shut for what is down; without one that has gates it does nothing.

        Raises:
            StoreUnavailable: the store does not answer.
            BrokerError: the broker does not answer; the next refresh tells it.
        """
        if self._gates is not None:
            self._gates.refresh()

    def check(self, broker: Broker, message: "Message[Any]", delay: int | None) -> None:
        _names(message.options.get("depends_on"))
        stamp_org(broker, message)

    def admit(self, broker: Broker, message: MessageProxy) -> dict[str, str] | None:
        org = message.options.get("org")
        self._job.org = org if isinstance(org, str) else None
        self._job.trials = {}
        keys = self._keys(broker, message)
        try:
            for key in keys:
                # All of them before any trial is taken, which would be given back at once.
                self._calls.refuse_if_open(key)
        except Parked:
            self._shut_now()
            raise
        try:
            for key in keys:
                token = self._calls.enter(key)
                if token is not None:
                    self._job.trials[key] = token
        except BaseException:
            self._give_back(self._job.trials)
            raise
        return self._job.trials or None

    def settle(self, broker: Broker, message: MessageProxy, held: dict[str, str], outcome: Outcome) -> None:
        self._give_back(held)

    def _shut_now(self) -> None:
        """The others that wait for the same need not be fetched first; the poll would find it in a second."""
        try:
            self.refresh()
        except Exception as error:  # noqa: BLE001  # this message is parked whatever the broker says
            self._count("shut", error)

    @contextmanager
    def _calling(self, key: str) -> Iterator[None]:
        token = self._begin(key)
        try:
            yield
        except BaseException as error:
            self._end(key, token, error)
            raise
        else:
            self._end(key, token, None)

    def _begin(self, key: str) -> str | None:
        try:
            return self._calls.enter(key, self._job.trials.pop(key, None))
        except GuardError:
            raise
        except Exception as error:
            self._count("call", error)
            if self.on_error == "park":
                raise Parked(
                    "the circuit breakers' store does not answer",
                    delay_ms=self.undecided_delay_ms,
                    key=f"breaker:{key}",
                ) from error
            return None

    def _end(self, key: str, token: str | None, error: BaseException | None) -> None:
        try:
            self._calls.record(key, token, error)
        except Exception as failed:  # noqa: BLE001  # what was called is done; counting it cannot undo it
            self._count("record", failed)

    def _give_back(self, trials: dict[str, str]) -> None:
        """Return the trials that the job was admitted with and did not use."""
        while trials:
            self._calls.give_back(*trials.popitem())

    def _keys(self, broker: Broker, message: MessageProxy) -> list[str]:
        actor = broker.actors.get(message.actor_name)
        names = _depends_on(actor) if actor else []
        names += _names(message.options.get("depends_on"))
        return [self._calls.full_key(name, self._job.org) for name in dict.fromkeys(names)]


class Breaker:
    """The breaker of a dependency.

    Example:
      >>> breaker = breakers["publish:wordpress:example.org"]
      >>> with breaker.calling():
      ...     publish(post)
    """

    def __init__(self, breakers: CircuitBreakers, key: str) -> None:
        self._breakers = breakers
        self.key = key

    def calling(self, *, org: str | None = None) -> AbstractContextManager[None]:
        """See `CircuitBreakers.calling`."""
        return self._breakers.calling(self.key, org=org)

    @property
    def state(self) -> BreakerState:
        """See `CircuitBreakers.state`."""
        return self._breakers.state(self.key)


class _Job(threading.local):
    """The job that this thread runs: whose it is, and the trials it was admitted with, by key."""

    org: str | None = None

    def __init__(self) -> None:
        self.trials: dict[str, str] = {}


def _depends_on(actor: "Actor[..., Any]") -> list[str]:
    return _names(actor.options.get("depends_on"))


def _names(option: object) -> list[str]:
    if option is None:
        return []
    try:
        return [check_key(option)] if isinstance(option, str) else [check_key(each) for each in option]  # type: ignore[attr-defined]
    except (TypeError, ValueError) as error:
        raise InvalidDependency(f"depends_on: {error}") from None
