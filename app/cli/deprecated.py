"""What the command line said until 0.2 and still understands: removed in 0.3, and only from here.

In JSON each thing has one name and each time is ISO 8601; the names and numbers of 0.1 stand beside them. Commands that
were renamed answer to their old names. Both say so in one line on standard error.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, TypeAlias, Union

import typer

from app.output import note

#: When the old names go.
UNTIL: Final = "0.3"

#: Old name of a field and its new one; or a field, and the names within it.
Names: TypeAlias = Mapping[str, Union[str, "Names"]]

JOB: Final[Names] = {"id": "message_id", "org": "org_id"}
_REASON: Final[Names] = {"since_ms": "since", "until_ms": "until"}
_ATTEMPT: Final[Names] = {"id": "attempt_id", "org": "org_id"}
JOB_WHY: Final[Names] = {**JOB, "reasons": _REASON}
JOB_DETAILS: Final[Names] = {**JOB, "attempts": _ATTEMPT, "progress": {"org": "org_id"}, "why": JOB_WHY}
SENT_JOB: Final[Names] = {"job_id": "message_id"}
CANCEL_REQUEST: Final[Names] = {"job_id": "message_id", "org": "org_id", "withdrawn": "request_id"}
WAITING_JOB: Final[Names] = {"org": "org_id", "due_ms": "due_at"}
LETTER: Final[Names] = {
    "id": "dead_letter_id",
    "letter_id": "dead_letter_id",
    "deleted": "dead_letter_id",
    "org": "org_id",
    "first_at_ms": "first_at",
    "died_at_ms": "died_at",
    "replayed_at_ms": "replayed_at",
}
ORG: Final[Names] = {"id": "org_id"}
SCHEDULE: Final[Names] = {"id": "schedule_id", "removed": "schedule_id"}
WORKER: Final[Names] = {
    "id": "worker_id",
    "started_ms": "started_at",
    "in_flight": {"org": "org_id"},
    "in_hand": "in_flight",
}
QUIETED_WORKER: Final[Names] = {"quiet": "worker_id", "resumed": "worker_id"}
QUEUE: Final[Names] = {"name": "queue"}
LANE: Final[Names] = {"org": "org_id"}
CIRCUIT: Final[Names] = {"since_ms": "since", "until_ms": "until"}
PAUSE: Final[Names] = {"org": "org_id", "since_ms": "since", "until_ms": "until"}


def with_old_names(value: object, names: Names) -> object:
    """A JSON value under its new names, with the old ones beside them, and a line on standard error that says so.

    Parameters:
        value: a record or a list of records, under their old names.
        names: which those are.

    Example:
        >>> with_old_names({"id": "0192f1c4"}, {"id": "message_id"})
        {'message_id': '0192f1c4', 'id': '0192f1c4'}
    """
    used: dict[str, str] = {}
    renamed = _renamed(value, names, used)
    if used:
        pairs = ", ".join(f"{old} (now {new})" for old, new in used.items())
        note(f"Old names in this JSON go in {UNTIL}: {pairs}.")
    return renamed


def old_spelling(old: str, new: str) -> None:
    """Say on standard error that a command has another name now."""
    note(f"`{old}` goes in {UNTIL}; it is `{new}` now.")


def answers_to(app: typer.Typer, group: typer.Typer, old: str, new: str) -> None:
    """Let a group of commands be called by its old name, too.

    Parameters:
        app: where it stands.
        group: the group.
        old, new: its names.
    """

    def say() -> None:
        old_spelling(old, new)

    app.add_typer(group, name=old, hidden=True, callback=say)


def _renamed(value: object, names: Names, used: dict[str, str]) -> object:
    if isinstance(value, list | tuple):
        return [_renamed(each, names, used) for each in value]
    if not isinstance(value, Mapping):
        return value
    record: dict[str, object] = {}
    for name, field in value.items():
        new = names.get(name)
        if isinstance(new, str):
            used[name] = new
            if new not in value:
                record[new] = _moment(field) if name.endswith("_ms") else field
        record[name] = field if new is None or isinstance(new, str) else _renamed(field, new, used)
    return record


def _moment(epoch_ms: object) -> datetime | None:
    return datetime.fromtimestamp(epoch_ms / 1_000, UTC) if isinstance(epoch_ms, int | float) else None
