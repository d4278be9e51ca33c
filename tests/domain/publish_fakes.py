"""A database, a remote service and workers that can die, freeze and fail at any step, all in memory."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Literal
from uuid import UUID

from domain.errors import DatabaseUnavailable, LeaseLost, ProviderUnavailable
from domain.ports import T
from domain.post_details import PostDetails
from domain.publish_execution import IntentStatus, PublishOutcome
from domain.publish_ports import Execution, Intent, PublishFailure, SagaState
from domain.publishing import Found, Journal, Post, PublishTarget

ORG = UUID(int=10)
INTENT = UUID(int=20)
CONTENT = UUID(int=30)
TARGET = UUID(int=40)
LEASE_S = 60.0

#: Fresh identifiers, for everybody.
ids = count(1_000)


@dataclass
class Rows:
    """What the org has in the database."""

    intent: Intent | None = None
    #: Statuses of the content's other intents, the last of each target.
    others: list[IntentStatus] = field(default_factory=list)
    sibling: UUID | None = None
    execution: Execution | None = None
    lease_until_s: float = 0.0
    ends: dict[UUID, PublishOutcome | PublishFailure] = field(default_factory=dict)
    content: str = "publishing"
    content_url: str | None = None
    category: str | None = None
    #: How often the execution was written.
    writes: int = 0

    @property
    def published(self) -> list[PublishOutcome]:
        """The success rows."""
        return [end for end in self.ends.values() if isinstance(end, PublishOutcome)]

    @property
    def failures(self) -> list[PublishFailure]:
        """The failure rows."""
        return [end for end in self.ends.values() if isinstance(end, PublishFailure)]


@dataclass
class SitePost:
    """A post as the remote service has it."""

    key: str
    is_public: bool = False


class World:
    """One org's database, one site, and a clock that only tests move."""

    def __init__(self, status: IntentStatus = "pending", *, is_enabled: bool = True) -> None:
        target = PublishTarget(
            target_id=TARGET, adapter="wordpress", address="https://site.example", credentials=b""
        )
        self.now_s = 0.0
        self.posts: dict[str, SitePost] = {}
        self.rows = Rows(
            intent=Intent(
                intent_id=INTENT,
                content_id=CONTENT,
                status=status,
                title="Rye bread",
                body="Flour, water, time.",
                target=target,
                is_enabled=is_enabled,
                external_id=None,
                external_url=None,
            )
        )

    @property
    def intent(self) -> Intent:
        """The intent, which the test did not take away."""
        assert self.rows.intent is not None
        return self.rows.intent

    @property
    def execution(self) -> Execution:
        """The execution, which exists by now."""
        assert self.rows.execution is not None
        return self.rows.execution

    def lease_runs_out(self) -> None:
        """Nobody showed a sign of life for long enough."""
        self.now_s += 2 * LEASE_S


class Died(BaseException):
    """The worker was killed: nothing it would still do happens."""


class Steps:
    """The steps of one worker, around each transaction and each call of the site; at any of them it can be hurt."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.steps = 0
        self.dies_at: int | None = None
        #: Called at every step.
        self.pause: Callable[[], None] = lambda: None
        #: What the step ends with instead.
        self.fails_at: tuple[int, BaseException] | None = None
        #: How often the site was asked what there is.
        self.finds = 0
        #: Id and address that the site claims for whatever it publishes.
        self.answers: tuple[str, str] | None = None
        #: What the site says that it made otherwise.
        self.warnings: tuple[str, ...] = ()
        #: What was said of the post that was published last.
        self.details: PostDetails | None = None
        #: Commits whose answer gets lost: the unit of work is run again.
        self.unheard_commits = 0

    def step(self) -> None:
        """A place where a worker can be hurt."""
        self.steps += 1
        self.pause()
        if self.dies_at is not None and self.steps >= self.dies_at:
            raise Died
        if self.fails_at is not None and self.steps == self.fails_at[0]:
            raise self.fails_at[1]


def claimed(claim: str, state: SagaState | None = None) -> World:
    """A world in which somebody has just taken the lease."""
    world = World("publishing")
    repository = FakeRepository(world.rows, world.now_s)
    execution = repository.add_execution(INTENT, UUID(int=1), UUID(int=2))
    repository.take_lease(execution, state or SagaState(claim=claim), UUID(int=1), LEASE_S)
    return world


class FakeSite:
    """A remote service with drafts: made, then remembered, then made public by id."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._posts = steps.world.posts

    def find(self, post: Post, journal: Journal) -> Found | None:
        journal.hold()
        self._steps.finds += 1
        self._steps.step()
        # What the answer says may be old by the time it is read.
        there = [each for each, known in self._posts.items() if known.key == post.key]
        public = [each for each in there if self._posts[each].is_public]
        self._steps.step()
        if public:
            return _found(public[0], is_public=True)
        if not there:
            return None
        kept = journal.draft_id if journal.draft_id in there else there[0]
        for each in there:
            if each != kept:
                self._remove(each, journal)
        return _found(kept, is_public=False)

    def publish(self, post: Post, journal: Journal) -> Found:
        draft_id = journal.draft_id
        if draft_id is None:
            draft_id = self._make(post, journal)
        journal.hold()
        self._steps.step()
        if draft_id not in self._posts:
            raise ProviderUnavailable("the draft is gone")
        self._posts[draft_id].is_public = True
        self._steps.details = post.details
        self._steps.step()
        if self._steps.answers:
            external_id, url = self._steps.answers
            return Found(external_id=external_id, url=url, is_public=True)
        return replace(_found(draft_id, is_public=True), warnings=self._steps.warnings)

    def _make(self, post: Post, journal: Journal) -> str:
        journal.hold()
        self._steps.step()
        draft_id = str(next(ids))
        self._posts[draft_id] = SitePost(post.key)
        self._steps.step()
        try:
            journal.remember(draft_id)
        except LeaseLost:
            self._remove(draft_id, journal)
            raise
        return draft_id

    def _remove(self, draft_id: str, journal: Journal) -> None:
        if journal.disown(draft_id):
            self._steps.step()
            self._posts.pop(draft_id, None)
            self._steps.step()


