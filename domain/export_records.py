"""What an export holds, record by record, whatever the format."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from .errors import InvalidInput

#: Version of the data in every export; raised when a record changes its meaning (seed M12).
EXPORT_DATA_VERSION = 1

#: A time beyond the years 1 to 9999, in the database's words: `infinity`, `0044-03-15 00:00:00+00 BC`.
FarTime = Annotated[str, StringConstraints(pattern=r"^(-?infinity|\d{4,6}-\d\d-\d\d .{8,40})$")]
#: When content was made or published: somebody's own data, which may be of any age.
Moment = Annotated[datetime | FarTime, Field(union_mode="left_to_right")]

#: Where a page of content ended: creation time and id of its last row.
Cursor = tuple[datetime | str, UUID]


@dataclass(frozen=True, kw_only=True)
class ExportHeader:
    """What every export says about itself."""

    version: int
    export_id: UUID
    domain_id: UUID
    domain_name: str
    exported_at: datetime


@dataclass(frozen=True, kw_only=True)
class ContentRow:
    """A content item, as a row."""

    id: UUID
    title: str
    body: str
    content_type: str
    status: str
    url: str | None
    created_at: Moment
    published_at: Moment | None

    @property
    def cursor(self) -> Cursor:
        return (self.created_at, self.id)


@dataclass(frozen=True, kw_only=True)
class KeywordPerformance:
    """A keyword over the range."""

    keyword: str
    clicks: int
    impressions: int
    average_position: float


@dataclass(frozen=True, kw_only=True)
class ContentPerformance:
    """A content item over the range."""

    content_id: UUID
    title: str
    views: int
    engaged_seconds: int


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A setting of the domain; `value` is JSON data."""

    name: str
    value: object


def iso(moment: datetime | str) -> str:
    """A moment as exports write it: ISO 8601, or in the database's words where that has none.

    Example:
        >>> iso("infinity")
        'infinity'
    """
    return moment if isinstance(moment, str) else moment.isoformat()


def checked_version(version: object) -> int:
    """The version of an export that is being read.

    Raises:
        InvalidInput: this build does not know it.

    Example:
        >>> checked_version(1)
        1
    """
    if version != EXPORT_DATA_VERSION:
        raise InvalidInput(
            f"export data version {version!r} is not known here (this build reads {EXPORT_DATA_VERSION}); "
            "read it with the release that wrote it, or a newer one"
        )
    return EXPORT_DATA_VERSION


def setting_pairs(settings: list[Setting]) -> Mapping[str, object]:
    """Settings as one mapping, for formats that have one."""
    return {setting.name: setting.value for setting in settings}
