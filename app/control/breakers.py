"""Circuit breakers: what is down, and an operator's word on it. Circuits concern every org, so no org may ask."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from domain.errors import InvalidInput
from middleware import CircuitBreakers
from middleware.circuit_breakers.state import BreakerState

from .audit import AuditLog, Section, changes, reads
from .caller import Caller
from .errors import redis_answers


class Breakers(Section):
    """What operators may do with circuit breakers.

    Parameters:
        audit: keeps who did what.
        breakers: on the store that workers use.

    Raises:
        OperatorsOnly: from every method: an org called.
        InvalidInput: from every method: the key cannot be one.
        JobError: from every method: Redis does not answer; nothing was done.

    Example:
        >>> control.breakers.force_open(operator, "publish:wordpress:example.org")
    """

    def __init__(self, audit: AuditLog, breakers: CircuitBreakers) -> None:
        super().__init__(audit)
        self._breakers = breakers

    @reads("breakers.list", operators_only=True)
    def list(self, caller: Caller) -> Sequence[BreakerState]:
        """All circuits that are not plainly closed, by key."""
        with _asking():
            return self._breakers.states()

    @reads("breakers.show", "key", operators_only=True)
    def show(self, caller: Caller, key: str) -> BreakerState:
        """Show a circuit; where nothing is known of it, it is closed.

        Parameters:
            key: as `list` has it, like `ai:openai` or `publish:wordpress:example.org`.
        """
        dependency, _, org = key.partition("@")
        with _asking():
            for each in self._breakers.states():
                if each.key == key:
                    return each
            return self._breakers.state(dependency, org=org or None)

    @changes("breakers.force_open", "key", operators_only=True)
    def force_open(self, caller: Caller, key: str) -> BreakerState:
        """Hold a circuit open, whatever happens, until `reset`; the caller's reason is shown to whoever waits.

        Parameters:
            key: as `list` has it. The first parts of a key hold for all that begin with them.
        """
        with _asking():
            return self._breakers.force_open(key, caller.reason, who=caller.who)

    @changes("breakers.force_closed", "key", operators_only=True)
    def force_closed(self, caller: Caller, key: str) -> BreakerState:
        """Hold a circuit closed, however many calls fail, until `reset`. Parameters as for `force_open`."""
        with _asking():
            return self._breakers.force_closed(key, caller.reason, who=caller.who)

    @changes("breakers.reset", "key", operators_only=True)
    def reset(self, caller: Caller, key: str) -> BreakerState:
        """Close a circuit, forget its failures and let it work by itself. Parameters as for `force_open`."""
        with _asking():
            return self._breakers.reset(key, caller.reason, who=caller.who)


@contextmanager
def _asking() -> Iterator[None]:
    with redis_answers():
        try:
            yield
        except ValueError as error:
            raise InvalidInput(str(error)) from None
