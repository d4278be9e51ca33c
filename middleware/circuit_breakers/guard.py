"""Circuit breakers: while a dependency is down, jobs wait for it instead of failing one after the other."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

import pybreaker
from dramatiq import Actor, Broker, Message, Worker
from dramatiq.broker import MessageProxy

from ..base.delegation import Gates, SupportsGates, delegate, stamp_org
from ..base.errors import Parked
from ..base.guard import DEFAULT_UNDECIDED_DELAY_MS, Guard, OnError, Outcome
from ..base.options import Option
from ..base.poller import Poller, shared_poller
from ..base.stack import Position
from .breaker import CircuitBreaker
from .broker_gates import BreakerGates
from .circuits import Circuits, Job
from .errors import InvalidDependency
from .state import BreakerRule, BreakerState, check_key, counts_as_failure
from .storage import CircuitStorage
from .store import CircuitBreakerStore

#: How many breakers are kept ready for keys that nobody asked for by name.
MAX_READY = 1_024


class CircuitBreakers(Guard[Job]):
    """Parks jobs whose dependency is down, and lets a few through to find out when it is up again.

    Without it every job waits for a dead service's time-outs, spends its retries on it and ends in the dead
    letters, and the service meets the whole crowd the moment it is back.

    A job wraps what it calls; the outcome is counted for all processes. After `failures` in a row the circuit
    is open: the call is not made and `CircuitOpen` is raised, which parks the job and costs it no attempt. After
    `open_s` it is half-open: `trials` calls are let through in the whole fleet, and when as many have succeeded it is
    closed.

        >>> breakers = CircuitBreakers(RedisCircuitBreakerStore(client))
        >>> broker.add_middleware(breakers)
        >>> @dramatiq.actor(depends_on="ai")
        ... def write_ideas(job: WriteIdeas) -> None:
        ...     with breakers.calling("ai"):
        ...         ideas = ask(job.topic)

    `breakers["ai"]` is a `pybreaker.CircuitBreaker` with its decorator, `call`, listeners and the rest.

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
      listeners: pybreaker's, of every breaker. Default none.
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
        listeners: Sequence[pybreaker.CircuitBreakerListener] = (),
        refresh_s: float = 1.0,
        on_error: OnError = "park",
        undecided_delay_ms: int = DEFAULT_UNDECIDED_DELAY_MS,
        flags: Poller | None = None,
        uniform: Callable[[float, float], float] = random.uniform,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(on_error=on_error, undecided_delay_ms=undecided_delay_ms)
        self._circuits = Circuits(
            store, rule=rule, rules=rules, refresh_s=refresh_s, uniform=uniform, monotonic=monotonic
        )
        self._counts = counts
        self._listeners = listeners
        self._named: dict[str, CircuitBreaker] = {}
        self._ready = lru_cache(MAX_READY)(self._made)
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
            CircuitOpen: the circuit is open, or its store does not answer; nothing was called.

        Example:
            >>> with breakers.calling("publish:wordpress:example.org"):
            ...     publish(post)
        """
        return self._breaker(key).calling(org=org)

    def __getitem__(self, key: str) -> CircuitBreaker:
        """Return one dependency's breaker, always the same object: for its decorator, its listeners, or code that
        should not know which it is.

        Raises:
            ValueError: the key cannot be one.

        Example:
            >>> @breakers["ai"]
            ... def ask(topic: str) -> list[str]: ...
        """
        return self._named.setdefault(key, self._breaker(key))

    def state(self, key: str, *, org: str | None = None) -> BreakerState:
        """What this process knows of a circuit, at most `refresh_s` old; takes no trial.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        return self._circuits.state(self._circuits.full_key(check_key(key), org))

    def states(self) -> list[BreakerState]:
        """All circuits that are not plainly closed, by key, read afresh.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        return self._circuits.states()

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
        return self._circuits.force(key, "open", reason, who)

    def force_closed(self, key: str, reason: str, *, who: str = "") -> BreakerState:
        """Hold a circuit closed, however many calls fail, until `reset`. Parameters as for `force_open`."""
        return self._circuits.force(key, "closed", reason, who)

    def reset(self, key: str, reason: str, *, who: str = "") -> BreakerState:
        """Close a circuit, forget its failures and let it work by itself. Parameters as for `force_open`."""
        return self._circuits.force(key, None, reason, who)

    def before_declare_actor(self, broker: Broker, actor: "Actor[..., Any]") -> None:
        _names(actor.options.get("depends_on"))

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        super().before_worker_boot(broker, worker)
        if isinstance(broker, SupportsGates) and delegate(broker, [Gates()]):
            self._gates = BreakerGates(broker, broker, self._circuits, _depends_on)
            self._flags.add("circuit breakers", self.refresh)

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        self._flags.remove(self.refresh)
        self._gates = None

    def refresh(self) -> None:
        """Have a broker's gates shut for what is down; it does nothing without one that has gates.

        Raises:
            StoreUnavailable: the store does not answer.
            BrokerError: the broker does not answer; the next refresh tries again.
        """
        if self._gates is not None:
            self._gates.refresh()

    def check(self, broker: Broker, message: "Message[Any]", delay: int | None) -> None:
        _names(message.options.get("depends_on"))
        stamp_org(broker, message)

    def admit(self, broker: Broker, message: MessageProxy) -> Job:
        self._circuits.job.set(None)
        org = message.options.get("org")
        job = Job(org=org if isinstance(org, str) else None)
        rules = self._needed(broker, message, job.org)
        try:
            for key in rules:
                # All of them before any trial is taken, which would be given back at once.
                self._circuits.refuse_if_open(key)
        except Parked:
            self._shut_now()
            raise
        try:
            for key, rule in rules.items():
                token = self._circuits.enter(key, rule)
                if token is not None:
                    job.trials[key] = token
        except BaseException:
            self._give_back(job)
            raise
        self._circuits.job.set(job)
        return job

    def settle(self, broker: Broker, message: MessageProxy, held: Job, outcome: Outcome) -> None:
        self._circuits.job.set(None)
        self._give_back(held)

    def _made(self, key: str) -> CircuitBreaker:
        return CircuitBreaker(
            rule=self._circuits.rule_of(check_key(key)),
            exclude=[self._is_excluded],
            listeners=self._listeners,
            state_storage=CircuitStorage(self._circuits, key),
            name=key,
            throw_new_error_on_trip=False,
            on_error=self.on_error,
            undecided_delay_ms=self.undecided_delay_ms,
        )

    def _breaker(self, key: str) -> CircuitBreaker:
        return self._named.get(key) or self._ready(key)

    def _is_excluded(self, error: BaseException) -> bool:
        return not self._counts(error)

    def _shut_now(self) -> None:
        """The others that wait for the same need not be fetched first; the poll would find it in a second."""
        try:
            self.refresh()
        except Exception as error:  # noqa: BLE001  # this message is parked whatever the broker says
            self._count("shut", error)

    def _give_back(self, job: Job) -> None:
        """Return the trials that the job was admitted with and did not use."""
        while job.trials:
            self._circuits.give_back(*job.trials.popitem())

    def _needed(self, broker: Broker, message: MessageProxy, org: str | None) -> dict[str, BreakerRule]:
        """The circuits that the message depends on, and their rules."""
        actor = broker.actors.get(message.actor_name)
        names = _depends_on(actor) if actor else []
        names += _names(message.options.get("depends_on"))
        return {self._circuits.full_key(name, org): self._breaker(name).rule for name in names}


def _depends_on(actor: "Actor[..., Any]") -> list[str]:
    return _names(actor.options.get("depends_on"))


def _names(option: object) -> list[str]:
    if option is None:
        return []
    try:
        return [check_key(option)] if isinstance(option, str) else [check_key(each) for each in option]  # type: ignore[attr-defined]
    except (TypeError, ValueError) as error:
        raise InvalidDependency(f"depends_on: {error}") from None
