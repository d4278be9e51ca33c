"""Ideas of every kind of content, for every domain."""

from collections.abc import Callable
from functools import partial
from itertools import cycle
from typing import get_args

from sqlalchemy import func, select

from actors import content_idea_generation
from adapters.database.tables import content_ideas
from adapters.database.unit_of_work import UnitOfWork
from app.dev.demo.seed import Site
from app.dev.demo.sent import Left, Sent, Stage, sent
from domain.content_idea_generation import ContentIdeaGeneration
from domain.ideas import ContentType

#: Ideas asked for, by turns; 250 take three INSERTs.
COUNTS = (10, 250, 25, 100)


def send(stage: Stage) -> list[Sent]:
    """Send a batch for each domain."""
    kinds, counts = cycle(get_args(ContentType)), cycle(COUNTS)
    return [_send(stage, site, next(kinds), next(counts)) for site in stage.sites]


def _send(stage: Stage, site: Site, kind: ContentType, count: int) -> Sent:
    job = ContentIdeaGeneration(
        org_id=site.org_id,
        domain_id=site.domain_id,
        keywords=tuple(site.keywords[:5]),
        content_type=kind,
        max_ideas=count,
    )
    message = content_idea_generation.send(job)
    look: Callable[[], Left] = partial(_look, stage, site, message.message_id, count)
    return sent(message, site, f"{count} {kind} ideas", look)


def _look(stage: Stage, site: Site, job_id: str, asked: int) -> Left:
    ideas = content_ideas.c
    with UnitOfWork(stage.engine, site.org_id) as unit:
        found = unit.connection.scalar(
            select(func.count()).where(ideas.org_id == site.org_id, ideas.idempotency_key == job_id)
        )
    fault = "" if found == asked else f"{found} ideas in the database instead of {asked}"
    return Left(count=found or 0, where="content_ideas", fault=fault)
