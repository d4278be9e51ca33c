"""`media_cleanup` as the platform wires it: a thousand files in two real stores, and rows in the real database."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, insert, select

from adapters.database.migrate import upgrade
from adapters.database.tables import media_assets
from adapters.database.unit_of_work import SystemUnitOfWork
from adapters.storage.object_store import open_store
from app.bootstrap.jobs.domain_export import s3_options
from app.bootstrap.jobs.media_cleanup import media_cleanup, media_store
from app.embedded.s3 import embedded_s3
from app.settings import Settings, SettingsError
from domain.media_cleanup import CleanupReport
from tests.databases import Database
from tests.tenants import Tenant

pytestmark = pytest.mark.slow

OLD = datetime.now(UTC) - timedelta(days=60)
ITEMS = 1000


@dataclass(frozen=True)
class Library:
    """An org's media: rows, and files in folders."""

    engine: Engine
    tenant: Tenant
    home: Path
    settings: Settings

    def add(self, count: int) -> dict[str, UUID]:
        """Files with their rows, by key: every other one an orphan, the others long unseen."""
        made: dict[str, UUID] = {}
        rows = []
        now = datetime.now(UTC)
        for number in range(count):
            key, made_id = f"{self.tenant.org_id}/{number:03}.png", uuid4()
            made[key] = made_id
            is_orphan = number % 2 == 1
            rows.append(
                {
                    "org_id": self.tenant.org_id,
                    "domain_id": self.tenant.domain_id,
                    "id": made_id,
                    "object_key": key,
                    "media_type": "image/png",
                    "storage": "hot",
                    "last_referenced_at": OLD if is_orphan else now,
                    "last_accessed_at": now if is_orphan else OLD,
                }
            )
            file = self.home / "media" / key
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(key.encode())
        with SystemUnitOfWork(self.engine) as unit:
            unit.connection.execute(insert(media_assets), rows)
        return made

    def clean_up(self) -> CleanupReport:
        """One run, as a worker does it."""
        return media_cleanup(self.settings, self.engine)()

    def states(self) -> dict[str, str]:
        """What the rows say, by key."""
        query = select(media_assets.c.object_key, media_assets.c.storage)
        with SystemUnitOfWork(self.engine) as unit:
            rows = unit.connection.execute(query.where(media_assets.c.org_id == self.tenant.org_id))
            return {row.object_key: row.storage for row in rows}

    def files(self, store: str) -> dict[str, str]:
        """What is in a store, by key."""
        folder = self.home / store
        return {
            str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()
        }


@pytest.fixture(scope="module")
def database(new_database: Callable[[], Database]) -> Database:
    """One that no other test fills: a run works for every org there is."""
    fresh = new_database()
    upgrade(fresh.owner_url)
    return fresh


@pytest.fixture
def library(engine: Engine, tenant: Tenant, database: Database, tmp_path: Path) -> Library:
    """Empty."""
    settings = Settings.model_validate({"database_url": database.worker_url, "home": tmp_path})
    return Library(engine, tenant, tmp_path, settings)


def test_three_of_a_thousand_fail_and_the_next_run_finishes_them(library: Library) -> None:
    """The store takes 997; the other three are told, untouched, and done once it takes them too."""
    keys = library.add(ITEMS)
    unseen, orphans = list(keys)[::2], list(keys)[1::2]
    failing = [unseen[0], unseen[321], orphans[-1]]
    # A folder stands where a file has to go, or to be removed.
    blocks = [library.home / "cold" / key / "x" for key in failing]
    for block in blocks:
        block.mkdir(parents=True)

    report = library.clean_up()

    assert (report.cold_moved, report.orphaned_deleted, report.failed) == (498, 499, 3)
    assert {each.media_id for each in report.errors} == {keys[key] for key in failing}
    assert {each.category for each in report.errors} == {"network"}
    assert library.states() == {
        **dict.fromkeys(unseen, "cold"),
        failing[0]: "hot",
        failing[1]: "hot",
        failing[2]: "deleting",
    }

    for block in blocks:
        block.rmdir()
        block.parent.rmdir()
    report = library.clean_up()

    assert (report.cold_moved, report.orphaned_deleted, report.errors) == (2, 1, ())
    assert library.states() == dict.fromkeys(unseen, "cold")
    assert library.files("media") == {}
    assert library.files("cold") == {key: key for key in unseen}
    assert library.clean_up() == CleanupReport(cold_moved=0, orphaned_deleted=0, failed=0, errors=())


def test_cold_storage_may_be_a_bucket(library: Library) -> None:
    """The stores need not be of one kind."""
    with embedded_s3() as s3:
        to_bucket = {
            "cold_store_url": f"s3://{s3.bucket}/cold",
            "s3_endpoint_url": s3.endpoint_url,
            "s3_access_key_id": s3.access_key_id,
            "s3_secret_access_key": s3.secret_access_key,
        }
        settings = library.settings.model_copy(update=to_bucket)
        keys = list(library.add(20))

        report = media_cleanup(settings, library.engine)()

        cold = open_store(f"s3://{s3.bucket}/cold", s3_options(settings))
        assert (report.cold_moved, report.orphaned_deleted, report.errors) == (10, 10, ())
        assert [b"".join(cold.get(key)).decode() for key in keys[::2]] == keys[::2]
    assert library.files("media") == {}


def test_a_store_that_is_down_fails_each_item_and_loses_none(library: Library) -> None:
    """The rows of orphans wait, condemned; everything else is as it was."""
    keys = list(library.add(20))
    nobody = {"cold_store_url": "s3://none/cold", "s3_endpoint_url": "http://127.0.0.1:1"}
    settings = library.settings.model_copy(
        update={**nobody, "s3_access_key_id": "id", "s3_secret_access_key": SecretStr("never-shown")}
    )

    report = media_cleanup(settings, library.engine)()

    assert (report.cold_moved, report.orphaned_deleted, report.failed) == (0, 0, 20)
    assert "never-shown" not in report.model_dump_json()
    assert library.states() == dict(zip(keys, ["hot", "deleting"] * 10, strict=True))
    assert set(library.files("media")) == set(keys[::2])

    assert library.clean_up().orphaned_deleted == 10


@pytest.mark.parametrize(
    ("hot", "cold"),
    [
        ("file:///a/media", "file:///a/media"),
        ("file:///a/media/", "file:///a/b/../media/cold"),
        ("file:///a/media", "file:///a"),
        ("s3://bucket", "s3://bucket/cold"),
        ("s3://bucket/media/cold", "s3://bucket/media/"),
    ],
)
def test_stores_that_lie_one_in_the_other_are_refused(tmp_path: Path, hot: str, cold: str) -> None:
    """Removing a hot copy might remove a cold one; the error names both settings."""
    settings = Settings.model_validate({"home": tmp_path, "media_store_url": hot, "cold_store_url": cold})

    with pytest.raises(SettingsError, match="PRESSROOM_MEDIA_STORE_URL and PRESSROOM_COLD_STORE_URL"):
        media_store(settings)


def test_stores_side_by_side_are_fine(tmp_path: Path) -> None:
    """Also where one name begins like the other."""
    both = {"media_store_url": (tmp_path / "a").as_uri(), "cold_store_url": (tmp_path / "a b").as_uri()}

    media_store(Settings.model_validate({"home": tmp_path, **both}))
