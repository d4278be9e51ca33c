"""Posts for a WordPress site: content that is due, found by the scheduler, and one intent for each org by hand."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

import httpx
from pydantic import SecretStr
from sqlalchemy import delete, insert, select

from actors import content_scheduler, publish_execution
from adapters.credentials import CredentialBox, WordPressCredentials
from adapters.database.tables import content_items, publish_intents, publish_targets
from adapters.database.unit_of_work import UnitOfWork
from app.dev.demo.seed import Site
from app.dev.demo.sent import Left, Sent, Stage, sent
from domain.publish_execution import PublishExecution, post_key

#: Articles of each domain that are due.
DUE_PER_SITE = 2
#: Endpoints on this machine answer at once.
HTTP_TIMEOUT_S = 10.0


def send(stage: Stage) -> list[Sent]:
    """Make content due, have the scheduler find it, and publish one more article of each org."""
    due = {site.host: _make_due(stage, site) for site in stage.sites}
    items = sum(map(len, due.values()))
    run: Callable[[], Left] = partial(_look_at_run, stage, due)
    scheduler = sent(content_scheduler.send(), None, f"schedule {items} due articles", run)
    firsts = {site.org_id: site for site in reversed(stage.sites)}
    return [scheduler, *(_publish(stage, site) for site in reversed(firsts.values()))]


def follow(stage: Stage) -> list[Sent]:
    """The jobs that the scheduler has sent by now."""
    followers = []
    for site in stage.sites:
        with UnitOfWork(stage.engine, site.org_id) as unit:
            found = unit.connection.execute(
                select(publish_intents.c.id, content_items.c.title)
                .join_from(publish_intents, content_items)
                .where(
                    publish_intents.c.org_id == site.org_id,
                    content_items.c.domain_id == site.domain_id,
                    content_items.c.publish_at.is_not(None),
                )
            ).all()
        for intent_id, title in found:
            # The scheduler's message for an intent has the intent's id.
            look: Callable[[], Left] = partial(_look, stage, site, intent_id, title)
            followers.append(
                Sent(
                    job_id=intent_id,
                    queue=publish_execution.queue_name,
                    org=site.org,
                    host=site.host,
                    what="publish what is due",
                    look=look,
                )
            )
    return followers


def _make_due(stage: Stage, site: Site) -> list[UUID]:
    """The domain's target, and copies of articles whose time has come, new in each run."""
    target_id = _target(site)
    credentials = WordPressCredentials(
        username=stage.wordpress.username,
        application_password=SecretStr(stage.wordpress.application_password),
    )
    target = {
        "org_id": site.org_id,
        "id": target_id,
        "domain_id": site.domain_id,
        "name": "The demo's site",
        "adapter": "wordpress",
        "address": stage.wordpress.url,
        "credentials": CredentialBox(stage.settings.secret_keys).encrypt(target_id, credentials),
    }
    with UnitOfWork(stage.engine, site.org_id) as unit:
        of_site = publish_targets.c.org_id == site.org_id, publish_targets.c.domain_id == site.domain_id
        unit.connection.execute(delete(publish_targets).where(*of_site))
        unit.connection.execute(insert(publish_targets).values(target))
        an_hour_ago = stage.now - timedelta(hours=1)
        return [
            _add(unit, site, number, status="scheduled", publish_at=an_hour_ago)
            for number in range(DUE_PER_SITE)
        ]


def _publish(stage: Stage, site: Site) -> Sent:
    intent_id = uuid4()
    with UnitOfWork(stage.engine, site.org_id) as unit:
        content_id = _add(unit, site, DUE_PER_SITE, status="publishing")
        unit.connection.execute(
            insert(publish_intents).values(
                org_id=site.org_id,
                id=intent_id,
                domain_id=site.domain_id,
                content_id=content_id,
                target_id=_target(site),
                status="pending",
            )
        )
    message = publish_execution.send(PublishExecution(org_id=site.org_id, intent_id=intent_id))
    title = site.articles[DUE_PER_SITE].title
    look: Callable[[], Left] = partial(_look, stage, site, intent_id, title)
    return sent(message, site, "publish one article", look)


def _add(unit: UnitOfWork, site: Site, number: int, **state: object) -> UUID:
    article, content_id = site.articles[number], uuid4()
    row = {
        "org_id": site.org_id,
        "id": content_id,
        "domain_id": site.domain_id,
        "title": article.title,
        "body": article.body,
        "content_type": "article",
    }
    unit.connection.execute(insert(content_items).values({**row, **state}))
    return content_id


def _target(site: Site) -> UUID:
    return UUID(int=site.domain_id.int ^ 1)


def _look_at_run(stage: Stage, due: dict[str, list[UUID]]) -> Left:
    items = content_items.c
    statuses: list[str] = []
    for site in stage.sites:
        with UnitOfWork(stage.engine, site.org_id) as unit:
            query = select(items.status).where(items.org_id == site.org_id, items.id.in_(due[site.host]))
            statuses += unit.connection.scalars(query).all()
    wrong = [status for status in statuses if status != "published"]
    fault = f"{len(wrong)} articles are {wrong[0]} instead of published" if wrong else ""
    return Left(count=len(statuses), where="content_items", fault=fault)


def _look(stage: Stage, site: Site, intent_id: UUID, title: str) -> Left:
    with UnitOfWork(stage.engine, site.org_id) as unit:
        intent = unit.connection.execute(
            select(publish_intents).where(
                publish_intents.c.org_id == site.org_id, publish_intents.c.id == intent_id
            )
        ).one()
    if intent.status != "published":
        return Left(fault=f"the intent is {intent.status}: {intent.error}")
    key = post_key(title, intent_id)
    posts = [post for post in stage.wordpress.posts() if post.slug.startswith(key)]
    if [(post.status, post.title) for post in posts] != [("publish", title)]:
        return Left(fault=f"{len(posts)} posts under {key} on the site instead of one")
    page = httpx.get(intent.external_url, timeout=HTTP_TIMEOUT_S, follow_redirects=True)
    fault = "" if page.is_success else f"its page answers {page.status_code}"
    return Left(
        count=1, where=f"post {intent.external_id} on the site", link=intent.external_url, fault=fault
    )
