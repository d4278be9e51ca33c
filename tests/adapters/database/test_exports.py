"""The repository of exports: pages that miss nothing, aggregates of the right days, records that tell the end."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, RowMapping, Table, delete, insert, select, text, update

from adapters.database.exports import SqlExports
from adapters.database.tables import (
    content_items,
    content_performance,
    domain_exports,
    domain_registry,
    domain_settings,
    keyword_metrics,
)
from adapters.database.transactions import SqlTransactions
from adapters.database.unit_of_work import SystemUnitOfWork, UnitOfWork
from domain.domain_export import DateRange, DomainExport, ExportOutcome, LocalFile
from domain.errors import LeaseLost, NotFound
from domain.export_ports import ExportRepository
from domain.export_records import ContentPerformance, ContentRow, Cursor, KeywordPerformance, Setting
from domain.ports import Transactions
from tests.tenants import Tenant

#: A moment that is on the next day in the east and on the day before in the west.
MOMENT = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)
DAY = timedelta(days=1)

Exports = Transactions[ExportRepository]


@pytest.fixture
def exports(engine: Engine) -> Exports:
    """Units of work over exports."""
    return SqlTransactions(engine, SqlExports, lambda: None)


def test_a_domain_has_its_name_for_its_owner(
    exports: Exports, tenant: Tenant, new_tenant: Callable[[], Tenant]
) -> None:
    """The name of a domain is its host; another org's domain has none."""
    other = new_tenant()
    assert exports(tenant.org_id, lambda repository: repository.domain_name(tenant.domain_id)) == tenant.host
    assert exports(tenant.org_id, lambda repository: repository.domain_name(other.domain_id)) is None


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(minutes=st.lists(st.integers(0, 4), max_size=12), size=st.integers(1, 5), by_index=st.booleans())
def test_pages_are_the_whole_newest_first(
    engine: Engine, new_tenant: Callable[[], Tenant], minutes: list[int], size: int, by_index: bool
) -> None:
    """Page after page has every item once, newest first, also when many were made in the same moment."""

    def repository(unit: UnitOfWork) -> SqlExports:
        if not by_index:  # whose order must not be what makes it right
            for kind in ("indexscan", "indexonlyscan", "bitmapscan"):
                unit.connection.execute(text(f"SET LOCAL enable_{kind} = off"))
        return SqlExports(unit)

    exports: Exports = SqlTransactions(engine, repository, lambda: None)
    tenant = new_tenant()
    made = [(_content(engine, tenant, MOMENT + timedelta(minutes=minute)), minute) for minute in minutes]
    pages, after = [], None
    while page := _page(exports, tenant, after=after, limit=size):
        pages.append(page)
        after = page[-1].cursor
    assert [row.id for page in pages for row in page] == [
        id_ for id_, minute in sorted(made, key=lambda item: (item[1], item[0]), reverse=True)
    ]
    assert all(len(page) == size for page in pages[:-1])


def test_a_page_has_every_field(engine: Engine, exports: Exports, tenant: Tenant) -> None:
    """A content row is the item as it is stored."""
    id_ = _content(engine, tenant, MOMENT, status="published", url="https://a.example/b", published_at=MOMENT)
    assert _page(exports, tenant) == [
        ContentRow(
            id=id_,
            title="A title",
            body="A body",
            content_type="article",
            status="published",
            url="https://a.example/b",
            created_at=MOMENT,
            published_at=MOMENT,
        )
    ]


def test_a_range_includes_both_ends(engine: Engine, exports: Exports, tenant: Tenant) -> None:
    """Content made at the very start or end of the range is in, a microsecond outside is out."""
    tick = timedelta(microseconds=1)
    start, end = MOMENT, MOMENT + DAY
    inside = {_content(engine, tenant, at) for at in (start, end)}
    for at in (start - tick, end + tick):
        _content(engine, tenant, at)
    page = _page(exports, tenant, date_range=DateRange(start=start, end=end))
    assert {row.id for row in page} == inside


def test_a_page_is_of_one_domain(engine: Engine, exports: Exports, tenant: Tenant) -> None:
    """The content of another domain of the same org is another export's."""
    second = Tenant(org_id=tenant.org_id, domain_id=uuid4(), host=f"{uuid4().hex}.example")
    with UnitOfWork(engine, tenant.org_id) as unit:
        row = {"org_id": second.org_id, "id": second.domain_id, "host": second.host}
        unit.connection.execute(insert(domain_registry).values(row))
    _content(engine, second, MOMENT)
    assert _page(exports, tenant) == []


