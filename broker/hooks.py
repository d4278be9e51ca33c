"""Which hooks there are: calling only those that do something saves a large part of what a message costs."""

from collections.abc import Callable

from dramatiq.middleware import Middleware

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
