"""What guards read off a message: its payload, its org, and which of its copies it is."""

from collections.abc import Mapping
from typing import Any

from dramatiq import Message
from dramatiq.broker import MessageProxy

from .options import Option

#: Option of a copy that was enqueued to wake a parked message: the id of that wake. The message itself lies in
#: the broker until its delay is over, so for a while there are two, and only one of them may run. The same goes for
#: the copies of whoever may have to enqueue a message twice, like an outbox's relay.
WAKE = "wake"

#: Option by which Dramatiq's `Results` is kept from storing one.
STORE_RESULTS = "store_results"

#: What functions of this module write into messages.
MESSAGE_OPTIONS = (Option("org", "caller"), Option(WAKE, "life"), Option(STORE_RESULTS, "life"))


def payload_of(message: "Message[Any] | MessageProxy") -> Mapping[str, object]:
    """Return the message's single mapping argument, or else its keyword arguments.

    Example:
        >>> payload_of(resize.message({"org_id": "a", "image_id": 7}))["image_id"]
        7
    """
    values = [*message.args, *message.kwargs.values()]
    if len(values) == 1 and isinstance(values[0], Mapping):
        return values[0]
    return message.kwargs


def org_of(message: "Message[Any] | MessageProxy") -> str | None:
    """Return the org a message works for: its option `org`, or else its payload's `org_id`; None without either."""
    org = message.options.get("org") or payload_of(message).get("org_id")
    return str(org) if org else None


def copy_of(message: "Message[Any] | MessageProxy") -> str:
    """Return which copy of the message this is: the id of the wake that made it, empty for the message as sent."""
    return str(message.options.get(WAKE, ""))


def as_redelivery(message: "Message[Any]", copy: str) -> "Message[Any]":
    """Return the message as one of its copies, for whoever cannot know whether it was enqueued already.

    `Idempotency` and `OrgLimits` take a second delivery of the same copy for the one that follows a crash, and let it
    run; of two copies one runs, the other waits and is skipped.

    Example:
        >>> broker.enqueue(as_redelivery(message, uuid4().hex))
    """
    return message.copy(options={WAKE: copy})


def keep_stored_result(message: MessageProxy) -> None:
    """Keep Dramatiq's `Results` from replacing the stored result by None when this delivery is skipped."""
    message.options[STORE_RESULTS] = False
