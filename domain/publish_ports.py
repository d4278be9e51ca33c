"""What the publishing saga keeps and what it needs of the database."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol
from uuid import UUID

from pydantic import ConfigDict

from .contract import Model
from .post_details import PostDetails
from .publish_execution import IntentStatus, PublishOutcome
from .publishing import PublishTarget

#: How many removed drafts of one job are remembered; more than a few mean that something else is wrong.
MAX_DISOWNED = 100


@dataclass(frozen=True, kw_only=True)
class Intent:
    """A publish intent with what it points to."""

    intent_id: UUID
    content_id: UUID
    status: IntentStatus
    title: str
    body: str
    target: PublishTarget
    #: Whether the target takes posts at all.
    is_enabled: bool
    external_id: str | None
    external_url: str | None
    details: PostDetails = field(default_factory=PostDetails)
    #: Whether it bears a date to come, by the database's clock.
    is_dated_ahead: bool = False


class SagaState(Model):
    """What a later attempt has to know of earlier ones; kept as JSON with the execution."""

    # A newer build may have written more.
    model_config = ConfigDict(extra="ignore")

    claim: str = ""
    """Whose lease it is: drawn by each attempt before its first transaction, so that it knows its own."""
    key: str = ""
    """The post's name at the remote service, decided once."""
    draft_id: str | None = None
    """The draft that will be published, or was."""
    disowned: tuple[str, ...] = ()
    """Drafts that are being removed; none of them is ever published."""
    resumed: bool = False
    """Whether somebody may have called the remote service before this lease."""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """The one row of this job, whatever the number of its attempts; locked until the transaction ends."""

    execution_id: UUID
    status: Literal["pending", "running", "succeeded", "failed", "cancelled"]
    fence: int
    attempts: int
    #: Seconds until the lease ends; not more than 0 when nobody has one.
    lease_left_s: float
    state: SagaState
    #: What the job returned, once it succeeded.
    result: PublishOutcome | None

    def is_held_by(self, claim: str) -> bool:
        """True if this claim's lease is the last one that was taken, and still at work."""
        return self.status == "running" and self.state.claim == claim


@dataclass(frozen=True, kw_only=True)
class PublishFailure:
    """Why it is given up."""

    category: str
    message: str


class PublishRepository(Protocol):
    """The intents, executions and content of an org, within one transaction.

    Locks are taken in the order intent, execution, content. Every write names the execution's fence, and is the
    same when it is made twice.
    """

    def intent(self, intent_id: UUID) -> Intent | None:
        """The intent, locked; None when the org has none of this id."""

    def intent_status(self, intent_id: UUID) -> IntentStatus | None:
        """Its status alone, not locked."""

    def open_sibling(self, intent: Intent) -> UUID | None:
        """Another intent that is open for the same content and target."""

    def execution(self, intent_id: UUID) -> Execution | None:
        """The intent's execution, locked; None when there is none yet."""

    def add_execution(self, intent_id: UUID, job_id: UUID, spare_id: UUID) -> Execution:
        """Insert it, under the id of the job or, where another org's row has that, under the spare one; locked."""

    def success(self, intent_id: UUID) -> PublishOutcome | None:
        """What the intent's success row says, if there is one."""

    def take_lease(self, execution: Execution, state: SagaState, job_id: UUID, lease_s: float) -> None:
        """Raise the fence, count the attempt and take the lease; execution `running`."""

    def mark_publishing(self, intent_id: UUID) -> None:
        """The intent is `publishing`, and its last error forgotten."""

    def renew_lease(self, execution: Execution, lease_s: float) -> None:
        """The lease ends so many seconds from now, by the database's clock."""

    def keep_state(self, execution: Execution, state: SagaState) -> None:
        """Replace the state."""

    def release_lease(self, execution: Execution) -> None:
        """Nobody has the lease; execution `pending`."""

    def record_published(
        self, intent_id: UUID, execution: Execution, row_id: UUID, outcome: PublishOutcome
    ) -> None:
        """Success row unless there is one, execution `succeeded` without a lease, intent `published`."""

    def record_failed(
        self, intent_id: UUID | None, execution: Execution, row_id: UUID, failure: PublishFailure
    ) -> None:
        """Execution `failed` (`cancelled` for that category) without a lease; failure row and intent `failed`,
        unless the intent is gone (None)."""

    def last_words(self, content_id: UUID) -> Sequence[IntentStatus]:
        """Of each of the content's targets, the status of the intent that changed last; the content is locked."""

    def mark_content(self, content_id: UUID, status: Literal["published", "failed"], url: str | None) -> None:
        """The content follows, unless somebody archived it. A URL that is None leaves the old one."""
