"""One dead letter: a message that will not be tried again by itself, with all that is needed to understand it."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TypeAlias
from uuid import UUID, uuid5

#: Kinds of fault; whatever else an exception calls itself is kept as `unknown`.
CATEGORIES = (
    "network",
    "auth",
    "validation",
    "timeout",
    "database",
    "unknown",
    "rate_limited",
    "circuit_open",
    "cancelled",
    "poison",
    "version",
)
#: Option of a message that repeats a letter's: the letter's id.
REPLAY_OF = "replay_of"

#: Most letters in one page.
MAX_PAGE = 1_000
#: By what letters are counted.
COUNTED_BY = ("category", "region", "actor", "fingerprint")

#: How many letters there are, by category, region, actor and fingerprint.
Stats: TypeAlias = dict[str, dict[str, int]]

_NAMESPACE = UUID("5a6f0c52-1c1e-4d0a-9f0e-6b7f4f0f2b61")


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """A message that was given up, and why.

    Example:
      >>> letter.category, letter.actor, letter.attempts
      ('network', 'publish_execution', 4)
    """

    #: The same for the same message, however often it is reported.
    id: str
    #: Whose message it was; None when it could not be read or has no org. No org sees those.
    org: str | None = None
    #: None, like `actor`, when the message could not be read.
    message_id: str | None = None
    actor: str | None = None
    queue: str
    region: str | None = None
    #: One of `CATEGORIES`.
    category: str
    error_class: str | None = None
    #: What went wrong; never the text of an error that may quote its input.
    message: str
    #: The innermost five frames, `file:line in function` each.
    trace: str | None = None
    #: The same for faults of one kind at one place.
    fingerprint: str
    #: How often the message was tried.
    attempts: int = 0
    contract_version: int | None = None
    #: `{"args": [...], "kwargs": {...}}`, secrets taken out; None when it could not be read or was too large.
    payload: Mapping[str, object] | None = None
    #: The message's options without what only one delivery needs, secrets taken out.
    options: Mapping[str, object] = field(default_factory=dict)
    #: Dotted paths of what was taken out, below `args`, `kwargs` or `options`.
    redacted: tuple[str, ...] = ()
    #: The bytes of a message that could not be read.
    raw: bytes | None = None
    #: When the message was first sent, and when it was given up, in milliseconds since 1970.
    first_at_ms: int
    died_at_ms: int
    #: The letter whose message this one repeated.
    replay_of: str | None = None
    #: The message that repeats this one; None as long as nobody asked for it.
    replayed_as: str | None = None
    replayed_at_ms: int | None = None
    #: What an edit changed: path, before and after, never the value of a secret.
    changes: tuple[Mapping[str, object], ...] = ()

    @property
    def cursor(self) -> str:
        """The letter's place among all, newest last when compared as text; what pages go on `after`."""
        return f"{self.died_at_ms:016d}:{self.id}"

    def marked(
        self, message_id: str | None, at_ms: int, changes: Sequence[Mapping[str, object]]
    ) -> "DeadLetter":
        """The letter as it is once a message repeats it, or none does any more; see `DeadLetterBox.mark_replayed`."""
        replayed_at_ms = None if message_id is None else at_ms
        return replace(self, replayed_as=message_id, replayed_at_ms=replayed_at_ms, changes=tuple(changes))

    def as_record(self) -> dict[str, object]:
        """The letter as plain JSON data."""
        record = {each.name: getattr(self, each.name) for each in fields(self)}
        record["raw"] = None if self.raw is None else base64.b64encode(self.raw).decode()
        record["redacted"], record["changes"] = list(self.redacted), [dict(each) for each in self.changes]
        return record

    @classmethod
    def from_record(cls, record: Mapping[str, object]) -> "DeadLetter":
        """The letter of `as_record`; fields that a newer release added are left out."""
        known = {each.name: record[each.name] for each in fields(cls) if each.name in record}
        raw = known.get("raw")
        known["raw"] = base64.b64decode(raw) if isinstance(raw, str) else None
        for name in ("redacted", "changes"):
            several = known.get(name)
            known[name] = tuple(several) if isinstance(several, list | tuple) else ()
        return cls(**known)  # type: ignore[arg-type]  # JSON data has no types; `as_record` wrote it


def letter_id(org: str | None, message_id: str) -> str:
    """The id of the letter of a message: however often it is rejected, there is one.

    Parameters:
      org: Part of it, so that no org can take the place of another's letter.
      message_id: The message's.

    Example:
      >>> letter_id("acme", "m1") == letter_id("acme", "m1")
      True
    """
    return str(uuid5(_NAMESPACE, f"{org or ''}|{message_id}"))


def counted(letter: DeadLetter) -> dict[str, str]:
    """What the letter counts under in `Stats`."""
    values = ((name, getattr(letter, name)) for name in COUNTED_BY)
    return {name: value for name, value in values if value}


def check_page(limit: int) -> None:
    """Refuse a page size that no store serves.

    Raises:
      ValueError: `limit` is not in 1..`MAX_PAGE`.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise ValueError(f"limit must be 1 to {MAX_PAGE}, not {limit}; read on with after=letters[-1].cursor")


def check_org(org: str) -> None:
    """Refuse an org that is none, which would be everybody.

    Raises:
      ValueError: `org` is empty.
    """
    if not org:
        raise ValueError("name an org; operators who may see every org's letters use of_every_org()")
