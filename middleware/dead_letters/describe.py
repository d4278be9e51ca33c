"""Writes the letter of a message that was given up: what it was, why it failed, and none of its secrets."""

import hashlib
import json
import traceback
from dataclasses import replace
from pathlib import PurePath

from dramatiq import Broker
from dramatiq.broker import MessageProxy
from dramatiq.common import q_name
from dramatiq.errors import ActorNotFound
from dramatiq.middleware import Retries as DramatiqRetries
from dramatiq.middleware import SkipMessage

from ..base.classification import category_of, class_name, fingerprint
from ..base.messages import org_of
from ..base.options import names_of
from ..base.redaction import Redaction, as_text
from .letter import CATEGORIES, REPLAY_OF, DeadLetter, letter_id

#: Frames of a trace.
TRACE_FRAMES = 5
#: Characters of an error's text.
MAX_TEXT_CHARS = 2_000
#: The largest number that a forged message can make us count to; every store holds it.
MAX_COUNT = 2**31 - 1


def letter_of(broker: Broker, message: MessageProxy, *, now_ms: int, max_bytes: int) -> DeadLetter:
    """Return the letter of a message that is about to be rejected.

    Parameters:
      broker: Knows the contracts, and so which fields are secret.
      message: With the exception it failed with, if any.
      now_ms: The time, in milliseconds since 1970.
      max_bytes: Most bytes of JSON that payload and options may have together; larger ones are left out.
    """
    redaction = Redaction(broker)
    fields = ("actor_name", "args", "kwargs", "options")
    clean = redaction.message({name: getattr(message, name) for name in fields})
    dropped = names_of("attempt")
    options = {name: value for name, value in clean["options"].items() if name not in dropped}
    paths = [path for path in redaction.paths if path[0] != "options" or path[1] in options]
    for name, value in options.items():
        options[name] = redaction.texts(value)
        if options[name] != value:
            paths.append(("options", name))
    payload = {"args": clean["args"], "kwargs": clean["kwargs"]}
    text = redaction.text(_text(message))
    size_bytes = len(json.dumps([payload, options]).encode())
    if size_bytes > max_bytes:
        text += f"; its payload of {size_bytes} bytes is not kept, at most {max_bytes} are"
        return _outline(broker, message, now_ms, text)
    outline = _outline(broker, message, now_ms, text)
    return replace(outline, payload=payload, options=options, redacted=as_text(paths))


def outline_of(broker: Broker, message: MessageProxy, *, now_ms: int, fault: Exception) -> DeadLetter:
    """Return the letter of a message that cannot be described, so that it is not lost all the same.

    Parameters:
      broker, message, now_ms: As for `letter_of`.
      fault: Why it cannot be described.
    """
    text = f"{_cause(message)}; its payload is not kept, since it could not be cleaned ({class_name(fault)})"
    return _outline(broker, message, now_ms, text)


def unreadable(queue: str, raw: bytes, mark: str, *, now_ms: int, max_bytes: int) -> DeadLetter:
    """Return the letter of bytes that are no message.

    Parameters:
      queue: Where they were.
      raw: All of them.
      mark: Tells equal bytes in one queue apart.
      now_ms: The time, in milliseconds since 1970.
      max_bytes: Most bytes that are kept.
    """
    text = "cannot be read as a message; find out who writes to this queue, and with which encoder"
    if len(raw) > max_bytes:
        text += f"; {len(raw)} bytes, of which the first {max_bytes} are kept"
    digest = hashlib.sha256(raw).hexdigest()
    return DeadLetter(
        id=letter_id(None, f"{queue}|{mark}|{digest}"),
        queue=q_name(queue),
        category="validation",
        error_class="dramatiq.errors.DecodeError",
        message=text,
        fingerprint=hashlib.sha256(f"unreadable|{q_name(queue)}".encode()).hexdigest()[:12],
        raw=raw[:max_bytes],
        first_at_ms=now_ms,
        died_at_ms=now_ms,
    )


