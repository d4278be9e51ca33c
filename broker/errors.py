"""What the broker raises, all of it.

    dramatiq.errors.BrokerError
    ├── QueueFull                       at send: the queue, or the org in it, has as many messages as it may
    ├── MessageTooLarge                 at send: the message is larger than the broker takes
    ├── NotReplicated                   at send: the message is stored, and no replica has confirmed it in time
    ├── BrokerScriptError               the server refused a script
    └── UnsafeServer                    at worker boot: the server may drop messages by itself
    Exception
    └── PoisonMessage                   in dead letters: the workers that ran the message died with it
    ValueError
    └── UnsupportedConnection           at worker boot: the heartbeat's helper cannot connect like this
    OSError
    └── Refused                         within the helper: Redis answered with an error

That a server does not answer is Dramatiq's `BrokerConnectionError`, as of every broker.
"""

from typing import ClassVar

from dramatiq.errors import BrokerError


class BrokerScriptError(BrokerError):
    """The server refused a script, because of its memory limit or its access rules for example."""


class QueueFull(BrokerError):
    """A queue, or an org, has as many messages as it may; nothing was sent.

    Parameters:
        queue: its name.
        org: whose messages are too many; None where the whole queue is too full.
        depth: how many there are.
        retry_after_s: seconds after which to try again.
    """

    def __init__(self, queue: str, org: str | None, depth: int, retry_after_s: float) -> None:
        whose = f"org {org}" if org is not None else f"queue {queue}"
        super().__init__(
            f"{whose} has {depth} messages, as many as it may; nothing was sent. Try again in {retry_after_s:g} s, "
            "or raise max_queue_depth or max_org_depth of the broker."
        )  # type: ignore[no-untyped-call]
        self.queue = queue
        self.org = org
        self.depth = depth
        self.retry_after_s = retry_after_s


class MessageTooLarge(BrokerError):
    """A message is larger than the broker takes; nothing was sent."""

    def __init__(self, actor_name: str, size_bytes: int, most_bytes: int) -> None:
        super().__init__(
            f"a message of {actor_name} has {size_bytes} bytes and may have {most_bytes}; keep what is large in "
            "a store and send its address, or raise max_message_bytes of the broker"
        )  # type: ignore[no-untyped-call]


class NotReplicated(BrokerError):
    """The server has the message and no replica has confirmed it in time; sending it again doubles nothing."""


class PoisonMessage(Exception):
    """A message's workers died with it, again and again, alone at last; it is not run any more.

    Parameters:
        deaths: how many workers died with it.
        last: how the last one ended, where a supervisor saw it.
    """

    category: ClassVar[str] = "poison"
    retryable: ClassVar[bool] = False

    def __init__(self, deaths: int, last: str) -> None:
        super().__init__(
            f"{deaths} workers died with this message, the last one: {last}; it is not run any more"
        )
        self.deaths = deaths
        self.last = last
