"""What an export promises, whatever the format, the database and the destination."""

from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

from domain.domain_export import DateRange, DomainExport, LocalFile, S3Object
from domain.errors import (
    Cancelled,
    DeadlineExceeded,
    NotFound,
    SizeLimitExceeded,
    StorageUnavailable,
    UnsafePath,
)
from domain.limits import Limits

from .export_fakes import NOW, World

#: Checkpoints of an export of three rows: before its page, and after each of its parts.
CHECKPOINTS = range(1, 6)


class Interrupted(BaseException):
    """What a worker raises into a job's thread."""


def test_an_export_holds_every_part_and_says_where_it_is() -> None:
    """The file holds header, content newest first, analytics and settings; the outcome describes it."""
    world = World()
    outcome = world.export()
    text = b"bakery.example v1\nBread 2\nBread 1\nBread 0\n1 keywords, 1 items\n1 settings\nend\n"
    assert world.shelf.files == {world.job_id: text}
    assert outcome.export_id == world.job_id
    assert outcome.location == f"shelf/{world.job_id}"
    assert outcome.link == "https://shelf.example"
    assert (outcome.rows, outcome.size_bytes) == (3, len(text))
    assert world.database.exports == {world.job_id: "completed"}


def test_progress_is_reported_at_six_points() -> None:
    """Whoever watches sees 10, 30, 50, 70, 80 and 100 percent, in this order."""
    world = World()
    world.export()
    assert world.attempt.percents == [10, 30, 50, 70, 80, 100]


def test_a_small_export_has_five_points_to_stop() -> None:
    """The stopping tests below cover every checkpoint there is."""
    world = World()
    world.export()
    assert world.attempt.checkpoints == CHECKPOINTS[-1]


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_cancelled_anywhere_it_leaves_nothing(checkpoint: int) -> None:
    """Cancelled at any checkpoint, an export leaves a `cancelled` row and nothing else."""
    world = World()
    with pytest.raises(Cancelled):
        world.export(stop_at=checkpoint, stop_with=Cancelled("by an operator"))
    assert world.leftovers == ({}, 0)
    assert world.database.exports == {world.job_id: "cancelled"}
    assert world.database.reasons == {world.job_id: "by an operator"}


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
@pytest.mark.parametrize("stop", [DeadlineExceeded("10 min are over"), Interrupted()])
def test_interrupted_anywhere_it_leaves_nothing(checkpoint: int, stop: BaseException) -> None:
    """A deadline or an interrupt at any checkpoint leaves a `failed` row and nothing else."""
    world = World()
    with pytest.raises(type(stop)):
        world.export(stop_at=checkpoint, stop_with=stop)
    assert world.leftovers == ({}, 0)
    assert world.database.exports == {world.job_id: "failed"}


@pytest.mark.parametrize("error", [StorageUnavailable("disk full"), Interrupted()])
def test_a_failed_delivery_leaves_nothing(error: BaseException) -> None:
    """What a delivery left before it failed is discarded."""
    world = World()
    world.shelf.fail_with = error
    with pytest.raises(type(error)):
        world.export()
    assert world.leftovers == ({}, 0)
    assert world.database.exports == {world.job_id: "failed"}


def test_an_interrupt_that_strikes_the_clean_up_leaves_nothing() -> None:
    """It is done again, and the interrupt is what the attempt ends with."""
    world = World()
    strikes = iter([Interrupted()])
    discard = world.shelf.discard

    def struck(export_id: UUID, job: DomainExport) -> None:
        for interrupt in strikes:
            raise interrupt
        discard(export_id, job)

    world.shelf.discard = struck  # type: ignore[method-assign]
    world.shelf.fail_with = StorageUnavailable("disk full")

    with pytest.raises(Interrupted):
        world.export()

    assert world.leftovers == ({}, 0)
    assert world.database.exports == {world.job_id: "failed"}


def test_the_row_repeats_no_foreign_error() -> None:
    """Texts of foreign errors may quote secrets; the row names the error alone."""
    world = World()
    world.shelf.fail_with = ValueError("password hunter2 refused")
    with pytest.raises(ValueError, match="hunter2"):
        world.export()
    assert world.database.reasons == {world.job_id: "ValueError"}


def test_a_clean_up_that_fails_still_ends_the_row() -> None:
    """A store that is down during the clean-up neither hides the first error nor leaves the row `running`."""
    world = World()
    world.shelf.fail_with = StorageUnavailable("disk full")
    world.shelf.fail_discard_with = StorageUnavailable("still full")
    with pytest.raises(StorageUnavailable, match="disk full") as caught:
        world.export()
    assert world.database.exports == {world.job_id: "failed"}
    assert caught.value.__notes__ == ["clean-up failed as well: still full"]


def test_an_unknown_domain_is_not_found() -> None:
    """A domain that does not exist writes no row and no file."""
    world = World()
    with pytest.raises(NotFound):
        world.export(world.job(domain_id=uuid4()))
    assert (world.leftovers, world.database.exports) == (({}, 0), {})


def test_another_orgs_domain_is_not_found_in_the_same_words() -> None:
    """An org cannot tell another org's domain from one that does not exist."""
    world = World()
    with pytest.raises(NotFound) as foreign:
        world.export(world.job(org_id=uuid4()))
    assert str(foreign.value) == str(NotFound("domain", world.domain_id))
    assert (world.leftovers, world.database.exports) == (({}, 0), {})


def test_an_unsafe_destination_is_refused_before_anything_is_read() -> None:
    """A refused destination costs no query and leaves no row."""
    world = World()
    world.shelf.refuse_with = UnsafePath("no")
    with pytest.raises(UnsafePath):
        world.export()
    assert (world.leftovers, world.database.exports, world.database.page_limits) == (({}, 0), {}, [])


