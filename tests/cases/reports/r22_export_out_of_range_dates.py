"""A content row with 'infinity' or a year beyond 9999 does not make the exports of its domain fail.

PostgreSQL's timestamps hold 'infinity', '-infinity', BC and years up to 294276; a CMS import or "never" leaves them
there.

Right: either the tables refuse such times, or the export reads them as text or bounds and goes through.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import os
from uuid import UUID, uuid4

from sqlalchemy import Engine, insert, text

from adapters.database.engine import create_engine
from adapters.database.migrate import upgrade
from adapters.database.tables import domain_registry, orgs
from adapters.database.unit_of_work import SystemUnitOfWork
from app.bootstrap.jobs.domain_export import domain_export
from app.embedded import running
from app.settings import child_environment, load_settings
from domain.domain_export import DomainExport, LocalFile
from tests.cases.kit import in_short, outcome, verdict
from tests.folders import open_folder

#: When a row was made and published. Each export has two: one like the first, and this one.
TIMES = (
    ("2026-01-01", None),
    ("infinity", None),
    ("2026-01-01", "infinity"),
    ("-infinity", None),
    ("0044-03-15 BC", None),
    ("10000-01-01", None),
)

_INSERT = text(
    "INSERT INTO content_items (org_id, id, domain_id, title, content_type, status, created_at, published_at) "
    "VALUES (:org, :id, :domain, 'T', 'article', 'published', :created, :published)"
)


def main() -> list[str]:
    """What is wrong."""
    faults = []
    with open_folder() as folder, running(folder, durable=False) as servers:
        servers.create_database("dates")
        upgrade(servers.database_owner_url("dates"))
        values = {
            "database_url": servers.database_url("dates"),
            "redis_url": servers.redis_url,
            "home": str(folder / "home"),
            "secret_keys": ["k" * 40],
        }
        os.environ.update(child_environment(values))
        engine = create_engine(servers.database_url("dates"))
        export = domain_export(load_settings(run_file=False), engine)
        for created, published in TIMES:
            org, domain = uuid4(), uuid4()
            stored = outcome(
                lambda each=(org, domain, created, published): _fill(engine, *each)  # type: ignore[misc]
            )
            if isinstance(stored, Exception):
                print(f"{created:14} {published or '':10} refused by the table: {type(stored).__name__}")
                continue
            wanted = DomainExport(
                org_id=org, domain_id=domain, format="csv", destination=LocalFile(path="a.csv")
            )
            ended = outcome(lambda wanted=wanted: export(wanted))  # type: ignore[misc]
            print(f"{created:14} {published or '':10} {in_short(ended)}")
            if isinstance(ended, Exception):
                faults.append(f"published {published}" if published else f"created {created}")
        engine.dispose()
    return faults


def _fill(engine: Engine, org: UUID, domain: UUID, created: str, published: str | None) -> None:
    with SystemUnitOfWork(engine) as unit:
        unit.connection.execute(insert(orgs).values(id=org, name="o"))
        host = f"{domain.hex}.example"
        unit.connection.execute(insert(domain_registry).values(org_id=org, id=domain, host=host))
        for times in (TIMES[0], (created, published)):
            row = {"org": org, "id": uuid4(), "domain": domain, "created": times[0], "published": times[1]}
            unit.connection.execute(_INSERT, row)


if __name__ == "__main__":
    verdict(main)
