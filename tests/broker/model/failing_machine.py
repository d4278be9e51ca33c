"""The model's machine, in which any call may also fail at any of its writes, and is made anew."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.broker.model.injecting import Injector
from tests.broker.model.machine import Machine, steps


class FailingMachine(Machine):
    """One shard, on a server on which single commands fail."""

    @rule(step=steps, at=st.integers(1, 40))
    def do_after_an_error(self, step: tuple[str, dict[str, Any]], at: int) -> None:
        """Anything; its first call fails at a write, if it has so many."""
        injector = Injector(self.fleet, None, at)
        try:
            self.do(step)
        finally:
            injector.disarm()