@pytest.mark.parametrize(
    ("destination", "limits"),
    [
        ({"type": "download"}, Limits(max_download_size=40)),
        ({"type": "local", "path": "a.csv"}, Limits(max_export_size=40)),
        ({"type": "s3", "bucket": "backups", "key": "a.csv"}, Limits(max_export_size=40)),
    ],
)
def test_a_file_that_grows_too_large_stops_at_once(destination: dict[str, str], limits: Limits) -> None:
    """Past its destination's limit an export reads no further page and leaves only a `failed` row."""
    world = World(rows=250, limits=limits)
    with pytest.raises(SizeLimitExceeded, match="40 bytes"):
        world.export(world.job(destination=destination))
    assert len(world.database.page_limits) == 1
    assert world.leftovers == ({}, 0)
    assert world.database.exports == {world.job_id: "failed"}


def test_a_file_of_exactly_the_limit_passes() -> None:
    """The limit itself is allowed."""
    size_bytes = World().export().size_bytes
    assert World(limits=Limits(max_download_size=size_bytes)).export().size_bytes == size_bytes


def test_a_redelivered_job_replaces_its_own_file() -> None:
    """Performed twice, a job still has one row and one file, the newer one."""
    world = World()
    world.export()
    world.database.content.clear()
    world.export()
    assert world.database.exports == {world.job_id: "completed"}
    assert list(world.shelf.files) == [world.job_id]
    assert b"Bread" not in world.shelf.files[world.job_id]


def test_a_retry_after_a_failure_completes_the_row() -> None:
    """The second attempt takes over the first one's row."""
    world = World()
    with pytest.raises(DeadlineExceeded):
        world.export(stop_at=3, stop_with=DeadlineExceeded("over"))
    world.export()
    assert world.database.exports == {world.job_id: "completed"}


def test_content_is_read_in_pages_and_each_row_once() -> None:
    """Pages follow each other without a gap or a repeat, also between rows of the same time."""
    world = World(rows=250)
    assert world.export().rows == 250
    titles = [row for row in world.shelf.files[world.job_id].splitlines() if row.startswith(b"Bread")]
    assert titles == [f"Bread {number}".encode() for number in reversed(range(250))]
    assert world.database.page_limits == [100, 100, 100]


@pytest.mark.parametrize(("most", "page_limits"), [(250, [100, 100, 50]), (201, [100, 100, 1])])
def test_paging_stops_at_max_csv_rows(most: int, page_limits: list[int]) -> None:
    """Of 300 rows the newest MAX_CSV_ROWS are exported, all of them, and not one more is read."""
    world = World(rows=300, limits=Limits(max_csv_rows=most))
    assert world.export().rows == most
    assert world.database.page_limits == page_limits


def test_parts_left_out_are_not_read() -> None:
    """An export of nothing but its header reads neither content, analytics nor settings."""
    world = World()
    outcome = world.export(world.job(include_content=False, include_analytics=False, include_settings=False))
    assert world.shelf.files[world.job_id] == b"bakery.example v1\nend\n"
    assert outcome.rows == 0
    assert (world.database.page_limits, world.database.windows, world.database.settings_reads) == ([], [], 0)


def test_analytics_cover_ninety_days_or_the_range_asked_for() -> None:
    """Without a range, analytics look back 90 days from now; with one, exactly that range."""
    world = World()
    world.export()
    asked = DateRange(start=NOW - timedelta(days=3), end=NOW - timedelta(days=1))
    world.export(world.job(date_range=asked))
    assert world.database.windows == [(NOW - timedelta(days=90), NOW), (asked.start, asked.end)]


def test_downloads_expire_after_a_day_and_files_after_a_week() -> None:
    """Expiry follows the limits of the destination."""
    world = World()
    assert world.export().expires_at == NOW + timedelta(days=1)
    local = world.job(destination=LocalFile(path="a.csv"))
    assert world.export(local).expires_at == NOW + timedelta(days=7)


class TestContract:
    """What a job may ask for."""

    fields: ClassVar[dict[str, object]] = {"org_id": uuid4(), "domain_id": uuid4(), "format": "json"}

    def test_a_range_must_not_end_before_it_starts(self) -> None:
        """A range of one moment is fine, a reversed one is refused."""
        assert DateRange(start=NOW, end=NOW)
        with pytest.raises(ValidationError, match="start must not be later"):
            DateRange(start=NOW, end=NOW - timedelta(microseconds=1))

    def test_a_range_needs_a_zone(self) -> None:
        """A time without a zone could mean two days, and is refused."""
        naive: datetime = NOW.replace(tzinfo=None)
        with pytest.raises(ValidationError, match="timezone"):
            DateRange(start=naive, end=NOW)

    @pytest.mark.parametrize("bucket", ["a", "Upper", "under_score", "-dash", "a/b", "../x", "s3.", ""])
    def test_odd_bucket_names_are_refused(self, bucket: str) -> None:
        """Only names that every S3-compatible store takes pass."""
        with pytest.raises(ValidationError):
            S3Object(bucket=bucket, key="k")

    def test_a_path_cannot_hold_nul(self) -> None:
        """NUL ends a path early for the system below, and is refused."""
        with pytest.raises(ValidationError):
            LocalFile(path="a.csv\x00.png")

    def test_it_survives_the_wire(self) -> None:
        """What is sent as JSON arrives as the same job."""
        job = DomainExport.model_validate(
            self.fields | {"destination": S3Object(bucket="backups", key="a/b.json")}
        )
        assert DomainExport.model_validate_json(job.model_dump_json()) == job

    def test_unknown_fields_are_refused(self) -> None:
        """A typo is an error, not an export of something else."""
        with pytest.raises(ValidationError):
            DomainExport.model_validate(self.fields | {"include_contents": False})