def test_keywords_are_summed_over_the_days(engine: Engine, exports: Exports, tenant: Tenant) -> None:
    """Clicks and impressions add up, positions are averaged, over UTC days with both ends; most clicks first."""
    for keyword, day, clicks, impressions, position in (
        ("bread", 1, 1, 10, 3.0),
        ("bread", 2, 2, 20, 4.0),
        ("rye", 1, 9, 90, 1.0),
        ("a tie", 2, 3, 0, 8.0),
        ("bread", 3, 500, 500, 1.0),
        ("rye", -1, 500, 500, 1.0),
    ):
        row = {"keyword": keyword, "day": _day(day), "clicks": clicks, "impressions": impressions}
        _insert(engine, tenant, keyword_metrics, {**row, "position": position})
    found = _keywords(exports, tenant, limit=10)
    assert found == [
        KeywordPerformance(keyword="rye", clicks=9, impressions=90, average_position=1.0),
        KeywordPerformance(keyword="a tie", clicks=3, impressions=0, average_position=8.0),
        KeywordPerformance(keyword="bread", clicks=3, impressions=30, average_position=3.5),
    ]
    assert _keywords(exports, tenant, limit=1) == found[:1]


def test_content_is_summed_over_the_days(engine: Engine, exports: Exports, tenant: Tenant) -> None:
    """Views and engaged seconds add up, over UTC days with both ends; most views first."""
    less, more = (_content(engine, tenant, MOMENT) for _ in range(2))
    for content_id, day, views in ((less, 1, 1), (less, 2, 2), (less, 3, 500), (more, 1, 7), (more, 0, 1)):
        row = {"org_id": tenant.org_id, "content_id": content_id, "day": _day(day)}
        with UnitOfWork(engine, tenant.org_id) as unit:
            unit.connection.execute(
                insert(content_performance).values({**row, "views": views, "engaged_seconds": views * 10})
            )
    found = _performance(exports, tenant, limit=10)
    assert found == [
        ContentPerformance(content_id=more, title="A title", views=8, engaged_seconds=80),
        ContentPerformance(content_id=less, title="A title", views=3, engaged_seconds=30),
    ]
    assert _performance(exports, tenant, limit=1) == found[:1]


def test_the_day_of_a_moment_is_utcs(engine: Engine, exports: Exports, tenant: Tenant) -> None:
    """A range given in another zone covers the UTC days of its ends."""
    _insert(engine, tenant, keyword_metrics, {"keyword": "bread", "day": MOMENT.date(), "position": 1})
    new_york = datetime.fromisoformat("2026-02-28T19:30:00-05:00")
    assert new_york == MOMENT
    rows = exports(
        tenant.org_id,
        lambda repository: repository.keyword_performance(tenant.domain_id, new_york, new_york, 10),
    )
    assert [row.keyword for row in rows] == ["bread"]


def test_settings_come_by_name_as_they_are(engine: Engine, exports: Exports, tenant: Tenant) -> None:
    """Settings are sorted by name, and their values are the JSON that was stored, null too."""
    values: dict[str, object] = {"z": {"deep": [1, 2.5, "ü"]}, "a": None, "m": False}
    for name, value in values.items():
        _insert(engine, tenant, domain_settings, {"name": name, "value": value})
    found = exports(tenant.org_id, lambda repository: repository.settings(tenant.domain_id))
    assert found == [Setting(name=name, value=values[name]) for name in ("a", "m", "z")]


def test_an_export_is_recorded_from_start_to_finish(engine: Engine, exports: Exports, tenant: Tenant) -> None:
    """The row runs first, then says where the file is, how large it is and until when it is kept."""
    outcome = _outcome()
    fence = _begin(exports, tenant, outcome.export_id)
    running = _row(engine, tenant)
    assert (running["status"], running["format"], running["destination"]) == ("running", "csv", "local")
    assert (running["finished_at"], running["location"], running["data_version"]) == (None, None, 1)

    exports(tenant.org_id, lambda repository: repository.record_finished(outcome, fence))
    completed = _row(engine, tenant)
    assert completed["status"] == "completed"
    assert completed["finished_at"] >= completed["started_at"]
    reported = {name: completed[name] for name in ("id", "location", "size_bytes", "row_count", "expires_at")}
    assert reported == {
        "id": outcome.export_id,
        "location": "site.csv",
        "size_bytes": 5,
        "row_count": 2,
        "expires_at": MOMENT,
    }


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_an_end_without_a_file_says_why(
    engine: Engine, exports: Exports, tenant: Tenant, status: Literal["failed", "cancelled"]
) -> None:
    """A row that ended says why, however long or odd the reason, and names no file."""
    export_id, reason = uuid4(), "no room\x00 " + "x" * 5_000
    fence = _begin(exports, tenant, export_id)
    exports(tenant.org_id, lambda repository: repository.record_ended(export_id, fence, status, reason))
    row = _row(engine, tenant)
    assert (row["status"], row["location"], row["size_bytes"]) == (status, None, 0)
    assert row["error"].startswith("no room xxx")
    assert row["finished_at"] is not None


def test_another_attempt_takes_the_row_over(engine: Engine, exports: Exports, tenant: Tenant) -> None:
    """A second attempt runs in the first one's row, and keeps when it was asked for."""
    outcome = _outcome()
    fence = _begin(exports, tenant, outcome.export_id)
    exports(tenant.org_id, lambda repository: repository.record_finished(outcome, fence))
    first = _row(engine, tenant)
    _begin(exports, tenant, outcome.export_id)
    second = _row(engine, tenant)
    assert (second["status"], second["location"], second["finished_at"]) == ("running", None, None)
    assert (second["size_bytes"], second["row_count"], second["expires_at"]) == (0, 0, None)
    assert second["requested_at"] == first["requested_at"]
    assert second["started_at"] > first["started_at"]


