"""Jobs that fail as a script says, and a guard that sees what becomes of their messages."""

import json
from typing import Any
from uuid import uuid4

import dramatiq
import pytest
from dramatiq.broker import MessageProxy

from middleware import Callbacks, Guard, Retries
from tests.middleware.brokers import replace_stack

QUICK: dict[str, Any] = {"min_backoff": 1, "max_backoff": 1}


class Fault(Exception):
    """An error that says what it is by plain attributes."""

    def __init__(self, text: str = "", **attributes: object) -> None:
        super().__init__(text)
        self.__dict__.update(attributes)


class Job:
    """An actor that raises what the script says, attempt by attempt, and remembers its messages."""

    def __init__(self, broker: dramatiq.Broker, *script: BaseException | None, **options: Any) -> None:
        self.script = list(script)
        self.queue = f"q{uuid4().hex}"
        self.runs = 0

        def fn() -> None:
            self.runs += 1
            error = self.script.pop(0) if self.script else None
            if error:
                raise error

        declare = dramatiq.actor(broker=broker, queue_name=self.queue, actor_name="job", **options)
        self.actor: dramatiq.Actor[[], None] = declare(fn)


class Watch(Guard):
    """Sees every attempt's options as they come, and every message that is rejected."""

    def __init__(self) -> None:
        super().__init__()
        self.options: list[dict[str, Any]] = []
        self.rejected: list[dict[str, Any]] = []

    def admit(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        self.options.append(json.loads(json.dumps(message.options)))

    def before_nack(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        self.rejected.append(dict(message.options))


@pytest.fixture
def watch(bare_broker: dramatiq.Broker) -> Watch:
    """Our retries, watched, on a broker."""
    made = Watch()
    replace_stack(bare_broker, made, Callbacks(), Retries(**QUICK))
    return made
