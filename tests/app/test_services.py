"""The jobs as the platform wires them, on the real database, file system and S3-speaking server."""

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, RowMapping, func, insert, select

from adapters.database.tables import ai_usage, content_ideas, content_items, domain_exports
from adapters.database.unit_of_work import SystemUnitOfWork, UnitOfWork
from app.bootstrap.jobs.services import Services, build_services
from app.embedded import Servers
from app.embedded.s3 import EmbeddedS3, embedded_s3
from app.settings import AiProvider, Settings
from domain.content_idea_generation import ContentIdeaGeneration
from domain.domain_export import Destination, DomainExport, Download, LocalFile, S3Object
from domain.errors import InvalidInput, JobError, NotFound, ProviderUnavailable, SizeLimitExceeded, UnsafePath
from tests.databases import Database
from tests.tenants import Tenant

MIB = 1024 * 1024


@dataclass(frozen=True)
class Platform:
    """Wired jobs and where they leave things."""

    services: Services
    home: Path
    s3: EmbeddedS3


@pytest.fixture(scope="module")
def s3() -> Iterator[EmbeddedS3]:
    """One S3-speaking server."""
    with embedded_s3() as server:
        yield server


@pytest.fixture
def settings(servers: Servers, database: Database, s3: EmbeddedS3, tmp_path: Path) -> Settings:
    """A platform of this test's own, as far as files go."""
    return Settings.model_validate(
        {
            "database_url": database.worker_url,
            "redis_url": servers.redis_url,
            "home": tmp_path,
            "public_url": "http://127.0.0.1:1",
            "secret_keys": ("k" * 32,),
            "s3_endpoint_url": s3.endpoint_url,
            "s3_access_key_id": s3.access_key_id,
            "s3_secret_access_key": s3.secret_access_key,
            "s3_export_targets": (f"{s3.bucket}/{{org_id}}/",),
        }
    )


@pytest.fixture
def platform(settings: Settings, s3: EmbeddedS3, tmp_path: Path) -> Iterator[Platform]:
    """The jobs, wired."""
    with build_services(settings) as services:
        yield Platform(services, tmp_path, s3)


def fill(engine: Engine, tenant: Tenant, rows: int, row_bytes: int) -> None:
    """Give the tenant's domain content."""
    with UnitOfWork(engine, tenant.org_id) as unit:
        for number in range(rows):
            unit.connection.execute(
                insert(content_items).values(
                    org_id=tenant.org_id,
                    domain_id=tenant.domain_id,
                    id=uuid4(),
                    title=f"Item {number}",
                    body="x" * row_bytes,
                    content_type="article",
                    status="draft",
                )
            )


def exports_of(engine: Engine, tenant: Tenant) -> list[RowMapping]:
    """The tenant's export rows."""
    with UnitOfWork(engine, tenant.org_id) as unit:
        return list(unit.connection.execute(select(domain_exports)).mappings())


def files_in(home: Path) -> list[str]:
    """Every file that exports left below the home."""
    return sorted(path.name for path in home.rglob("*") if path.is_file())


def export(tenant: Tenant, destination: Destination, **fields: object) -> DomainExport:
    """A job of this tenant."""
    return DomainExport.model_validate(
        {"org_id": tenant.org_id, "domain_id": tenant.domain_id, "format": "csv", "destination": destination}
        | fields
    )


def test_a_download_of_eleven_megabytes_stops_and_leaves_only_a_failed_row(
    platform: Platform, engine: Engine, tenant: Tenant
) -> None:
    """The error names the limit and what to do; neither object nor file is left."""
    fill(engine, tenant, 11, MIB)

    with pytest.raises(SizeLimitExceeded, match="larger than 10485760 bytes"):
        platform.services.domain_export(export(tenant, Download()))

    (row,) = exports_of(engine, tenant)
    assert (row["status"], row["location"]) == ("failed", None)
    assert "larger than 10485760 bytes" in row["error"]
    assert files_in(platform.home) == []


def test_the_same_eleven_megabytes_go_to_a_path_and_to_a_bucket(
    platform: Platform, engine: Engine, tenant: Tenant
) -> None:
    """There the limit is a gigabyte."""
    fill(engine, tenant, 11, MIB)

    local = platform.services.domain_export(export(tenant, LocalFile(path="a/site.csv")))
    bucket = platform.services.domain_export(
        export(tenant, S3Object(bucket=platform.s3.bucket, key=f"{tenant.org_id}/site.csv"))
    )

    assert local.size_bytes == bucket.size_bytes > 11 * MIB
    assert files_in(platform.home) == ["site.csv"]
    assert [row["status"] for row in exports_of(engine, tenant)] == ["completed", "completed"]


@pytest.mark.parametrize(
    "path", ["../x.csv", "/etc/x.csv", "a/../../x.csv", "a//b.csv", "~/x.csv/..", "a\\..\\b"]
)
def test_path_tricks_are_refused_and_nothing_is_written(
    platform: Platform, engine: Engine, tenant: Tenant, path: str
) -> None:
    """Neither a row nor a file."""
    with pytest.raises(UnsafePath):
        platform.services.domain_export(export(tenant, LocalFile(path=path)))

    assert exports_of(engine, tenant) == []
    assert files_in(platform.home) == []


