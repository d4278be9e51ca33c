"""Dead letters as rows of `publishing_dlq`, and back, without loss whatever is in them."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

from .tables.publishing import ERROR_CATEGORIES

#: Lengths that the table holds its text to. A longer name loses its end, not its letter.
MAX_CHARS = {
    "message_id": 200,
    "actor": 200,
    "queue": 200,
    "region": 64,
    "message": 4_000,
    "trace": 8_000,
    "fingerprint": 128,
    "error_class": 300,
    "replay_of": 200,
}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: From here on Python writes a float with an exponent, and JSONB reads it as an integer.
_EXACT = 1e16
#: The end of year 9999, where Python's calendar ends.
_LAST_MS = 253_402_300_799_999


def row_of(record: Mapping[str, object]) -> dict[str, object]:
    """The row of a letter's record; an org that is no UUID is none, an unknown category is `unknown`."""
    if _changes_as_jsonb(record.get("payload")) or _changes_as_jsonb(record.get("options")):
        return row_of_bytes(record)
    return _row(record)


def row_of_bytes(record: Mapping[str, object]) -> dict[str, object]:
    """The row of a record that the table cannot hold as JSON: what is searched for, and the record's own bytes."""
    row = _row(record)
    if row["actor"] is None:  # bytes that are no message are in their column already
        return row
    raw = json.dumps(dict(record)).encode()
    return {**row, "payload": None, "options": None, "redacted": [], "contract_version": None, "raw": raw}


def record_of(row: Mapping[str, object]) -> dict[str, object]:
    """The letter's record that the row was made of, with what became of it since."""
    raw = row["raw"]
    replay = {
        "replayed_as": row["replayed_as"],
        "replayed_at_ms": _ms(row["replayed_at"]),
        "changes": row["changes"],
    }
    if isinstance(raw, bytes) and row["actor"] is not None:
        return {**json.loads(raw), **replay}
    died_at_ms, first_at_ms = _ms(row["created_at"]), _ms(row["first_at"])
    return {
        **{name: row[name] for name in MAX_CHARS},
        **{name: row[name] for name in ("payload", "redacted", "attempts", "contract_version")},
        **replay,
        "id": str(row["id"]),
        "org": None if row["org_id"] is None else str(row["org_id"]),
        "category": row["error_category"],
        "fingerprint": row["fingerprint"] or "",
        "options": row["options"] or {},
        "raw": base64.b64encode(raw).decode() if isinstance(raw, bytes) else None,
        "first_at_ms": died_at_ms if first_at_ms is None else first_at_ms,
        "died_at_ms": died_at_ms,
    }


def instant(at_ms: object) -> datetime:
    """Milliseconds since 1970 as a point in time, none of them lost; what no calendar has is brought into it."""
    return _EPOCH + timedelta(milliseconds=min(max(int(str(at_ms)), 0), _LAST_MS))


def place(cursor: str) -> tuple[datetime, UUID]:
    """The time and id that a letter's cursor stands for.

    Raises:
        ValueError: it is no cursor.
    """
    at_ms, _, letter_id = cursor.partition(":")
    return instant(at_ms), UUID(letter_id)


def _row(record: Mapping[str, object]) -> dict[str, object]:
    raw = record.get("raw")
    return {
        **{name: _fit(record.get(name), max_chars) for name, max_chars in MAX_CHARS.items()},
        "id": UUID(str(record["id"])),
        "org_id": _uuid(record.get("org")),
        "error_category": record["category"] if record["category"] in ERROR_CATEGORIES else "unknown",
        "payload": record.get("payload"),
        "options": record.get("options"),
        "redacted": record.get("redacted") or [],
        "raw": base64.b64decode(raw) if isinstance(raw, str) else None,
        "attempts": record.get("attempts") or 0,
        "contract_version": record.get("contract_version"),
        "first_at": instant(record["first_at_ms"]),
        "created_at": instant(record["died_at_ms"]),
        "replayed_as": record.get("replayed_as"),
        "replayed_at": None if record.get("replayed_at_ms") is None else instant(record["replayed_at_ms"]),
        "changes": record.get("changes") or [],
    }


def _ms(at: object) -> int | None:
    return (at - _EPOCH) // timedelta(milliseconds=1) if isinstance(at, datetime) else None


def _fit(value: object, max_chars: int) -> str | None:
    return None if value is None else str(value).replace("\x00", "")[:max_chars]


def _uuid(org: object) -> UUID | None:
    try:
        return None if org is None else UUID(str(org))
    except ValueError:
        return None


def _changes_as_jsonb(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_changes_as_jsonb, value.values()))
    if isinstance(value, list):
        return any(map(_changes_as_jsonb, value))
    return isinstance(value, float) and abs(value) >= _EXACT