def test_an_attempt_that_was_taken_over_changes_the_row_no_more(
    engine: Engine, exports: Exports, tenant: Tenant
) -> None:
    """Neither its end nor its failure is written over what the later attempt wrote."""
    outcome = _outcome()
    first = _begin(exports, tenant, outcome.export_id)
    second = _begin(exports, tenant, outcome.export_id)
    exports(tenant.org_id, lambda repository: repository.record_finished(outcome, second))
    completed = _row(engine, tenant)

    for step in _fenced(outcome, first):
        with pytest.raises(LeaseLost):
            exports(tenant.org_id, step)

    assert _row(engine, tenant) == completed


def test_a_clock_that_was_set_back_gives_no_earlier_fence(
    engine: Engine, exports: Exports, tenant: Tenant
) -> None:
    """The fence of a later attempt is later even where the server's time is not."""
    export_id, ahead = uuid4(), datetime(2999, 1, 1, tzinfo=UTC)
    _begin(exports, tenant, export_id)
    with SystemUnitOfWork(engine) as unit:
        unit.connection.execute(
            update(domain_exports).where(domain_exports.c.id == export_id).values(started_at=ahead)
        )

    assert _begin(exports, tenant, export_id) > ahead


@pytest.mark.parametrize("gone", ["never there", "deleted", "transferred"])
def test_the_end_of_an_export_that_is_gone(
    engine: Engine, exports: Exports, tenant: Tenant, new_tenant: Callable[[], Tenant], gone: str
) -> None:
    """When the domain left the org meanwhile there is nothing to mark, and that is told."""
    outcome = _outcome()
    fence = MOMENT
    of_domain = domain_registry.c.id == tenant.domain_id
    if gone != "never there":
        fence = _begin(exports, tenant, outcome.export_id)
        with SystemUnitOfWork(engine) as unit:
            unit.connection.execute(
                delete(domain_registry).where(of_domain)
                if gone == "deleted"
                else update(domain_registry).where(of_domain).values(org_id=new_tenant().org_id)
            )
    for step in _fenced(outcome, fence):
        with pytest.raises(NotFound):
            exports(tenant.org_id, step)


def _begin(exports: Exports, tenant: Tenant, export_id: UUID) -> datetime:
    return exports(tenant.org_id, lambda repository: repository.record_started(export_id, _job(tenant)))


def _fenced(outcome: ExportOutcome, fence: datetime) -> tuple[Callable[[ExportRepository], None], ...]:
    """All that asks for the fence."""
    export_id = outcome.export_id
    return (
        lambda repository: repository.check_fence(export_id, fence),
        lambda repository: repository.record_finished(outcome, fence),
        lambda repository: repository.record_ended(export_id, fence, "failed", "x"),
    )


def _content(engine: Engine, tenant: Tenant, at: datetime, **more: object) -> UUID:
    id_ = uuid4()
    row = {"id": id_, "title": "A title", "body": "A body", "content_type": "article", "status": "draft"}
    _insert(engine, tenant, content_items, {**row, "created_at": at, **more})
    return id_


def _insert(engine: Engine, tenant: Tenant, table: Table, row: dict[str, object]) -> None:
    with UnitOfWork(engine, tenant.org_id) as unit:
        owner = {"org_id": tenant.org_id, "domain_id": tenant.domain_id}
        unit.connection.execute(insert(table).values({**owner, **row}))


def _page(
    exports: Exports,
    tenant: Tenant,
    *,
    date_range: DateRange | None = None,
    after: Cursor | None = None,
    limit: int = 100,
) -> list[ContentRow]:
    return exports(
        tenant.org_id, lambda repository: repository.content_page(tenant.domain_id, date_range, after, limit)
    )


def _day(number: int) -> date:
    return (MOMENT + number * DAY).date()


def _keywords(exports: Exports, tenant: Tenant, limit: int) -> list[KeywordPerformance]:
    start, end = MOMENT, MOMENT + 2 * DAY
    return exports(
        tenant.org_id,
        lambda repository: repository.keyword_performance(tenant.domain_id, start, end, limit),
    )


def _performance(exports: Exports, tenant: Tenant, limit: int) -> list[ContentPerformance]:
    start, end = MOMENT, MOMENT + 2 * DAY
    return exports(
        tenant.org_id,
        lambda repository: repository.content_performance(tenant.domain_id, start, end, limit),
    )


def _job(tenant: Tenant) -> DomainExport:
    return DomainExport(
        org_id=tenant.org_id,
        domain_id=tenant.domain_id,
        format="csv",
        destination=LocalFile(path="site.csv"),
    )


def _outcome() -> ExportOutcome:
    return ExportOutcome(
        export_id=uuid4(), location="site.csv", link=None, size_bytes=5, rows=2, expires_at=MOMENT
    )


def _row(engine: Engine, tenant: Tenant) -> RowMapping:
    with UnitOfWork(engine, tenant.org_id) as unit:
        return unit.connection.execute(select(domain_exports)).mappings().one()
