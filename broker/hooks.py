"""Calls the hooks of middleware, and keeps what a message's after hooks enqueue for that message's end."""

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from dramatiq import Broker
from dramatiq.middleware import Middleware, MiddlewareError, SkipMessage

from .leasing.lease import QUARANTINED, Lease, LeasedMessage
from .leasing.session_manager import SessionManager

#: After these, what a message's hooks enqueued goes along with the message's own end.
_CARRYING: Final = frozenset({"process_message", "skip_message"})

_FAILURE: Final = "Unexpected failure in %s of %r."

#: Called at a step of the worker's life.
OnStep = Callable[[], None]

_Hook = tuple[Middleware, Callable[..., None]]


class _CurrentLease(threading.local):
    """What the thread does; None outside a message's after hooks."""

    lease: Lease | None = None


class HookRunner:
    """Does the work of Dramatiq's two `emit` methods, for a broker with leases.

    Hooks that a middleware does not have are not called, nor any for a message that others took over.

    Parameters:
        broker: whose middleware; its list may change, also in place.
        sessions: follow the worker's life, and decide whether a message may begin.
        on_boot: called before a worker boots; an error keeps it from booting.
        on_booted: called when a worker has booted.
    """

    def __init__(
        self, broker: Broker, sessions: SessionManager, *, on_boot: OnStep, on_booted: OnStep
    ) -> None:
        self._broker = broker
        self._sessions = sessions
        self._on_boot = on_boot
        self._on_booted = on_booted
        self._known: dict[str, tuple[list[Middleware], list[_Hook]]] = {}
        self._current = _CurrentLease()

    @property
    def current_lease(self) -> Lease | None:
        """The lease of the message whose after hooks run on this thread; None outside of them."""
        return self._current.lease

    def before(self, signal: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Call all `before_` hooks of a signal, outermost first.

        Raises:
            MiddlewareError: a hook refuses, or a message is not to be run here any more (`SkipMessage`).
        """
        subject = args[0] if args else None
        if isinstance(subject, LeasedMessage):
            if signal == "process_message":
                self._current.lease = None
                if not self._sessions.begin(subject.lease):
                    raise SkipMessage("the message went to another worker")
            elif subject.lease.was_taken_away:
                return
        elif signal == "worker_boot":
            self._on_boot()
            self._sessions.worker_boots(args[0])
        elif signal == "worker_shutdown":
            self._sessions.worker_stops()
        name = "before_" + signal
        for middleware, hook in self._hooks_of(name):
            try:
                hook(self._broker, *args, **kwargs)
            except MiddlewareError:
                raise
            except Exception:
                self._broker.logger.critical(_FAILURE, name, middleware, exc_info=True)

    def after(self, signal: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Call all `after_` hooks of a signal, innermost first; what they enqueue about a message goes with its end."""
        subject = args[0] if args else None
        if isinstance(subject, LeasedMessage):
            if subject.lease.was_taken_away:
                return
            if signal in _CARRYING:
                # An interrupt makes Dramatiq come here twice: what the last round says is what counts.
                subject.lease.carried = []
                self._current.lease = subject.lease
            if signal == "process_message" and subject.lease.flag == QUARANTINED:
                # For hooks that check nothing else: it did not succeed.
                kwargs["exception"] = subject._exception
        try:
            name = "after_" + signal
            for middleware, hook in reversed(self._hooks_of(name)):
                try:
                    hook(self._broker, *args, **kwargs)
                except Exception:
                    self._broker.logger.critical(_FAILURE, name, middleware, exc_info=True)
        finally:
            if signal in _CARRYING:
                self._current.lease = None
        if signal == "worker_boot":
            self._on_booted()
        elif signal == "worker_shutdown":
            self._sessions.worker_stopped()

    def _hooks_of(self, name: str) -> list[_Hook]:
        """Every middleware's `name` that is not Dramatiq's empty default, outermost first."""
        middleware, known = self._broker.middleware, self._known.get(name)
        # Equal objects are compared by identity first, which makes this cheaper than calling one empty hook.
        if known is not None and known[0] == middleware:
            return known[1]
        empty = getattr(Middleware, name, None)
        hooks = [
            (each, getattr(each, name))
            for each in middleware
            if empty is None or name in vars(each) or getattr(type(each), name, None) is not empty
        ]
        self._known[name] = (list(middleware), hooks)
        return hooks
