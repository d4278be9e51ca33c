"""What a message has to be before anything is done with it: what does not fit was written by no encoder of ours."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from dramatiq import Message

from ..bounds import is_text
from .lease import Lease

#: Steps of a pipeline that are looked into; what is further inside is looked at when it runs.
_MAX_STEPS: Final = 100

#: What a message is made of, its subclasses aside: queue, actor, id, keyword arguments, options.
_PLAIN_KINDS: Final = (str, str, str, dict, dict)

_STEP: Final[Mapping[str, type]] = {
    "queue_name": str,
    "actor_name": str,
    "args": list,
    "kwargs": dict,
    "options": dict,
}


def fault_of(message: Message[Any], lease: Lease) -> str | None:
    """What is wrong with a message as a message, in words without its data; None where it is one.

    Parameters:
        message: as it was decoded.
        lease: says where it stood, and by what name.
    """
    queue, actor, id_ = message.queue_name, message.actor_name, message.message_id
    kinds = (type(queue), type(actor), type(id_), type(message.kwargs), type(message.options))
    if (
        kinds == _PLAIN_KINDS
        and type(message.message_timestamp) is int
        and queue == lease.queue
        and id_ == lease.message_id
        and queue.isascii()
        and actor.isascii()
        and id_.isascii()
    ):
        return _fault_of_options(message.options, _MAX_STEPS)  # nearly every message
    for name in ("queue_name", "actor_name", "message_id"):
        if not is_text(getattr(message, name)):
            return f"its {name} is no text"
    if message.queue_name != lease.queue:
        return "it names another queue"
    if lease.message_id != message.message_id and not lease.message_id.startswith(f"{message.message_id}~"):
        return "it stood under another id"
    values: tuple[object, object] = (message.kwargs, message.options)
    if not all(isinstance(each, dict) for each in values):
        return "its keyword arguments or its options are none"
    if not _is_int(message.message_timestamp):
        return "the time at which it was sent is none"
    return _fault_of_options(message.options, _MAX_STEPS)


def _fault_of_options(options: Mapping[str, Any], steps: int) -> str | None:
    wrong: set[str] | None = None
    # Messages have few of the many options that there are.
    for name, value in options.items():
        if value is not None and name in _OPTIONS and not _OPTIONS[name](value):
            wrong = {name, *(wrong or ())}
    if wrong:
        return f"its option {next(name for name in _OPTIONS if name in wrong)} has the wrong shape"
    step = options.get("pipe_target")
    if step is None or steps == 0:
        return None
    if any(not isinstance(step.get(name), kind) for name, kind in _STEP.items()) or step.keys() - _FIELDS:
        return "the next step of its pipeline is no message"
    if not all(is_text(step.get(name, "")) for name in ("queue_name", "message_id")):
        return "the next step of its pipeline has no name"
    return _fault_of_options(step["options"], steps - 1)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    # Infinity is how a limit is lifted.
    return _is_int(value) or (isinstance(value, float) and value == value)


def _is_dict(value: object) -> bool:
    return isinstance(value, dict)


def _is_target(value: object) -> bool:
    return isinstance(value, str | dict | list)


def _is_exception(value: object) -> bool:
    kinds = value if isinstance(value, tuple) else (value,)
    return all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds)


#: A union of them takes as long again to check.
_ORG_KINDS: Final = (str, int)

_FIELDS: Final = frozenset({*_STEP, "message_id", "message_timestamp"})

#: What the options are that Dramatiq, its middleware and this broker take.
_OPTIONS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "retries": _is_int,
    "max_retries": _is_number,
    "min_backoff": _is_number,
    "max_backoff": _is_number,
    "time_limit": _is_number,
    "max_age": _is_number,
    "result_ttl": _is_number,
    "delay": _is_number,
    "held_until": _is_int,
    "org": lambda value: isinstance(value, _ORG_KINDS),
    "parked": _is_dict,
    "pipe_target": _is_dict,
    "on_success": _is_target,
    "on_failure": _is_target,
    "on_retry_exhausted": _is_target,
    "group_completion_uuid": lambda value: isinstance(value, str),
    "group_completion_callbacks": lambda value: isinstance(value, list),
    "throws": _is_exception,
}
