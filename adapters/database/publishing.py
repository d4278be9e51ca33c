"""The publishing saga's rows in PostgreSQL: intents, executions with lease and fence, and what came of them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Interval, func, literal, select, update
from sqlalchemy.dialects import postgresql

from domain.errors import LeaseLost
from domain.publish_execution import IntentStatus, PublishOutcome
from domain.publish_ports import Execution, Intent, PublishFailure, SagaState
from domain.publishing import PublishTarget

from .errors import WorthRepeating
from .post_details import DETAILS, FEATURED, details_of, is_featured_of
from .tables import (
    content_items,
    job_executions,
    publish_executions,
    publish_intents,
    publish_targets,
)
from .tables.publishing import ERROR_CATEGORIES, MAX_ERROR_CHARS
from .unit_of_work import UnitOfWork

#: Whose executions these are; their key is the intent's id.
JOB_TYPE = "publish_execution"

OPEN: tuple[IntentStatus, ...] = ("pending", "publishing")


class SqlPublishing:
    """`domain.publish_ports.PublishRepository` within one unit of work.

    Leases begin and end by the server's clock as it goes on, not as it stood when the transaction began: that may
    have waited for a lock since.

    Parameters:
        unit: the transaction, and the org.

    Example:
        >>> SqlTransactions(engine, SqlPublishing, run.remaining_s)
    """

    def __init__(self, unit: UnitOfWork) -> None:
        self._connection = unit.connection
        self._org_id = unit.org_id

    def intent(self, intent_id: UUID) -> Intent | None:
        """The intent, locked; None when the org has none of this id."""
        intents, content, targets = publish_intents.c, content_items.c, publish_targets.c
        row = self._connection.execute(
            select(
                intents.status,
                intents.content_id,
                intents.external_id,
                intents.external_url,
                content.title,
                content.body,
                *DETAILS,
                targets.id.label("target_id"),
                targets.adapter,
                targets.address,
                targets.credentials,
                targets.enabled,
            )
            .select_from(
                publish_intents.join(content_items)
                .join(publish_targets)
                .outerjoin(FEATURED, is_featured_of(intents.org_id, intents.content_id))
            )
            .where(intents.org_id == self._org_id, intents.id == intent_id)
            # References to the row may be made meanwhile; changes of it wait.
            .with_for_update(of=publish_intents, key_share=True)
        ).one_or_none()
        if row is None:
            return None
        return Intent(
            intent_id=intent_id,
            content_id=row.content_id,
            status=row.status,
            title=row.title,
            body=row.body,
            target=PublishTarget(
                target_id=row.target_id,
                adapter=row.adapter,
                address=row.address,
                credentials=bytes(row.credentials),
            ),
            is_enabled=row.enabled,
            external_id=row.external_id,
            external_url=row.external_url,
            details=details_of(row._mapping),
            is_dated_ahead=bool(row.is_dated_ahead),
        )

    def intent_status(self, intent_id: UUID) -> IntentStatus | None:
        """Its status alone, not locked."""
        status: IntentStatus | None = self._connection.scalar(
            select(publish_intents.c.status).where(*self._is_intent(intent_id))
        )
        return status

    def open_sibling(self, intent: Intent) -> UUID | None:
        """Another intent that is open for the same content and target."""
        intents = publish_intents.c
        return self._connection.scalar(
            select(intents.id).where(
                intents.org_id == self._org_id,
                intents.content_id == intent.content_id,
                intents.target_id == intent.target.target_id,
                intents.status.in_(OPEN),
                intents.id != intent.intent_id,
            )
        )

    def execution(self, intent_id: UUID) -> Execution | None:
        """The intent's execution, locked; None when there is none yet."""
        jobs = job_executions.c
        left_s = func.extract("epoch", jobs.lease_until - func.clock_timestamp())
        row = self._connection.execute(
            select(
                jobs.id,
                jobs.status,
                jobs.fence,
                jobs.attempts,
                jobs.state,
                jobs.result,
                left_s.label("lease_left_s"),
            )
            .where(jobs.org_id == self._org_id, jobs.job_type == JOB_TYPE, jobs.key == str(intent_id))
            .with_for_update(key_share=True)
        ).one_or_none()
        if row is None:
            return None
        return Execution(
            execution_id=row.id,
            status=row.status,
            fence=row.fence,
            attempts=row.attempts,
            lease_left_s=float(row.lease_left_s or 0),
            # Lists of JSON are tuples here, which a strict model takes only where it may convert.
            state=SagaState.model_validate(row.state, strict=False),
            result=None if row.result is None else PublishOutcome.model_validate(row.result, strict=False),
        )

    def add_execution(self, intent_id: UUID, job_id: UUID, spare_id: UUID) -> Execution:
        """Insert it, under the id of the job or, where another org's row has that, under the spare one; locked."""
        for execution_id in (job_id, spare_id):
            new = postgresql.insert(job_executions).values(
                id=execution_id,
                org_id=self._org_id,
                job_type=JOB_TYPE,
                key=str(intent_id),
                entity_id=str(intent_id),
                message_id=str(job_id),
                status="pending",
            )
            self._connection.execute(new.on_conflict_do_nothing())
            execution = self.execution(intent_id)
            if execution is not None:
                return execution
        raise WorthRepeating("the execution was removed while it was made; it is made again")

    def success(self, intent_id: UUID) -> PublishOutcome | None:
        """What the intent's success row says, if there is one."""
        ends = publish_executions.c
        row = self._connection.execute(
            select(ends.external_id, ends.external_url).where(
                ends.org_id == self._org_id, ends.intent_id == intent_id, ends.outcome == "success"
            )
        ).one_or_none()
        if row is None:
            return None
        return PublishOutcome(status="published", external_id=row.external_id, external_url=row.external_url)

    def take_lease(self, execution: Execution, state: SagaState, job_id: UUID, lease_s: float) -> None:
        """Raise the fence, count the attempt and take the lease; execution `running`."""
        self._change(
            execution,
            status="running",
            fence=job_executions.c.fence + 1,
            attempts=job_executions.c.attempts + 1,
            lease_until=_from_now(lease_s),
            message_id=str(job_id),
            state=state.model_dump(mode="json"),
            result=None,
            error_category=None,
            error=None,
            finished_at=None,
        )

    def mark_publishing(self, intent_id: UUID) -> None:
        """The intent is `publishing`, and its last error forgotten."""
        self._connection.execute(
            update(publish_intents)
            .where(*self._is_intent(intent_id))
            .values(status="publishing", error=None, updated_at=func.now())
        )

    def renew_lease(self, execution: Execution, lease_s: float) -> None:
        """The lease ends so many seconds from now, by the database's clock."""
        self._change(execution, lease_until=_from_now(lease_s))

    def keep_state(self, execution: Execution, state: SagaState) -> None:
        """Replace the state."""
        self._change(execution, state=state.model_dump(mode="json"))

    def release_lease(self, execution: Execution) -> None:
        """Nobody has the lease; execution `pending`."""
        self._change(execution, status="pending", lease_until=None)

    def record_published(
        self, intent_id: UUID, execution: Execution, row_id: UUID, outcome: PublishOutcome
    ) -> None:
        """Success row unless there is one, execution `succeeded` without a lease, intent `published`."""
        place = {"external_id": outcome.external_id, "external_url": outcome.external_url}
        # Whichever of its keys it has met: it is there.
        success = postgresql.insert(publish_executions).values(
            org_id=self._org_id,
            id=row_id,
            intent_id=intent_id,
            fence=execution.fence,
            outcome="success",
            **place,
        )
        self._connection.execute(success.on_conflict_do_nothing())
        self._change(
            execution,
            status="succeeded",
            result=outcome.model_dump(mode="json"),
            lease_until=None,
            error_category=None,
            error=None,
            finished_at=func.now(),
        )
        self._connection.execute(
            update(publish_intents)
            .where(*self._is_intent(intent_id))
            .values(
                status="published",
                error=None,
                published_at=func.coalesce(publish_intents.c.published_at, func.now()),
                updated_at=func.now(),
                **place,
            )
        )

    def record_failed(
        self, intent_id: UUID | None, execution: Execution, row_id: UUID, failure: PublishFailure
    ) -> None:
        """Execution `failed` (`cancelled` for that category) without a lease; failure row and intent `failed`,
        unless the intent is gone (None)."""
        category = failure.category if failure.category in ERROR_CATEGORIES else "unknown"
        # PostgreSQL's text cannot hold NUL, and a message may quote anything.
        error = failure.message.replace("\x00", "")[:MAX_ERROR_CHARS]
        self._change(
            execution,
            status="cancelled" if category == "cancelled" else "failed",
            lease_until=None,
            error_category=category,
            error=error,
            finished_at=func.now(),
        )
        if intent_id is None:
            return
        end = postgresql.insert(publish_executions).values(
            org_id=self._org_id,
            id=row_id,
            intent_id=intent_id,
            fence=execution.fence,
            outcome="failure",
            error_category=category,
            error=error,
        )
        self._connection.execute(end.on_conflict_do_nothing())
        self._connection.execute(
            update(publish_intents)
            .where(*self._is_intent(intent_id))
            .values(status="failed", error=error, updated_at=func.now())
        )

    def last_words(self, content_id: UUID) -> Sequence[IntentStatus]:
        """Of each of the content's targets, the status of the intent that changed last; the content is locked."""
        content, intents = content_items.c, publish_intents.c
        # Two intents that end at once: the second waits here, and then sees the first one's end.
        self._connection.execute(
            select(content.id)
            .where(content.org_id == self._org_id, content.id == content_id)
            .with_for_update(key_share=True)
        )
        last = (
            select(intents.status)
            .ext(postgresql.distinct_on(intents.target_id))
            .where(intents.org_id == self._org_id, intents.content_id == content_id)
            .order_by(intents.target_id, intents.updated_at.desc(), intents.id.desc())
        )
        return self._connection.scalars(last).all()

    def mark_content(self, content_id: UUID, status: Literal["published", "failed"], url: str | None) -> None:
        """The content follows, unless somebody archived it. A URL that is None leaves the old one."""
        content = content_items.c
        values: dict[str, object] = {"status": status, "updated_at": func.now()}
        if status == "published":
            values["url"] = func.coalesce(url, content.url)
            values["published_at"] = func.coalesce(content.published_at, func.now())
        self._connection.execute(
            update(content_items)
            .where(content.org_id == self._org_id, content.id == content_id, content.status != "archived")
            .values(values)
        )

    def _is_intent(self, intent_id: UUID) -> tuple[ColumnElement[bool], ...]:
        intents = publish_intents.c
        return intents.org_id == self._org_id, intents.id == intent_id

    def _change(self, execution: Execution, **values: object) -> None:
        jobs = job_executions.c
        done = self._connection.execute(
            update(job_executions)
            .where(
                jobs.org_id == self._org_id,
                jobs.id == execution.execution_id,
                jobs.fence == execution.fence,
            )
            .values(updated_at=func.now(), **values)
        )
        if done.rowcount == 0:
            raise LeaseLost("the fence refused a write: another worker took this job over; it will finish it")


def _from_now(seconds: float) -> ColumnElement[object]:
    return func.clock_timestamp() + literal(timedelta(seconds=seconds), Interval)
