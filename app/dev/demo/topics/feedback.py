"""What readers say about each article, counted over 7, 30 and 90 days."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from uuid import uuid4

from sqlalchemy import select

from actors import feedback_ingest
from adapters.database.tables import feedback_metrics
from adapters.database.unit_of_work import UnitOfWork
from app.dev.demo.seed import Site
from app.dev.demo.sent import Left, Sent, Stage, sent
from domain.feedback import FeedbackEvent
from domain.feedback_ingest import EntityFeedback, FeedbackIngest

ARTICLES_PER_SITE = 5
#: Days ago that something was said, by turns.
AGES_DAYS = (1, 5, 20, 45, 80)


def send(stage: Stage) -> list[Sent]:
    """Send a job for each domain, with what was said about five of its articles."""
    return [_send(stage, site) for site in stage.sites]


def _send(stage: Stage, site: Site) -> Sent:
    # Ids of this run's own: what an earlier demo took in is counted already.
    entities = tuple(
        EntityFeedback(id=f"{uuid4()}", type="content", data=tuple(_events(stage, len(article.body))))
        for article in site.articles[:ARTICLES_PER_SITE]
    )
    job = FeedbackIngest(org_id=site.org_id, source="api", entities=entities, timestamp=stage.now)
    look: Callable[[], Left] = partial(_look, stage, site, entities)
    return sent(feedback_ingest.send(job), site, f"feedback on {len(entities)} articles", look)


def _events(stage: Stage, length: int) -> Iterator[FeedbackEvent]:
    """Longer articles are told about more often; ratings follow from the text's length, the same in every run."""
    for number in range(1 + length % 9):
        at = stage.now - timedelta(days=AGES_DAYS[number % len(AGES_DAYS)])
        yield FeedbackEvent(event_id=str(uuid4()), rating=1 + (length + number) % 5, occurred_at=at)


def _look(stage: Stage, site: Site, entities: tuple[EntityFeedback, ...]) -> Left:
    expected = {
        (entity.id, window): Counter(
            event.says for event in entity.data if event.occurred_at > stage.now - timedelta(days=window)
        )
        for entity in entities
        for window in stage.settings.windows
    }
    metrics = feedback_metrics.c
    with UnitOfWork(stage.engine, site.org_id) as unit:
        rows = unit.connection.execute(
            select(feedback_metrics).where(
                metrics.org_id == site.org_id, metrics.entity_id.in_([entity.id for entity in entities])
            )
        ).mappings()
        found = {
            (row["entity_id"], row["window_days"]): Counter(
                {says: row[says] for says in ("positive", "negative", "neutral") if row[says]}
            )
            for row in rows
        }
    fault = "" if found == expected else f"{len(found)} windows, not as the events say"
    return Left(count=len(found), where="feedback_metrics", fault=fault)
