"""Calls the hooks of middleware, and keeps what a message's after hooks enqueue for that message's end."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final

from dramatiq import Broker, Worker
from dramatiq.middleware import Middleware, MiddlewareError, SkipMessage

from .leasing.lease import QUARANTINED, Lease, LeasedMessage
from .leasing.session import WorkerSession

Hook = tuple[Middleware, Callable[..., None]]


class Hooks:
    """Finds the hooks that a stack of middleware really has, and keeps them until the stack changes.

    Parameters:
        middleware: The broker's own list. It may change, also in place.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[list[Middleware], list[Hook]]] = {}

    def of(self, middleware: list[Middleware], name: str) -> list[Hook]:
        """Every middleware's `name` that is not Dramatiq's empty default, outermost first."""
        known = self._known.get(name)
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


class CurrentLease(threading.local):
    """What the thread does; None outside a message's after hooks."""

    lease: Lease | None = None


#: After these, what a message's hooks enqueued goes along with the message's own end.
_CARRYING: Final = frozenset({"process_message", "skip_message"})


class HookedBroker(Broker, ABC):
    """Dramatiq's two `emit` methods, for a broker with leases."""

    _session: WorkerSession | None = None

    def __init__(self, middleware: list[Middleware] | None) -> None:
        # The base class adds middleware, whose hooks are found through these.
        self._hooks = Hooks()
        self._current = CurrentLease()
        super().__init__(middleware=middleware)

    def emit_before(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """As Dramatiq's, except that hooks that do nothing are not called, nor any for what others took over."""
        message = args[0] if args else None
        if isinstance(message, LeasedMessage):
            if signal == "process_message":
                self._current.lease = None
                session = self._session
                if session is None or not session.begin(message.lease):
                    raise SkipMessage("the message went to another worker")
            elif message.lease.was_taken_away:
                return
        elif signal == "worker_boot":
            self._worker_boots(args[0])
        elif signal == "worker_shutdown":
            self._worker_stops()
        name = "before_" + signal
        for middleware, hook in self._hooks.of(self.middleware, name):
            try:
                hook(self, *args, **kwargs)
            except MiddlewareError:
                raise
            except Exception:
                self.logger.critical("Unexpected failure in %s of %r.", name, middleware, exc_info=True)

    def emit_after(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """As Dramatiq's, with the same exception; what the hooks enqueue about a message is kept for its end."""
        message = args[0] if args else None
        if isinstance(message, LeasedMessage):
            if message.lease.was_taken_away:
                return
            if signal in _CARRYING:
                # An interrupt makes Dramatiq come here twice: what the last round says is what counts.
                message.lease.carried = []
                self._current.lease = message.lease
            if signal == "process_message" and message.lease.flag == QUARANTINED:
                # To those who look at nothing else: it did not succeed.
                kwargs["exception"] = message._exception
        try:
            name = "after_" + signal
            for middleware, hook in reversed(self._hooks.of(self.middleware, name)):
                try:
                    hook(self, *args, **kwargs)
                except Exception:
                    self.logger.critical("Unexpected failure in %s of %r.", name, middleware, exc_info=True)
        finally:
            if signal in _CARRYING:
                self._current.lease = None
        if signal == "worker_boot":
            self._worker_booted()
        elif signal == "worker_shutdown":
            self._worker_stopped()

    @abstractmethod
    def _worker_boots(self, worker: Worker) -> None:
        """Before anything of it runs; an error ends the boot."""

    @abstractmethod
    def _worker_booted(self) -> None:
        """Now it works."""

    @abstractmethod
    def _worker_stops(self) -> None:
        """It is to begin nothing more."""

    @abstractmethod
    def _worker_stopped(self) -> None:
        """Nothing of it runs."""
