"""A broker, dead letters, and jobs that fail until the world is better."""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar
from uuid import UUID, uuid4

import dramatiq
from pydantic import BaseModel, Field

from middleware import Contracts, Guard, Retries
from middleware.dead_letters.guard import DeadLetters
from middleware.dead_letters.letter import DeadLetter
from middleware.dead_letters.memory import MemoryDeadLetterStore
from middleware.dead_letters.replay import (
    DeadLetterReplayer,
)
from tests.middleware.attempt_outcomes import Faulty
from tests.middleware.brokers import replace_stack, work

ORG = str(uuid4())


class Publish(BaseModel):
    """A contract with a secret."""

    contract_version: ClassVar[int] = 2

    org_id: UUID
    site: str
    token: Annotated[str, Field(json_schema_extra={"secret": True})] = ""


class World:
    """A broker, letters, and an actor that fails until its site is up."""

    def __init__(self, broker: dramatiq.Broker, *guards: Guard) -> None:
        self.broker = broker
        self.store = MemoryDeadLetterStore()
        replace_stack(broker, DeadLetters(self.store), *guards, Contracts(), Retries(max_retries=0))
        self.queue = f"q{uuid4().hex}"
        self.up: set[str] = set()
        self.published: list[Publish] = []
        self.slept_s: list[float] = []
        self.replays = self.of_org(ORG)
        up, published = self.up, self.published

        @dramatiq.actor(broker=broker, queue_name=self.queue, actor_name="publish")
        def publish(job: Publish) -> None:
            if job.site not in up:
                raise Faulty(f"{job.site} is away")
            published.append(job)

        @dramatiq.actor(broker=broker, queue_name=self.queue, actor_name="plain")
        def plain(*args: object, **kwargs: object) -> None:
            raise Faulty("no")

        self.publish, self.plain = publish, plain

    def of_org(self, org: str, wait: Callable[[float], None] | None = None) -> DeadLetterReplayer:
        """DeadLetterReplayer for one org, for which time passes when they wait, and workers work meanwhile."""
        return DeadLetterReplayer(
            self.broker,
            self.store.of_org(org),
            now_ms=lambda: 7,
            wait=wait or self._wait,
            monotonic=lambda: sum(self.slept_s),
        )

    def _wait(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        work(self.broker, self.queue)

    def dead(self, *sites: str, org: str = ORG, token: str = "", **options: Any) -> list[DeadLetter]:
        """The letters of jobs for these sites, after they failed."""
        known = {letter.id for letter in self.store.of_org(org).list(limit=1_000)}
        for site in sites:
            job = Publish(org_id=UUID(org), site=site, token=token)
            self.publish.send_with_options(args=(job,), **options)
        return [letter for letter in self.run(org) if letter.id not in known]

    def run(self, org: str = ORG) -> list[DeadLetter]:
        """The org's letters after a worker emptied the queue."""
        work(self.broker, self.queue)
        return list(self.store.of_org(org).list(limit=1_000))

    def letter(self, letter_id: str) -> DeadLetter:
        """The letter as it is now."""
        found = self.store.of_every_org().get(letter_id)
        assert found is not None
        return found