def test_a_link_out_of_the_orgs_folder_is_refused(platform: Platform, engine: Engine, tenant: Tenant) -> None:
    """Also when it was put there by whoever may write to the folder."""
    outside = platform.home / "outside"
    outside.mkdir()
    own = platform.home / "exports" / str(tenant.org_id)
    own.mkdir(parents=True)
    (own / "way").symlink_to(outside)

    with pytest.raises(UnsafePath):
        platform.services.domain_export(export(tenant, LocalFile(path="way/x.csv")))

    assert exports_of(engine, tenant) == []
    assert files_in(outside) == []


def test_another_orgs_bucket_prefix_is_refused(platform: Platform, engine: Engine, tenant: Tenant) -> None:
    """The error names the setting that allows buckets."""
    foreign = S3Object(bucket=platform.s3.bucket, key=f"{uuid4()}/site.csv")

    with pytest.raises(InvalidInput, match="PRESSROOM_S3_EXPORT_TARGETS"):
        platform.services.domain_export(export(tenant, foreign))

    assert exports_of(engine, tenant) == []


def test_another_orgs_domain_is_not_found(
    platform: Platform, engine: Engine, new_tenant: Callable[[], Tenant]
) -> None:
    """In the words of a domain that does not exist, and nothing is written for either org."""
    mine, theirs = new_tenant(), new_tenant()

    with pytest.raises(NotFound, match=f"domain {theirs.domain_id} not found"):
        platform.services.domain_export(export(mine, LocalFile(path="x.csv"), domain_id=theirs.domain_id))
    with pytest.raises(NotFound, match=f"domain {theirs.domain_id} not found"):
        platform.services.content_idea_generation(ideas(mine, domain_id=theirs.domain_id))

    assert exports_of(engine, mine) == exports_of(engine, theirs) == []
    assert count_ideas(engine, mine) == count_ideas(engine, theirs) == 0
    assert files_in(platform.home) == []


def ideas(tenant: Tenant, **fields: object) -> ContentIdeaGeneration:
    """A job of this tenant."""
    return ContentIdeaGeneration.model_validate(
        {
            "org_id": tenant.org_id,
            "domain_id": tenant.domain_id,
            "keywords": ("sourdough", "rye"),
            "content_type": "article",
        }
        | fields
    )


def count_ideas(engine: Engine, tenant: Tenant) -> int:
    """How many ideas the tenant has."""
    with UnitOfWork(engine, tenant.org_id) as unit:
        return unit.connection.scalar(select(func.count()).select_from(content_ideas)) or 0


def test_one_idempotency_key_from_eight_threads_writes_one_batch(
    platform: Platform, engine: Engine, tenant: Tenant
) -> None:
    """Seven learn the id of the first one's batch."""
    outcomes: list[tuple[str, UUID]] = []
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        batch = platform.services.content_idea_generation(ideas(tenant, idempotency_key="k", max_ideas=150))
        outcomes.append((batch.status, batch.batch_id))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(status for status, _ in outcomes) == ["already_processed"] * 7 + ["completed"]
    assert len({batch_id for _, batch_id in outcomes}) == 1
    assert count_ideas(engine, tenant) == 150


def with_dead_provider(settings: Settings, *, fallback: bool) -> Settings:
    """Settings whose first provider refuses connections."""
    dead = AiProvider(name="dead", base_url="http://127.0.0.1:1/v1", model="m", timeout_s=0.5)
    return settings.model_copy(update={"ai_providers": (dead,), "ai_template_fallback": fallback})


def test_a_provider_that_is_down_is_passed_over(
    settings: Settings, engine: Engine, tenant: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    """The next one serves, and the log says why."""
    with (
        build_services(with_dead_provider(settings, fallback=True)) as services,
        caplog.at_level(logging.WARNING),
    ):
        batch = services.content_idea_generation(ideas(tenant))

    assert (batch.status, len(batch.ideas)) == ("completed", 10)
    assert "Idea provider dead failed" in caplog.text


def test_an_org_without_tokens_left_asks_no_provider_that_charges(
    settings: Settings, engine: Engine, tenant: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    """The templates cost nothing, and serve."""
    with SystemUnitOfWork(engine) as unit:
        spent = {"provider": "dead", "model": "m", "prompt_tokens": 60, "completion_tokens": 40}
        unit.connection.execute(insert(ai_usage).values(org_id=tenant.org_id, job_id=uuid4(), **spent))
    bounded = with_dead_provider(settings, fallback=True).model_copy(
        update={"ai_tokens_per_org_and_day": 100}
    )
    with build_services(bounded) as services, caplog.at_level(logging.WARNING):
        batch = services.content_idea_generation(ideas(tenant))

    assert len(batch.ideas) == 10
    assert "spent 100 of its 100 tokens" in caplog.text


def test_no_provider_left_is_worth_another_attempt_and_nothing_is_written(
    settings: Settings, engine: Engine, tenant: Tenant
) -> None:
    """The retryable error reaches Dramatiq's retries."""
    with (
        build_services(with_dead_provider(settings, fallback=False)) as services,
        pytest.raises(ProviderUnavailable) as caught,
    ):
        services.content_idea_generation(ideas(tenant))

    assert caught.value.retryable
    assert count_ideas(engine, tenant) == 0


def test_a_download_without_an_address_says_which_setting_is_missing(
    settings: Settings, engine: Engine, tenant: Tenant
) -> None:
    """Other destinations do without."""
    with build_services(settings.model_copy(update={"public_url": None})) as services:
        with pytest.raises(JobError, match="PRESSROOM_PUBLIC_URL"):
            services.domain_export(export(tenant, Download()))
        assert services.domain_export(export(tenant, LocalFile(path="x.csv"))).rows == 0
