"""What guards raise.

    dramatiq.middleware.MiddlewareError
    └── GuardError                 every error of ours; Dramatiq lets it through its hooks
        └── InvalidPayload         the message does not fit the actor's contract

Dramatiq logs and swallows anything a hook raises that is not a `MiddlewareError`, and then carries on with
the message: an error outside this tree would let bad input through.
"""

from dataclasses import dataclass
from typing import ClassVar

from dramatiq.middleware import MiddlewareError


class GuardError(MiddlewareError):
    """A guard stopped a message on purpose."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a payload."""

    #: Dotted path of the field, `payload` for the payload as a whole.
    path: str
    #: What is wrong with it, without the value.
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class InvalidPayload(GuardError):
    """The payload does not fit the contract of the actor it is meant for. Nothing was enqueued or run.

    Raised to the caller by `actor.send(...)`. Values are never part of the text, since a field may be secret.
    """

    category: ClassVar[str] = "validation"
    retryable: ClassVar[bool] = False

    def __init__(self, actor_name: str, faults: list[Fault]) -> None:
        self.actor_name = actor_name
        self.faults = faults
        super().__init__(f"{actor_name} refuses this payload: " + "; ".join(map(str, faults)))
