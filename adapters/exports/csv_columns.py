"""The one table of a CSV export: its sections, its columns and how each record lies in them."""

import json
from collections.abc import Mapping
from typing import Literal

from domain.export_records import (
    ContentPerformance,
    ContentRow,
    ExportHeader,
    KeywordPerformance,
    Setting,
    iso,
)

Section = Literal["export", "content", "keyword", "performance", "setting"]
Record = ExportHeader | ContentRow | KeywordPerformance | ContentPerformance | Setting

#: Every column, in the order of the file. `section` says what a row is and so which columns it fills.
COLUMNS = (
    "section",
    "export_version",
    "export_id",
    "domain_id",
    "domain_name",
    "exported_at",
    "id",
    "title",
    "body",
    "content_type",
    "status",
    "url",
    "created_at",
    "published_at",
    "keyword",
    "clicks",
    "impressions",
    "average_position",
    "views",
    "engaged_seconds",
    "name",
    "value",
)

#: Columns of somebody's own data, where a formula could stand: free text, and times, of which `-infinity` begins like
#: one. All others hold ids and numbers of our own.
TEXT_COLUMNS = frozenset(
    {
        "domain_name",
        "title",
        "body",
        "content_type",
        "status",
        "url",
        "created_at",
        "published_at",
        "keyword",
        "name",
        "value",
    }
)


def cells(record: Record) -> Mapping[str, str]:
    """The filled cells of a record's row, by column."""
    match record:
        case ExportHeader():
            return {
                "section": "export",
                "export_version": str(record.version),
                "export_id": str(record.export_id),
                "domain_id": str(record.domain_id),
                "domain_name": record.domain_name,
                "exported_at": record.exported_at.isoformat(),
            }
        case ContentRow():
            return {
                "section": "content",
                "id": str(record.id),
                "title": record.title,
                "body": record.body,
                "content_type": record.content_type,
                "status": record.status,
                "url": record.url or "",
                "created_at": iso(record.created_at),
                "published_at": iso(record.published_at) if record.published_at else "",
            }
        case KeywordPerformance():
            return {
                "section": "keyword",
                "keyword": record.keyword,
                "clicks": str(record.clicks),
                "impressions": str(record.impressions),
                "average_position": repr(record.average_position),
            }
        case ContentPerformance():
            return {
                "section": "performance",
                "id": str(record.content_id),
                "title": record.title,
                "views": str(record.views),
                "engaged_seconds": str(record.engaged_seconds),
            }
        case Setting():
            return {
                "section": "setting",
                "name": record.name,
                "value": json.dumps(record.value, ensure_ascii=False),
            }
