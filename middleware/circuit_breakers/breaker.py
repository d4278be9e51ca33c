"""The circuit breaker of one dependency: pybreaker's, for a fleet, with no lock held while a call is made."""

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial, wraps
from types import TracebackType
from typing import ParamSpec, TypeVar, cast, overload

import pybreaker

from ..base.emit import emit_counter
from ..base.errors import StoreUnavailable
from ..base.guard import DEFAULT_UNDECIDED_DELAY_MS, OnError
from .errors import CircuitOpen
from .following import DEFERRED, follow, wait_for
from .memory import MemoryCircuitBreakerStore
from .state import BreakerRule, BreakerState, State, Verdict, is_control_flow
from .storage import CircuitStorage
from .store import Change

P = ParamSpec("P")
T = TypeVar("T")

#: An exception that says nothing about the dependency: its class, or a function that is asked about each.
Exclusion = type[BaseException] | Callable[..., bool]

#: The shortest time that a circuit can be open, in seconds.
MIN_RESET_TIMEOUT_S = 0.001

#: A call that was let through: its circuit, and the token of the trial that it is.
_Call = tuple[str, str | None]

logger = logging.getLogger(__name__)


class CircuitBreaker(pybreaker.CircuitBreaker):
    """A `pybreaker.CircuitBreaker` for a fleet: in place of it, or as `breakers["ai"]`.

    It has pybreaker's calls, listeners, exclusions and counters, and differs in this: an excluded error counts as
    nothing, neither failure nor success; while half-open, `success_threshold` calls are let through in the whole
    fleet; the end of a call is written in one atomic step, and not at all when nothing is different for it; no lock is
    held while a call is made; and `async def` functions are called with asyncio alone.

    Errors that are not about what was called count as nothing too: guards' errors, Dramatiq's `Retry`, what is not an
    `Exception`. One whose `retry_after_s` is over 5 opens the circuit until then, at most for a day.

    Parameters:
      fail_max: Failures in a row that open it. Default 5.
      reset_timeout: Seconds it stays open before trials are made. Default 60.
      success_threshold: Trials that are made then, and successes that close it. Default 1.
      exclude: Errors that count as nothing: classes, and functions that are given each error. Default none.
      listeners: Are called at each event. Default none.
      state_storage: The circuit. Default one of its own, in memory.
      name: For listeners and people. Default none.
      throw_new_error_on_trip: Whether the call that opens it raises `CircuitOpen` instead of its error. Default True.
      rule: All numbers at once, in place of the first three. Default none.
      on_error: Whether calls are refused (`"park"`, the default) or made unguarded (`"allow"`) while the store does not
        answer.
      undecided_delay_ms: What `CircuitOpen` says about when to come back then. Default 5,000.

    Raises:
        TypeError: the storage is another library's.
        ValueError: a number is out of range.

    Example:
      >>> ai = CircuitBreaker(fail_max=3, exclude=[KeyError])
      >>> @ai
      ... async def ask(question: str) -> str: ...
    """

    def __init__(
        self,
        fail_max: int = 5,
        reset_timeout: float = 60,
        success_threshold: int = 1,
        exclude: Iterable[Exclusion] | None = None,
        listeners: Sequence[pybreaker.CircuitBreakerListener] | None = None,
        state_storage: CircuitStorage | None = None,
        name: str | None = None,
        throw_new_error_on_trip: bool = True,
        *,
        rule: BreakerRule | None = None,
        on_error: OnError = "park",
        undecided_delay_ms: int = DEFAULT_UNDECIDED_DELAY_MS,
    ) -> None:
        storage = state_storage or CircuitStorage(MemoryCircuitBreakerStore(), "breaker")
        if not isinstance(storage, CircuitStorage):
            raise TypeError(f"state_storage must be a CircuitStorage, not {type(storage).__name__}")
        super().__init__(
            exclude=exclude,
            listeners=listeners,
            name=name,
            throw_new_error_on_trip=throw_new_error_on_trip,
        )
        # Set afterwards: pybreaker reads the state at once, and a breaker is made where no store may be asked.
        self._state_storage = self._storage = storage
        #: When it opens and how it closes.
        self.rule = rule or BreakerRule(
            failures=fail_max, open_s=max(reset_timeout, MIN_RESET_TIMEOUT_S), trials=success_threshold
        )
        self._on_error = on_error
        self._undecided_delay_ms = undecided_delay_ms
        #: Circuits whose last state that listeners know is not closed; there is one, or one an org.
        self._noticed: dict[str, State] = {}

    @property
    def key(self) -> str:
        """The dependency."""
        return self._storage.key

    @property
    def circuit(self) -> BreakerState:
        """All that this process knows of the circuit: its state, why and since when it is so, by whose word.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        return self._storage.circuit

    @property
    def fail_max(self) -> int:
        """Failures in a row that open it."""
        return self.rule.failures

    @fail_max.setter
    def fail_max(self, number: int) -> None:
        self.rule = replace(self.rule, failures=number)

    @property
    def reset_timeout(self) -> float:
        """Seconds it stays open before trials are made."""
        return self.rule.open_s

    @reset_timeout.setter
    def reset_timeout(self, timeout: float) -> None:
        self.rule = replace(self.rule, open_s=max(timeout, MIN_RESET_TIMEOUT_S))

    @property
    def success_threshold(self) -> int:
        """Trials that are made while it is half-open, and successes that close it."""
        return self.rule.trials

    @success_threshold.setter
    def success_threshold(self, threshold: int) -> None:
        self.rule = replace(self.rule, trials=threshold)

    @property
    def state(self) -> pybreaker.CBStateType:
        """The state as pybreaker's object; `state.name` is `current_state`."""
        circuit = self._storage.circuit
        self._notice(circuit.key)
        return self._create_new_state(circuit.state)

    @state.setter
    def state(self, state: str) -> None:
        raise AttributeError("set it with open, half_open or close")

    def is_system_error(self, exception: BaseException) -> bool:
        """Say if an error counts as a failure of the dependency."""
        if is_control_flow(exception):
            return False
        for exclusion in self._excluded_exceptions:
            if isinstance(exclusion, type):
                if isinstance(exception, exclusion):
                    return False
            elif exclusion(exception):
                return False
        return True

    def call(self, func: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function and count how it ends: a generator's or coroutine's end, where it returns one.

        Raises:
            CircuitOpen: it was not called; or its failure opened the circuit and `throw_new_error_on_trip` is set.

        Example:
            >>> rates = breaker.call(fetch_rates, "EUR")
        """
        call = self._begin(None, func, *args, **kwargs)
        try:
            result = func(*args, **kwargs)
        except BaseException as error:
            self._end(call, error)
            raise
        if isinstance(result, DEFERRED):
            return cast("T", follow(result, partial(self._end, call)))
        self._end(call, None)
        return result

    async def call_async(self, func: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call an `async def` function, or another that returns an awaitable, and count how the awaiting ends.

        Raises:
            CircuitOpen: as of `call`.

        Example:
            >>> answer = await breaker.call_async(ask, "Why?")
        """
        call = self._begin(None, func, *args, **kwargs)
        try:
            awaitable = func(*args, **kwargs)
        except BaseException as error:
            self._end(call, error)
            raise
        return await wait_for(awaitable, partial(self._end, call))

    def calling(  # type: ignore[override]  # what pybreaker's returns is a context manager too, whichever
        self, *, org: str | None = None
    ) -> AbstractContextManager[None]:
        """Guard a block, also one that awaits, and count how it ends.

        Parameters:
            org: whose circuit, where orgs have their own. Default: the org of the job that runs.

        Raises:
            CircuitOpen: on entering, as of `call`.

        Example:
            >>> with breaker.calling():
            ...     publish(post)
        """
        return _Block(self, org)

    @overload  # type: ignore[override]  # narrower: pybreaker's forgets what it decorates
    def __call__(self, func: Callable[P, T], /) -> Callable[P, T]: ...

    @overload
    def __call__(self, **options: bool) -> Callable[[Callable[P, T]], Callable[P, T]]: ...

    def __call__(self, *functions: Callable[..., object], **options: bool) -> Callable[..., object]:
        """Decorate a function, so that each call of it is one of `call`, or of `call_async` for `async def`.

        pybreaker's option `__pybreaker_call_async` asks for `call_async` where a plain function returns an awaitable.
        """
        is_async = options.pop("__pybreaker_call_async", False)
        if options:
            raise TypeError(f"unknown options: {', '.join(sorted(options))}")

        def decorate(func: Callable[..., object]) -> Callable[..., object]:
            return self._decorated(func, is_async or inspect.iscoroutinefunction(func))

        return decorate(*functions) if functions else decorate

    def open(self) -> bool:
        """Open the circuit for `reset_timeout`, in all processes. One that an operator holds stays as it is.

        Raises:
            StoreUnavailable: the store does not answer; nothing was changed.

        Returns, as pybreaker's does, `throw_new_error_on_trip`.
        """
        self._set_state("open")
        return self._throw_new_error_on_trip

    def half_open(self) -> None:
        """Have the next calls be trials. Raises as `open` does."""
        self._set_state("half-open")

    def close(self) -> None:
        """Close the circuit and forget its failures. Raises as `open` does."""
        self._set_state("closed")

    def _begin(self, org: str | None, func: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> _Call:
        circuits = self._storage.circuits
        key, token = circuits.full_key(self.key, org), None
        try:
            token = circuits.enter(key, self.rule)
        except CircuitOpen:
            self._notice(key)
            raise
        except Exception as error:
            _report("call", error)
            if self._on_error == "park":
                raise CircuitOpen(
                    "the circuit breakers' store does not answer",
                    delay_ms=self._undecided_delay_ms,
                    key=f"breaker:{key}",
                ) from error
        try:
            if token is not None or self._noticed:
                self._notice(key)
            for listener in self.listeners:
                listener.before_call(self, func, *args, **kwargs)
        except BaseException:
            if token is not None:
                circuits.give_back(key, token)
            raise
        return key, token

    def _end(self, call: _Call, error: BaseException | None) -> None:
        verdict: Verdict = "nothing"
        change = None
        listeners: tuple[pybreaker.CircuitBreakerListener, ...] = self.listeners
        try:
            verdict = self._verdict(error)
            change = self._storage.circuits.record(call[0], self.rule, call[1], verdict, error)
        except Exception as failed:  # noqa: BLE001  # what was called is done; counting it cannot undo it
            _report("record", failed)
        if verdict == "failure" and error is not None:
            for listener in listeners:
                listener.failure(self, error)
        if change is not None or self._noticed:
            self._notice(call[0])
        if verdict == "success":
            for listener in listeners:
                listener.success(self)
        if verdict == "failure" and self._throw_new_error_on_trip and change is not None:
            _raise_if_tripped(change, error)

    def _verdict(self, error: BaseException | None) -> Verdict:
        if error is None:
            return "success"
        return "failure" if self.is_system_error(error) else "nothing"

    def _set_state(self, to: State) -> None:
        circuits = self._storage.circuits
        key = circuits.full_key(self.key, None)
        circuits.set_state(key, to, self.rule)
        self._notice(key)

    def _notice(self, key: str) -> None:
        """Let listeners know of a change, whoever made it, in whichever process."""
        try:
            after = self._storage.circuits.state(key).state
        except StoreUnavailable:
            return
        with self._lock:
            before = self._noticed.pop(key, "closed")
            if after != "closed":
                self._noticed[key] = after
        if before != after:
            old, new = self._create_new_state(before), self._create_new_state(after)
            for listener in self.listeners:
                listener.state_change(self, old, new)

    def _decorated(self, func: Callable[P, T], is_async: bool) -> Callable[P, T]:
        if is_async:

            @wraps(func)
            async def call_async(*args: P.args, **kwargs: P.kwargs) -> object:
                return await self.call_async(cast("Callable[P, Awaitable[object]]", func), *args, **kwargs)

            return cast("Callable[P, T]", call_async)

        @wraps(func)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            return self.call(func, *args, **kwargs)

        return call


class _Block:
    """A guarded `with` block."""

    __slots__ = ("_breaker", "_call", "_org")

    def __init__(self, breaker: CircuitBreaker, org: str | None) -> None:
        self._breaker = breaker
        self._org = org

    def __enter__(self) -> None:
        self._call = self._breaker._begin(self._org, _block)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._breaker._end(self._call, error)


def _block() -> None:
    """What listeners are given as the function when a block is guarded."""


def _raise_if_tripped(change: Change, error: BaseException | None) -> None:
    after = change.after
    if change.before != "open" and after.state == "open":
        raise CircuitOpen(
            f"{after.dependency} is down", delay_ms=after.wait_ms or 0, key=f"breaker:{after.key}"
        ) from error


def _report(decision: str, error: Exception) -> None:
    emit_counter("guard_errors_total", {"guard": "CircuitBreakers", "decision": decision})
    # The class alone: the text of a foreign error may quote what it was given.
    logger.warning("Circuit breaker could not %s: %s", decision, type(error).__name__)
