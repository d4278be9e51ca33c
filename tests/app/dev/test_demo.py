"""What a run of the demo asks for, as seen from the next one."""

from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

from sqlalchemy import Engine

from app.dev.demo.seed import Site
from app.dev.demo.sent import Stage
from app.dev.demo.topics import exports
from app.dev.wordpress_site import WordPressSite
from app.settings import load_settings
from domain.domain_export import DomainExport, Download, LocalFile, S3Object

ORG = UUID("4795bd93-218a-5be8-9da0-0f63bf798e28")
HOSTS = ("guides.aurora.example", "journal.aurora.example", "news.borealis.example", "docs.delta.example")
FIRST_RUN = datetime(2026, 7, 1, 12, tzinfo=UTC)


def test_no_run_names_a_file_of_another_one() -> None:
    """An export that a killed run left in the queues, and that ends late, writes over nothing of the next run."""
    runs = [_named(FIRST_RUN), _named(FIRST_RUN + timedelta(seconds=1))]

    assert all(runs)
    assert not set.intersection(*runs)


def test_a_run_gives_each_of_its_files_a_name_of_its_own() -> None:
    """Two exports of one run do not meet either."""
    assert len(_named(FIRST_RUN)) == sum(
        not isinstance(job.destination, Download) for _, job in _asked(FIRST_RUN)
    )


def _named(now: datetime) -> set[str]:
    """The files and objects that a run asks for by name."""
    wanted = [job.destination for _, job in _asked(now)]
    return {each.path for each in wanted if isinstance(each, LocalFile)} | {
        each.key for each in wanted if isinstance(each, S3Object)
    }


def _asked(now: datetime) -> list[tuple[Site, DomainExport]]:
    return exports.asked(
        Stage(
            # Naming files touches neither the database nor the site.
            engine=cast("Engine", None),
            wordpress=cast("WordPressSite", None),
            settings=load_settings(run_file=False),
            sites=[
                Site(
                    org_id=ORG, org="Aurora", domain_id=UUID(int=number), host=host, articles=(), keywords=()
                )
                for number, host in enumerate(HOSTS)
            ],
            bucket="exports",
            now=now,
        )
    )
