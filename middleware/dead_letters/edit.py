"""Checks the payload that replaces a dead letter's, and tells what it changes without telling a secret."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dramatiq import Broker, Message
from pydantic import BaseModel

from ..base.errors import Fault, InvalidPayload
from ..base.payloads import contract_of, normalise, version_of
from ..base.redaction import PLACEHOLDER, Path, as_text, secret_paths
from .letter import DeadLetter

#: Most bytes of JSON that an edited payload may have.
MAX_PAYLOAD_BYTES = 1_000_000
#: Characters of JSON of one value that are shown.
MAX_SHOWN_CHARS = 200
#: Most changes that are listed.
MAX_CHANGES = 200

_MISSING = object()


@dataclass(frozen=True, kw_only=True)
class Edit:
    """A payload that may be sent in place of a letter's."""

    #: `{"args": [...], "kwargs": {...}}`, normalised by the contract where there is one.
    payload: Mapping[str, Any]
    #: Of the contract it was checked against; None without one.
    contract_version: int | None
    #: Each as `path`, `before` and `after`; see `differences`.
    changes: Sequence[Mapping[str, object]]
    #: Secrets that were taken out of the letter and are still missing.
    missing: tuple[str, ...]


def check_edit(broker: Broker, letter: DeadLetter, payload: object) -> Edit:
    """The edit of a letter whose actor is known here.

    Parameters:
      broker: Knows the contract.
      letter: What is edited.
      payload: JSON data for the contract; `{"args": [...], "kwargs": {...}}` for an actor without.

    Raises:
      InvalidPayload: It does not fit the contract, or names another org.
    """
    name = letter.actor or ""
    model = contract_of(broker.get_actor(name))
    edited = _as_arguments(name, payload) if model is None else _as_contract(letter, payload, model)
    if letter.org is not None and any(org != letter.org for org in _orgs(edited)):
        raise InvalidPayload(name, [Fault("org_id", "has to stay the org of the letter")])
    secrets = secret_paths(model, edited["args"][0]) if model else []
    hidden = {*letter.redacted, *as_text([("args", 0, *path) for path in secrets])}
    before = letter.payload or {"args": [], "kwargs": {}}
    return Edit(
        payload=edited,
        contract_version=None if model is None else version_of(model),
        changes=differences(before, edited, hidden),
        missing=tuple(sorted(hidden & _placeholders(edited))),
    )


def differences(before: Any, after: Any, hidden: Collection[str]) -> list[dict[str, object]]:
    """Each change as `path`, `before` and `after`, the values as JSON; what was not there has no such key.

    Parameters:
      before: JSON data.
      after: JSON data.
      hidden: Dotted paths of secrets; at them, above and below, no value is shown.

    Example:
      >>> differences({"a": 1, "b": 2}, {"a": 1, "b": 3}, ())
      [{'path': 'b', 'before': '2', 'after': '3'}]
    """
    changes: list[dict[str, object]] = []
    for path, old, new in _changes(before, after, ()):
        dotted = _dotted(path)
        secret = any(_touch(dotted, each) for each in hidden)
        values = (("before", old), ("after", new))
        shown = {name: _shown(value, secret) for name, value in values if value is not _MISSING}
        changes.append({"path": dotted, **shown})
    if len(changes) > MAX_CHANGES:
        changes[MAX_CHANGES:] = [{"path": f"and {len(changes) - MAX_CHANGES} more"}]
    return changes


def _as_contract(letter: DeadLetter, payload: object, model: type[BaseModel]) -> dict[str, Any]:
    draft: Message[Any] = Message(
        queue_name=letter.queue, actor_name=letter.actor or "", args=(payload,), kwargs={}, options={}
    )
    return {"args": [normalise(draft, model, MAX_PAYLOAD_BYTES)], "kwargs": {}}


def _as_arguments(actor_name: str, payload: object) -> dict[str, Any]:
    args, kwargs = (payload.get("args"), payload.get("kwargs")) if isinstance(payload, dict) else (None, None)
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        reason = 'has to be {"args": [...], "kwargs": {...}}, since the actor has no contract'
        raise InvalidPayload(actor_name, [Fault("payload", reason)])
    return {"args": args, "kwargs": kwargs}


def _orgs(payload: Mapping[str, Any]) -> Iterator[str]:
    for each in (payload["kwargs"], *payload["args"], *payload["kwargs"].values()):
        if isinstance(each, dict) and each.get("org_id") is not None:
            yield str(each["org_id"])


def _placeholders(value: Any, path: Path = ()) -> set[str]:
    if value == PLACEHOLDER:
        return {_dotted(path)}
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {each for key, inner in pairs for each in _placeholders(inner, (*path, key))}


def _changes(before: Any, after: Any, path: Path) -> Iterator[tuple[Path, Any, Any]]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            yield from _changes(before.get(key, _MISSING), after.get(key, _MISSING), (*path, key))
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            old = before[index] if index < len(before) else _MISSING
            new = after[index] if index < len(after) else _MISSING
            yield from _changes(old, new, (*path, index))
    elif type(before) is not type(after) or before != after:
        yield path, before, after


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))


def _touch(path: str, secret: str) -> bool:
    return path == secret or path.startswith(f"{secret}.") or secret.startswith(f"{path}.")


def _shown(value: Any, secret: bool) -> str:
    if secret:
        return PLACEHOLDER
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}... ({len(text)} characters)"