def _outline(broker: Broker, message: MessageProxy, now_ms: int, text: str) -> DeadLetter:
    """The letter without what the message carries."""
    exception = message._exception
    org = _word(org_of(message))
    version, sent_ms = message.options.get("contract_version"), message.message_timestamp
    return DeadLetter(
        id=letter_id(org, _word(message.message_id) or ""),
        org=org,
        message_id=_word(message.message_id),
        actor=_word(message.actor_name),
        queue=_word(q_name(message.queue_name)) or "",
        region=_word(message.options.get("region")),
        category=_category(exception),
        error_class=class_name(exception) if exception else None,
        message=_word(text[:MAX_TEXT_CHARS]) or "",
        trace=_trace(exception),
        fingerprint=_fingerprint(message),
        attempts=_attempts(broker, message),
        contract_version=version if isinstance(version, int) and 0 <= version <= MAX_COUNT else None,
        first_at_ms=sent_ms if isinstance(sent_ms, int) and 0 <= sent_ms <= now_ms else now_ms,
        died_at_ms=now_ms,
        replay_of=_word(message.options.get(REPLAY_OF)),
    )


def _category(exception: BaseException | None) -> str:
    if exception is None:
        return "unknown"
    if type(exception) is SkipMessage:
        return "timeout"
    category = category_of(exception)
    return category if category in CATEGORIES else "unknown"


def _text(message: MessageProxy) -> str:
    exception = message._exception
    # Whoever gives an error a category writes its text for others to read; any other text may quote its input.
    if isinstance(getattr(exception, "category", None), str):
        return str(exception)
    return _cause(message)


def _cause(message: MessageProxy) -> str:
    exception = message._exception
    if exception is None:
        return "rejected without an error"
    if isinstance(exception, ActorNotFound):
        return f"no actor {message.actor_name} in this build; start a worker that has it, then retry"
    if type(exception) is SkipMessage:
        return "expired: older than it may be when a worker took it"
    return f"{class_name(exception)}; its text may quote the payload and is not kept"


def _trace(exception: BaseException | None) -> str | None:
    frames = traceback.extract_tb(exception.__traceback__)[-TRACE_FRAMES:] if exception else []
    fields = (
        f"{'/'.join(PurePath(each.filename).parts[-2:])}:{each.lineno} in {each.name}" for each in frames
    )
    return "\n".join(fields) or None


def _fingerprint(message: MessageProxy) -> str:
    exception = message._exception
    if exception is not None and exception.__traceback__ and not isinstance(exception, ActorNotFound):
        return fingerprint(exception)
    # Raised at one place for every actor there is not, or nowhere, by a broker that gave the message up.
    return hashlib.sha256(f"{_cause(message)}|{message.actor_name}".encode()).hexdigest()[:12]


def _attempts(broker: Broker, message: MessageProxy) -> int:
    exception = message._exception
    charged = message.options.get("retries", 0)
    charged = charged if isinstance(charged, int) and 0 <= charged < MAX_COUNT else 0
    if exception is None or isinstance(exception, ActorNotFound | SkipMessage):
        return charged
    return charged if _charged_already(broker, message, exception) else charged + 1


def _charged_already(broker: Broker, message: MessageProxy, exception: BaseException) -> bool:
    """Whether Dramatiq's own `Retries` counted the last attempt, too, before it gave up."""
    if not any(type(each) is DramatiqRetries for each in broker.middleware):
        return False
    actor = broker.actors.get(message.actor_name)
    throws = message.options.get("throws") or (actor.options.get("throws") if actor else None)
    return not (throws and isinstance(exception, throws)) and "requeue_timestamp" in message.options


def _word(value: object) -> str | None:
    """A name out of a message, which may be anything, as text that every store can hold; None for none."""
    text = str(value).encode("utf-8", "replace").decode().replace("\x00", "") if value is not None else ""
    return text or None
