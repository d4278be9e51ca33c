"""Keywords, idempotency keys and ideas in PostgreSQL."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Date, Interval, cast, func, literal, select
from sqlalchemy.dialects import postgresql

from domain.idea_providers import KeywordAverages, Usage
from domain.ideas import Idea
from domain.limits import Limits

from .errors import WorthRepeating
from .tables import ai_usage, content_ideas, domain_registry, idempotency_keys, keyword_metrics
from .unit_of_work import UnitOfWork

#: Whose idempotency keys these are.
JOB_TYPE = "content_idea_generation"


class SqlIdeas:
    """`domain.content_idea_generation.IdeaRepository` within one unit of work.

    Parameters:
        unit: the transaction, and the org.
        limits: `batch_insert_size` is the number of rows in one INSERT.

    Example:
        >>> SqlTransactions(engine, partial(SqlIdeas, limits=limits), run.remaining_s)
    """

    def __init__(self, unit: UnitOfWork, *, limits: Limits) -> None:
        self._connection = unit.connection
        self._org_id = unit.org_id
        self._limits = limits

    def ping(self) -> None:
        """Prove that the database answers."""
        self._connection.execute(select(1))

    def domain_exists(self, domain_id: UUID) -> bool:
        """True if the org owns this domain."""
        domains = domain_registry.c
        owned = select(domains.id).where(domains.org_id == self._org_id, domains.id == domain_id)
        return self._connection.scalar(owned) is not None

    def batch_for_key(self, key: str) -> UUID | None:
        """The batch that holds the key, as long as its window lasts."""
        return self._connection.scalar(
            select(idempotency_keys.c.holder).where(
                *self._is_key(key), idempotency_keys.c.expires_at > func.now()
            )
        )

    def keyword_averages(self, domain_id: UUID, keywords: Sequence[str], days: int) -> list[KeywordAverages]:
        """Average clicks and position over the last `days`, today in UTC included, in the order of `keywords`."""
        metrics = keyword_metrics.c
        today = cast(func.timezone("UTC", func.now()), Date)
        rows = self._connection.execute(
            select(metrics.keyword, func.avg(metrics.clicks), func.avg(metrics.position))
            .where(
                metrics.org_id == self._org_id,
                metrics.domain_id == domain_id,
                metrics.keyword.in_(keywords),
                metrics.day > today - days,
                metrics.day <= today,
            )
            .group_by(metrics.keyword)
        )
        found = {
            keyword: KeywordAverages(keyword=keyword, clicks=float(clicks), position=position)
            for keyword, clicks, position in rows
        }
        return [found[keyword] for keyword in keywords if keyword in found]

    def claim_key(self, key: str, batch_id: UUID, window: timedelta) -> UUID:
        """Take the key for `batch_id`; the batch that holds it afterwards, which may be an earlier one.

        Of any number of claims at once one wins; the others wait for its transaction and read its batch. Should that
        one roll back, the next wins.
        """
        expires_at = func.now() + literal(window, Interval)
        claim = postgresql.insert(idempotency_keys).values(
            org_id=self._org_id, job_type=JOB_TYPE, key=key, holder=batch_id, expires_at=expires_at
        )
        taken = self._connection.scalar(
            claim.on_conflict_do_update(
                index_elements=["org_id", "job_type", "key"],
                set_={"holder": batch_id, "created_at": func.now(), "expires_at": expires_at},
                where=idempotency_keys.c.expires_at <= func.now(),
            ).returning(idempotency_keys.c.holder)
        )
        holder: UUID | None = taken or self._connection.scalar(
            select(idempotency_keys.c.holder).where(*self._is_key(key))
        )
        if holder is None:
            raise WorthRepeating(
                "the idempotency key was removed while it was claimed; the claim is made again"
            )
        return holder

    def insert_ideas(self, domain_id: UUID, batch_id: UUID, key: str, ideas: Sequence[Idea]) -> None:
        """Write the ideas in multi-row statements of at most `batch_insert_size` rows.

        Ideas that are there already are left alone: the unit of work may be run again after a COMMIT whose outcome
        nobody knows, and then finds its own.
        """
        rows = [
            {
                "org_id": self._org_id,
                "id": idea.id,
                "domain_id": domain_id,
                "batch_id": batch_id,
                "ordinal": ordinal,
                "idempotency_key": key,
                "title": idea.title,
                "description": idea.description,
                "target_keywords": list(idea.target_keywords),
                "content_type": idea.content_type,
                "read_time_minutes": idea.read_time_minutes,
                "outline": list(idea.outline),
                "competitive_analysis": idea.competitive_analysis,
            }
            for ordinal, idea in enumerate(ideas)
        ]
        size = self._limits.batch_insert_size
        for start in range(0, len(rows), size):
            # `values(list)` is one statement; a list of parameters beside the statement would be one for each row.
            statement = postgresql.insert(content_ideas).values(rows[start : start + size])
            self._connection.execute(statement.on_conflict_do_nothing(index_elements=["org_id", "id"]))

    def tokens_spent_today(self) -> int:
        """Tokens of all kinds that the org's jobs have cost on this day, in UTC."""
        usage = ai_usage.c
        begin = func.timezone("UTC", func.date_trunc("day", func.timezone("UTC", func.now())))
        spent = select(func.coalesce(func.sum(usage.prompt_tokens + usage.completion_tokens), 0)).where(
            usage.org_id == self._org_id, usage.created_at >= begin
        )
        return int(self._connection.scalar(spent) or 0)

    def record_usage(self, usage_id: UUID, job_id: UUID, usage: Usage) -> None:
        """Keep what a provider charged for; nothing happens when this usage is kept already."""
        self._connection.execute(
            postgresql.insert(ai_usage)
            .values(
                org_id=self._org_id,
                id=usage_id,
                job_id=job_id,
                provider=usage.provider,
                model=usage.model,
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
            )
            .on_conflict_do_nothing()
        )

    def _is_key(self, key: str) -> tuple[ColumnElement[bool], ...]:
        keys = idempotency_keys.c
        return keys.org_id == self._org_id, keys.job_type == JOB_TYPE, keys.key == key
