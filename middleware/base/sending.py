"""A message that is sent for the first time: which guards were asked about it, and what they keep until it is in."""

from contextvars import ContextVar
from typing import Any

from dramatiq import Message

#: Stamped into a message's options the first time it is enqueued; from then on it is in.
ADMITTED = "admitted"


class Sending:
    """A message that its sender's thread enqueues, and what each guard that was asked keeps of it."""

    __slots__ = ("kept", "message")

    def __init__(self, message: "Message[Any]") -> None:
        self.message = message
        #: What a guard keeps from its `check` to `after_enqueue`, under its id; None for nothing.
        self.kept: dict[int, Any] = {}


_current: ContextVar[Sending | None] = ContextVar("pressroom_sending", default=None)


def is_first_question(guard: object, message: "Message[Any]") -> bool:
    """Return whether a guard is to be asked about a message that is enqueued: once in its life.

    Also when a broker runs the hooks for each attempt to connect.
    """
    sending = _current.get()
    if ADMITTED not in message.options:
        message.options[ADMITTED] = True
        sending = Sending(message)
        _current.set(sending)
    if sending is None or sending.message is not message or id(guard) in sending.kept:
        return False
    sending.kept[id(guard)] = None
    return True


def sending_of(message: "Message[Any]") -> Sending | None:
    """Return what is known of the message that this thread sends for the first time; None for any other.

    Example:
        >>> sending_of(message).kept[id(self)] = token
    """
    sending = _current.get()
    return sending if sending is not None and sending.message is message else None
