"""What the broker raises.

    dramatiq.errors.BrokerError     every error of the broker's; the first two are Dramatiq's own
    ├── dramatiq.errors.ConnectionClosed  the server does not answer; what was asked may have been done or not
    ├── dramatiq.errors.QueueJoinTimeout  from `join`: the queue still has messages
    ├── BrokerScriptError           the server refused
    │   ├── ServerFull              no memory is left for it
    │   └── UnsupportedServer       at first use and at worker boot: it is in cluster mode, or its user lacks rights
    ├── QueueFull                   at send: queue, org or server are full; `retry_after_s` says for how long
    ├── MessageTooLarge             at send: more bytes than the broker takes
    ├── NotReplicated               at send: sent, but no replica has confirmed it in time
    ├── RepeatedTooLate             at send: repeated too late to know whether it had arrived
    ├── NewerSchema                 at worker boot and first send: the server was converted by a newer release
    └── UnsafeServer                at worker boot: the server may drop messages; the worker does not boot
    Exception
    └── PoisonMessage               the error of a message that killed its workers; given to hooks, not raised
    ValueError
    └── UnsupportedConnection       a client or an address that the broker cannot use, when it is made; or which the
                                    heartbeat's helper cannot use: a warning says so
    OSError
    └── Refused                     inside the heartbeat's helper process: the server answered with an error

Wrong parameters are a plain `ValueError`, and modules that a worker cannot load are an `ImportError` or a `TypeError`.
"""

from typing import ClassVar, Literal

from dramatiq.errors import BrokerError

#: What there may be too much of.
FullOf = Literal["messages", "bytes", "memory"]


class BrokerScriptError(BrokerError):
    """The server refused a script."""


class UnsupportedServer(BrokerScriptError):
    """The server is none that the broker works on, or its user may not do what that takes; the message says the fix."""


class ServerFull(BrokerScriptError):
    """The server has no memory left for what was asked (`maxmemory`); what frees memory it goes on doing."""


class QueueFull(BrokerError):
    """A queue, an org, or the server itself holds as much as it may; nothing was sent.

    Parameters:
        queue: its name.
        org: whose messages are too many; None where the whole queue, or the server, is too full.
        depth: how many messages, or bytes, there are; 0 where the server is full.
        retry_after_s: seconds after which to try again.
        full: what there is too much of; `memory` is the server's. Default `messages`.
    """

    def __init__(
        self, queue: str, org: str | None, depth: int, retry_after_s: float, *, full: FullOf = "messages"
    ) -> None:
        if full == "memory":
            why = (
                "the server's memory is full (maxmemory); nothing was sent. Workers go on and free it: try again in "
                f"{retry_after_s:g} s. If it stays full, pause or clean what fills it, or raise maxmemory."
            )
        else:
            whose, bound = (f"org {org}", "org") if org is not None else (f"queue {queue}", "queue")
            setting = "depth" if full == "messages" else "bytes"
            why = (
                f"{whose} has {depth} {full}, as many as it may; nothing was sent. Try again in {retry_after_s:g} s, "
                f"or raise max_{bound}_{setting} of the broker."
            )
        super().__init__(why)  # type: ignore[no-untyped-call]
        self.queue = queue
        self.org = org
        self.depth = depth
        self.retry_after_s = retry_after_s
        self.full = full


class MessageTooLarge(BrokerError):
    """A message is larger than the broker takes; nothing was sent."""

    def __init__(self, actor_name: str, size_bytes: int, max_bytes: int) -> None:
        super().__init__(
            f"a message of {actor_name} has {size_bytes} bytes and may have {max_bytes}; keep what is large in "
            "a store and send its address, or raise max_message_bytes of the broker"
        )  # type: ignore[no-untyped-call]


class NotReplicated(BrokerError):
    """The server has the message and no replica has confirmed it in time; sending it again doubles nothing."""


class RepeatedTooLate(BrokerError):
    """A call whose answer got lost was repeated after more than a thousand others: it may have arrived, or not."""


class UnsafeServer(BrokerError):
    """The server is set up so that it may drop messages; the message says how to mend it."""


class NewerSchema(BrokerError):
    """The server carries a schema of keys that this release does not know.

    Parameters:
        found: its number.
        release: the first release that knows it; empty where the server does not say.
        known: the newest number that this release knows.
    """

    def __init__(self, found: str, release: str, known: int) -> None:
        newer = f"release {release} or newer" if release else "a newer release"
        super().__init__(
            f"the keys in Redis have schema {found}, which needs {newer}; this release knows schema {known}. Deploy "
            f"{newer} here too, or give this one a namespace of its own"
        )  # type: ignore[no-untyped-call]
        self.found = found
        self.release = release


class UnsupportedConnection(ValueError):
    """The broker, or the heartbeat's helper, cannot make connections of this kind; the message says which it can."""


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
