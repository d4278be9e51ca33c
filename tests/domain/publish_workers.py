"""Workers that publish: they can be killed, frozen and woken, and fail, at any step."""

import threading
from collections.abc import Callable
from uuid import UUID

from domain.errors import AuthFailed, JobError
from domain.publish_execution import PublishExecution, PublishOutcome
from domain.publish_saga import ExecutePublish
from domain.publishing import Publisher, PublishTarget, RetryOptions

from .idea_fakes import FakeRun
from .publish_fakes import INTENT, LEASE_S, ORG, Died, FakeSite, FakeTransactions, Steps, World, ids


class Worker(Steps):
    """Somebody who can run the job, and be hurt."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.run = FakeRun()
        #: Whether nobody tries again when this attempt fails.
        self.is_last = False
        #: What the job says about retries, and what its publisher was told.
        self.retry: RetryOptions | None = None
        self.reported: list[RetryOptions] = []
        self.credentials_fail = False
        self.closing_fails = False

    def __call__(self) -> PublishOutcome:
        """One attempt."""
        publish = ExecutePublish(
            run=self.run,
            transactions=FakeTransactions(self),
            closing=FakeTransactions(self, fails=self.closing_fails),
            publishers=self._publishers,
            is_final=lambda error: self.is_last or not getattr(error, "retryable", True),
            new_id=lambda: UUID(int=next(ids)),
            monotonic=lambda: self.world.now_s,
            lease_s=LEASE_S,
        )
        return publish(PublishExecution(org_id=ORG, intent_id=INTENT, retry=self.retry))

    def _publishers(self, target: PublishTarget, retry: RetryOptions) -> Publisher:
        self.reported.append(retry)
        if self.credentials_fail:
            raise AuthFailed("no key of ours decrypts them")
        return FakeSite(self)


def resting(worker: "Paced", *, until: Callable[[], bool]) -> "Paced":
    """The worker, stopped at the first step at which that is so."""
    while not until():
        assert not worker.is_over, "it never came about"
        worker.advance()
    return worker


class Paced:
    """A worker that goes on a step at a time, so that a test says in which order several do what they do."""

    def __init__(self, world: World) -> None:
        self.worker = Worker(world)
        self.worker.pause = self._pause
        self.is_over = False
        #: What the attempt ended with.
        self.error: BaseException | None = None
        self._go = threading.Semaphore(0)
        self._paused = threading.Semaphore(0)
        # A test that fails leaves it where it stands.
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        self._paused.acquire()

    def advance(self, steps: int = 1) -> None:
        """Go on, at most to the end of the attempt; between two steps it is as if frozen."""
        for _ in range(steps):
            if self.is_over:
                return
            self._go.release()
            self._paused.acquire()

    def finish(self) -> None:
        """Go on to the end."""
        while not self.is_over:
            self.advance()
        self._thread.join()
        if self.error is not None and not isinstance(self.error, Died | JobError):
            raise self.error

    def die(self) -> None:
        """Killed where it stands."""
        self.worker.dies_at = 0
        self.finish()

    def _work(self) -> None:
        try:
            self.worker()
        except BaseException as error:  # noqa: BLE001  # raised again where the test waits for the end
            self.error = error
        finally:
            self.is_over = True
            self._paused.release()

    def _pause(self) -> None:
        self._paused.release()
        self._go.acquire()


def run(worker: Worker) -> PublishOutcome | None:
    """An attempt as its actor makes it: who finds the lease held or lost comes back later, at no charge."""
    try:
        return worker()
    except (Died, JobError):
        return None


def run_until_published(world: World) -> PublishOutcome:
    """Redelivered until it is done."""
    for _ in range(5):
        world.lease_runs_out()
        outcome = run(Worker(world))
        if outcome is not None:
            return outcome
    raise AssertionError("never done")


def assert_published_once(world: World, drafts: int = 0) -> None:
    """One post that readers see, one success row, and everything says so."""
    public = [each for each in world.posts.values() if each.is_public]
    assert (len(public), len(world.posts)) == (1, 1 + drafts)
    assert len(world.rows.published) == 1
    assert world.execution.status == "succeeded"
    assert world.intent.status == world.rows.content == "published"
    assert world.posts[str(world.intent.external_id)].is_public
    assert world.rows.content_url == world.intent.external_url


def steps_of(world: World) -> int:
    """How many places an attempt in this world has at which its worker can be hurt."""
    worker = Worker(world)
    run(worker)
    return worker.steps


def half_done(dies_at: int) -> World:
    """What a worker that died there leaves behind."""
    world = World()
    worker = Worker(world)
    worker.dies_at = dies_at
    run(worker)
    return world


def site_step(*, first: bool) -> int:
    """The step right after the site made the draft, or the one right before it."""
    world = World()
    worker = Paced(world)
    while not world.posts:
        worker.advance()
    step = worker.worker.steps
    worker.finish()
    return step if first else step - 1
