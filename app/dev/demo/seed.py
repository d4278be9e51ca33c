"""Fills a database with a small content platform: four orgs, two domains each, the real articles among them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_DNS, UUID, uuid5

from sqlalchemy import Connection, Engine, Table, delete
from sqlalchemy.dialects.postgresql import insert

from adapters.database.tables import (
    content_items,
    content_performance,
    domain_registry,
    domain_settings,
    keyword_metrics,
    orgs,
)
from adapters.database.unit_of_work import SystemUnitOfWork
from domain.ideas import WORDS_PER_MINUTE

from .library import Article, top_keywords

#: Orgs by name, each with the first labels of its two domains.
ORGS = {
    "Aurora": ("guides", "journal"),
    "Borealis": ("manuals", "news"),
    "Cascade": ("handbook", "blog"),
    "Delta": ("docs", "letters"),
}


@dataclass(frozen=True, kw_only=True)
class Site:
    """A domain that was filled."""

    org_id: UUID
    org: str
    domain_id: UUID
    host: str
    articles: Sequence[Article]
    keywords: Sequence[str]


def seed(engine: Engine, articles: Sequence[Article], now: datetime) -> list[Site]:
    """Write the platform; what an earlier demo wrote is replaced, not doubled.

    Parameters:
        engine: connects as the worker role; the seed works as the system role.
        articles: dealt out to the domains in turn.
        now: content and metrics lie in the 30 days before.
    """
    sites = _sites(articles)
    with SystemUnitOfWork(engine) as unit:
        _put(unit.connection, orgs, ({"id": site.org_id, "name": site.org} for site in sites))
        for site in sites:
            _fill(unit.connection, site, now)
    return sites


def _sites(articles: Sequence[Article]) -> list[Site]:
    hosts = [(org, f"{label}.{org.lower()}.example") for org, labels in ORGS.items() for label in labels]
    return [
        Site(
            org_id=uuid5(NAMESPACE_DNS, f"{org}.example"),
            org=org,
            domain_id=uuid5(NAMESPACE_DNS, host),
            host=host,
            articles=articles[place :: len(hosts)],
            keywords=top_keywords(articles[place :: len(hosts)]),
        )
        for place, (org, host) in enumerate(hosts)
    ]


def _fill(connection: Connection, site: Site, now: datetime) -> None:
    mine = {"org_id": site.org_id, "domain_id": site.domain_id}
    _put(connection, domain_registry, [{"org_id": site.org_id, "id": site.domain_id, "host": site.host}])
    settings = {"language": "en", "theme": {"accent": "#0b7285", "dark": True}, "posts_per_page": 10}
    # The articles are those of today's environment; an earlier demo may have had others.
    for table in (content_items, keyword_metrics):
        columns = table.c
        of_site = columns.org_id == site.org_id, columns.domain_id == site.domain_id
        connection.execute(delete(table).where(*of_site))
    _put(connection, domain_settings, [{**mine, "name": name, "value": settings[name]} for name in settings])
    for place, article in enumerate(site.articles):
        written = now - timedelta(days=2 * place, hours=1)
        content_id = uuid5(site.domain_id, article.title)
        item: dict[str, object] = {
            **mine,
            "id": content_id,
            "title": article.title,
            "body": article.body,
            "content_type": "article",
            "status": "published",
            "url": article.url,
            "created_at": written,
            "updated_at": written,
            "published_at": written,
        }
        _put(connection, content_items, [item])
        day = written.astimezone(UTC).date()
        _put(connection, keyword_metrics, [{**mine, "day": day, **row} for row in _metrics(site, article)])
        words = article.words.total()
        seen = {"views": words, "engaged_seconds": 60 * words // WORDS_PER_MINUTE}
        row = {"org_id": site.org_id, "content_id": content_id, "day": day, **seen}
        _put(connection, content_performance, [row])


def _metrics(site: Site, article: Article) -> Iterable[dict[str, object]]:
    """An article's real word counts, told as search traffic: how often a word, of how many, at which rank."""
    words = article.words
    for rank, keyword in enumerate(site.keywords, start=1):
        if words[keyword]:
            yield {
                "keyword": keyword,
                "clicks": words[keyword],
                "impressions": words.total(),
                "position": float(rank),
            }


def _put(connection: Connection, table: Table, rows: Iterable[dict[str, object]]) -> None:
    """Insert rows, or bring those that are there up to date."""
    key = [column.name for column in table.primary_key]
    for row in rows:
        change = {name: value for name, value in row.items() if name not in key}
        statement = insert(table).values(row)
        connection.execute(statement.on_conflict_do_update(index_elements=key, set_=change or row))
