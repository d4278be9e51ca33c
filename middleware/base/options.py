"""Message options, each declared beside the code that writes it, with how long it lives."""

from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple

from dramatiq import Broker, Message
from dramatiq.broker import MessageProxy
from dramatiq.middleware import Middleware

#: How long an option lives:
#:
#: - caller: whoever sends sets it, or it says what the message is; it survives a replay.
#: - life: gathered, or meant, for one life of a message; its dead letter shows it, a replay begins without.
#: - attempt: of one attempt or delivery, or said by a dead letter in a field of its own; the letter leaves it out.
Scope = Literal["caller", "life", "attempt"]


class Option(NamedTuple):
    """A message option that somebody owns.

    Middleware and brokers name theirs in a class attribute, `message_options`. A broker need not know this class: pairs
    will do. Options that nobody declares are the caller's.

    Example:
      >>> class Curfew(Guard):
      ...     message_options = (Option("woken_at", "life"),)
    """

    name: str
    scope: Scope


#: What Dramatiq itself, its brokers and its own middleware write. `traceback` quotes whatever the error was given.
DRAMATIQ_OPTIONS: Final[dict[Scope, str]] = {
    "attempt": "eta redis_message_id requeue_timestamp retries traceback",
    "caller": "max_age max_backoff max_retries min_backoff notify_shutdown on_failure on_retry_exhausted on_success "
    "pipe_ignore pipe_target throws time_limit",
}


def names_of(*scopes: Scope) -> frozenset[str]:
    """Return the names of all declared options with one of these scopes.

    All middleware and brokers count that this process has loaded, in use or not: whoever replays a letter may have
    fewer guards than the worker that wrote it.

    Example:
        >>> "progress_turn" in names_of("life")
        True
    """
    return frozenset(name for name, scope in _declared() if scope in scopes)


def option_of(
    broker: Broker, message: "Message[Any] | MessageProxy", name: str, default: object = None
) -> Any:
    """Return what a message says in an option, or else its actor, or else the default.

    Parameters:
      broker: Knows the actor; a message to an actor that it does not know is asked alone.
      default: What holds where neither says anything. Default None.

    Example:
        >>> option_of(broker, message, "time_limit", 600_000)
    """
    actor = broker.actors.get(message.actor_name)
    return message.options.get(name, actor.options.get(name, default) if actor else default)


def _declared() -> Iterator[tuple[str, str]]:
    yield from ((name, scope) for scope, names in DRAMATIQ_OPTIONS.items() for name in names.split())
    for cls in (*_loaded(Middleware), *_loaded(Broker)):
        yield from vars(cls).get("message_options", ())


def _loaded(cls: type[object]) -> Iterator[type[object]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _loaded(subclass)