class FakeTransactions:
    """Units of work over copies: all of one is kept or none. They exclude each other, as row locks make them."""

    def __init__(self, steps: Steps, *, fails: bool = False) -> None:
        self._steps = steps
        self._fails = fails

    def __call__(self, org_id: UUID, work: Callable[["FakeRepository"], T], *, timeout_s: float = 30.0) -> T:
        world = self._steps.world
        if self._fails:
            raise DatabaseUnavailable("the database is away")
        self._steps.step()
        result = self._once(world, work)
        if self._steps.unheard_commits:
            self._steps.unheard_commits -= 1
            result = self._once(world, work)
        self._steps.step()
        return result

    @staticmethod
    def _once(world: World, work: Callable[["FakeRepository"], T]) -> T:
        after = deepcopy(world.rows)
        result = work(FakeRepository(after, world.now_s))
        world.rows = after
        return result


class FakeRepository:
    """The repository over the rows of one org; a write under an old fence is refused."""

    def __init__(self, rows: Rows, now_s: float) -> None:
        self._rows = rows
        self._now_s = now_s

    def intent(self, intent_id: UUID) -> Intent | None:
        return self._rows.intent

    def intent_status(self, intent_id: UUID) -> IntentStatus | None:
        return self._rows.intent.status if self._rows.intent else None

    def open_sibling(self, intent: Intent) -> UUID | None:
        return self._rows.sibling

    def execution(self, intent_id: UUID) -> Execution | None:
        execution = self._rows.execution
        return execution and replace(execution, lease_left_s=self._rows.lease_until_s - self._now_s)

    def add_execution(self, intent_id: UUID, job_id: UUID, spare_id: UUID) -> Execution:
        self._rows.execution = Execution(
            execution_id=job_id,
            status="pending",
            fence=0,
            attempts=0,
            lease_left_s=0,
            state=SagaState(),
            result=None,
        )
        return self._rows.execution

    def success(self, intent_id: UUID) -> PublishOutcome | None:
        return self._rows.published[0] if self._rows.published else None

    def take_lease(self, execution: Execution, state: SagaState, job_id: UUID, lease_s: float) -> None:
        changed = self._fenced(execution)
        self._rows.execution = replace(
            changed,
            status="running",
            fence=changed.fence + 1,
            attempts=changed.attempts + 1,
            state=state,
            result=None,
        )
        self._rows.lease_until_s = self._now_s + lease_s

    def mark_publishing(self, intent_id: UUID) -> None:
        self._mark("publishing")

    def renew_lease(self, execution: Execution, lease_s: float) -> None:
        self._fenced(execution)
        self._rows.lease_until_s = self._now_s + lease_s

    def keep_state(self, execution: Execution, state: SagaState) -> None:
        self._rows.execution = replace(self._fenced(execution), state=state)

    def release_lease(self, execution: Execution) -> None:
        self._end(execution, "pending", None)

    def record_published(
        self, intent_id: UUID, execution: Execution, row_id: UUID, outcome: PublishOutcome
    ) -> None:
        if not self._rows.published:
            self._rows.ends[row_id] = outcome
        self._end(execution, "succeeded", outcome)
        self._mark("published", outcome)

    def record_failed(
        self, intent_id: UUID | None, execution: Execution, row_id: UUID, failure: PublishFailure
    ) -> None:
        self._end(execution, "cancelled" if failure.category == "cancelled" else "failed", None)
        self._rows.category = failure.category
        if intent_id is not None:
            self._rows.ends[row_id] = failure
            self._mark("failed")

    def last_words(self, content_id: UUID) -> Sequence[IntentStatus]:
        own = [self._rows.intent.status] if self._rows.intent else []
        return [*own, *self._rows.others]

    def mark_content(self, content_id: UUID, status: Literal["published", "failed"], url: str | None) -> None:
        self._rows.content = status
        self._rows.content_url = url or self._rows.content_url

    def _mark(self, status: IntentStatus, outcome: PublishOutcome | None = None) -> None:
        assert self._rows.intent is not None
        self._rows.intent = replace(
            self._rows.intent,
            status=status,
            external_id=outcome.external_id if outcome else None,
            external_url=outcome.external_url if outcome else None,
        )

    def _end(
        self,
        execution: Execution,
        status: Literal["pending", "succeeded", "failed", "cancelled"],
        result: PublishOutcome | None,
    ) -> None:
        self._rows.execution = replace(self._fenced(execution), status=status, result=result)
        self._rows.lease_until_s = 0.0

    def _fenced(self, execution: Execution) -> Execution:
        current = self._rows.execution
        if current is None or current.fence != execution.fence:
            raise LeaseLost("the fence refused a write")
        self._rows.writes += 1
        return current


def _found(external_id: str, *, is_public: bool) -> Found:
    return Found(external_id=external_id, url=f"https://site.example/?p={external_id}", is_public=is_public)
