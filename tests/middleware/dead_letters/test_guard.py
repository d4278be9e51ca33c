"""Dead letters: everything that is given up is kept, whole, once, and without its secrets."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any
from uuid import UUID, uuid4

import dramatiq
import pytest
from dramatiq.broker import MessageProxy
from dramatiq.brokers.stub import StubBroker
from dramatiq.errors import BrokerConnectionError
from dramatiq.middleware import AgeLimit, Middleware, MiddlewareError
from dramatiq.middleware import Retries as DramatiqRetries
from pydantic import BaseModel, Field

from middleware import Contracts, Retries, StoreUnavailable
from middleware.dead_letters.guard import DeadLetters, DeadLettersUnavailable
from middleware.dead_letters.letter import DeadLetter, letter_id
from middleware.dead_letters.memory import MemoryDeadLetterStore
from middleware.dead_letters.memory_spool import MemoryDeadLetterSpool
from tests.middleware.attempt_outcomes import FATES, Doorkeeper, Faulty, send_to
from tests.middleware.brokers import replace_stack, work
from tests.middleware.dead_letters.sample_letters import put_raw
from tests.middleware.recorded_metrics import Emitted, handling

NOW_MS = 2_000_000_000_000


class Publish(BaseModel):
    """A contract with a secret."""

    org_id: UUID
    site: str
    token: Annotated[str, Field(json_schema_extra={"secret": True})] = ""


class Lookup(Exception):
    """A foreign error, which quotes what it was given."""


class World:
    """A broker with a stack, letters in memory, and an actor that fails."""

    def __init__(self, broker: dramatiq.Broker, *, retries: Middleware | None = None, **options: Any) -> None:
        self.store = MemoryDeadLetterStore()
        self.spool = MemoryDeadLetterSpool()
        self.guard = DeadLetters(self.store, spool=self.spool, now_ms=lambda: NOW_MS, **options)
        last = retries or Retries(max_retries=2, min_backoff=1, max_backoff=1)
        replace_stack(broker, self.guard, Contracts(), Doorkeeper(on_error="allow"), AgeLimit(), last)
        self.broker = broker
        self.queue = f"q{uuid4().hex}"

    def actor(
        self, error: Callable[[], BaseException], name: str = "publish", **options: Any
    ) -> "dramatiq.Actor[[Publish], None]":
        """An actor with a contract, whose every attempt raises."""

        def fn(job: Publish) -> None:
            raise error()

        declare = dramatiq.actor(broker=self.broker, queue_name=self.queue, actor_name=name, **options)
        return declare(fn)

    def letters(self) -> Sequence[DeadLetter]:
        """Let a worker empty the queue; what was given up, the newest first."""
        work(self.broker, self.queue)
        assert self.spool.depth() == 0
        return self.store.of_every_org().list()


def a_job(**over: Any) -> Publish:
    """A payload."""
    return Publish(**{"org_id": uuid4(), "site": "blog", "token": "hunter2-hunter2", **over})


def test_a_message_that_failed_for_good_is_kept_whole(bare_broker: dramatiq.Broker) -> None:
    """What it was, whose, how often it was tried, why it failed, and where."""
    world = World(bare_broker)
    job = a_job()
    message = world.actor(lambda: Faulty("the site is away")).send_with_options(
        args=(job,), region="eu", on_behalf_of="a person"
    )

    (letter,) = world.letters()

    org = str(job.org_id)
    assert letter == DeadLetter(
        id=letter_id(org, message.message_id),
        org=org,
        message_id=message.message_id,
        actor="publish",
        queue=world.queue,
        region="eu",
        category="network",
        error_class="tests.middleware.attempt_outcomes.Faulty",
        message="the site is away",
        trace=letter.trace,
        fingerprint=letter.fingerprint,
        attempts=3,
        contract_version=1,
        payload={"args": [{"org_id": org, "site": "blog", "token": "***"}], "kwargs": {}},
        options={"region": "eu", "on_behalf_of": "a person", "org": org, "contract_version": 1},
        redacted=("args.0.token",),
        first_at_ms=message.message_timestamp,
        died_at_ms=NOW_MS,
    )
    frames = (letter.trace or "").splitlines()
    assert 1 <= len(frames) <= 5
    assert frames[-1].startswith("dead_letters/test_guard.py:")
    assert frames[-1].endswith(" in fn")
    assert len(letter.fingerprint) == 12


@pytest.mark.parametrize("max_retries", [0, 2])
@pytest.mark.parametrize("retries", [Retries, DramatiqRetries])
def test_attempts_are_those_that_were_made(
    retries: type[Middleware], max_retries: int, bare_broker: dramatiq.Broker
) -> None:
    """Whoever counted them, this library's retries or Dramatiq's."""
    world = World(bare_broker, retries=retries(max_retries=max_retries, min_backoff=1, max_backoff=1))  # type: ignore[call-arg]
    world.actor(lambda: Faulty("no")).send(a_job())

    (letter,) = world.letters()

    assert letter.attempts == max_retries + 1


def test_an_error_that_throws_expects_is_one_attempt_beside_dramatiqs_retries() -> None:
    """Dramatiq gives up on it without counting it."""
    world = World(StubBroker(), retries=DramatiqRetries(max_retries=3))
    world.actor(lambda: Faulty("no"), throws=Faulty).send(a_job())

    (letter,) = world.letters()

    assert letter.attempts == 1


@pytest.mark.parametrize(
    "name", [name for name in FATES if name not in ("failed", "expired", "cancelled_running")]
)
def test_what_is_not_given_up_is_no_dead_letter(bare_broker: dramatiq.Broker, name: str) -> None:
    """Success, a retry that succeeds, a park, a shutdown, a duplicate that is skipped, a cancelled message."""
    world = World(bare_broker)
    send_to(bare_broker, FATES[name], queue=world.queue)

    assert list(world.letters()) == []


def test_a_message_for_an_unknown_actor_is_kept_whole(bare_broker: dramatiq.Broker) -> None:
    """Its sender said where its secrets are, since this build does not know."""
    world = World(bare_broker)
    job = a_job()
    message = world.actor(lambda: Faulty("no"), name="of_another_build").send_with_options(
        args=(job,), region="eu"
    )
    del bare_broker.actors["of_another_build"]

    (letter,) = world.letters()

    org = str(job.org_id)
    assert (letter.category, letter.attempts, letter.message_id) == ("version", 0, message.message_id)
    assert letter.payload == {"args": [{"org_id": org, "site": "blog", "token": "***"}], "kwargs": {}}
    assert (letter.actor, letter.org, letter.region) == ("of_another_build", org, "eu")
    assert letter.message == "no actor of_another_build in this build; start a worker that has it, then retry"
    assert letter.error_class == "dramatiq.errors.ActorNotFound"


def test_an_expired_message_is_kept_whole(bare_broker: dramatiq.Broker) -> None:
    """One that was too old when a worker took it never ran."""
    world = World(bare_broker)
    job = a_job()
    old = world.actor(lambda: Faulty("no"), max_age=1).message(job).copy(message_timestamp=1_000)
    bare_broker.enqueue(old)

    (letter,) = world.letters()

    assert (letter.category, letter.attempts, letter.message_id) == ("timeout", 0, old.message_id)
    assert letter.payload == {
        "args": [{"org_id": str(job.org_id), "site": "blog", "token": "***"}],
        "kwargs": {},
    }
    assert (letter.first_at_ms, letter.died_at_ms) == (1_000, NOW_MS)
    assert letter.message == "expired: older than it may be when a worker took it"


def test_a_payload_that_does_not_fit_its_contract_is_category_validation(
    bare_broker: dramatiq.Broker,
) -> None:
    """It is final at once; the letter names the field, and a secret is taken out where the contract has one."""
    world = World(bare_broker)
    actor = world.actor(lambda: Faulty("no"))
    forged = actor.message_with_options(
        args=({"site": 5, "token": "hunter2-hunter2", "org_id": "acme"},), admitted=True
    )
    bare_broker.enqueue(forged)

    (letter,) = world.letters()

    assert (letter.category, letter.attempts, letter.org) == ("validation", 1, "acme")
    assert "site: Input should be a valid string" in letter.message
    assert letter.redacted == ("args.0.token",)


def test_the_text_of_a_foreign_error_is_not_kept(bare_broker: dramatiq.Broker) -> None:
    """It may quote anything; of an error with a category it is kept, but for the secrets in it."""
    world = World(bare_broker)
    world.actor(lambda: Lookup("no user hunter2"), name="foreign", max_retries=0).send(a_job())
    world.actor(lambda: Faulty("hunter2-hunter2 was refused"), name="ours", max_retries=0).send(a_job())

    texts = {letter.actor: letter.message for letter in world.letters()}

    assert texts == {
        "foreign": "tests.middleware.dead_letters.test_guard.Lookup; its text may quote the payload and is not kept",
        "ours": "*** was refused",
    }


def test_the_letter_of_a_message_is_one_however_often_it_is_rejected() -> None:
    """A worker that is killed between letter and rejection leaves the message to another one."""
    world = World(StubBroker())
    actor = world.actor(lambda: Faulty("no"))
    proxy = MessageProxy(actor.message(a_job()))
    proxy.stuff_exception(Faulty("no"))

    with _emitted() as emitted:
        for _ in range(3):
            world.guard.before_nack(world.broker, proxy)

    assert world.spool.depth() == 1
    assert emitted.of("dead_letters_total") == [1]


def test_metrics_have_few_labels(bare_broker: dramatiq.Broker) -> None:
    """Actor, queue, category; an actor that is not known here is one of many."""
    world = World(bare_broker)
    world.actor(lambda: Faulty("no"), name="known", max_retries=0).send(a_job())
    world.actor(lambda: Faulty("no"), name="of_another_build").send(a_job())
    del bare_broker.actors["of_another_build"]

    with _emitted() as emitted:
        world.letters()

    labels = emitted.labels_of("dead_letters_total")
    assert sorted(labels, key=lambda each: each["actor"]) == [
        {"actor": "known", "queue": world.queue, "category": "network"},
        {"actor": "unknown", "queue": world.queue, "category": "version"},
    ]
    assert sum(emitted.of("dead_letters_moved_total")) == 2
    assert emitted.of("dead_letters_spooled")[-1] == 0


class Away:
    """A store or spool that does not answer, or refuses."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def put(self, letters: Sequence[DeadLetter]) -> int:
        raise self.error

    def of_org(self, org: str) -> Any:
        raise self.error

    def of_every_org(self) -> Any:
        raise self.error


class Refused(Exception):
    """The store cannot hold this."""

    retryable = False


def test_a_letter_that_cannot_be_written_makes_dramatiq_repeat_the_rejection() -> None:
    """By an error that passes its hooks and that it takes for a lost connection."""
    guard = DeadLetters(Away(StoreUnavailable("away")))
    broker = StubBroker(middleware=[guard])
    proxy = MessageProxy(dramatiq.Message("q", "a", (), {}, {}))

    with pytest.raises(DeadLettersUnavailable) as caught:
        broker.emit_before("nack", proxy)

    assert isinstance(caught.value, MiddlewareError)
    assert isinstance(caught.value, BrokerConnectionError)
    assert proxy.message_id in str(caught.value)


def test_a_letter_that_is_refused_for_good_does_not_hold_a_worker_up(
    bare_broker: dramatiq.Broker, caplog: pytest.LogCaptureFixture
) -> None:
    """Then the broker's own queue of rejected messages is what is left, and the log says so."""
    guard = DeadLetters(Away(Refused("hunter2")))
    replace_stack(bare_broker, guard, Retries(max_retries=0))
    queue = f"q{uuid4().hex}"

    @dramatiq.actor(broker=bare_broker, queue_name=queue)
    def fails() -> None:
        raise Faulty("no")

    fails.send()
    work(bare_broker, queue)

    assert "was refused" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_payload_over_the_limit_is_left_out_and_the_letter_says_so(bare_broker: dramatiq.Broker) -> None:
    """Everything else is kept; raw bytes are cut."""
    world = World(bare_broker, max_entry_bytes=500)
    message = world.actor(lambda: Faulty("no"), max_retries=0).send(a_job(site="x" * 500))
    put_raw(bare_broker, world.queue, b"?" * 501)

    by_actor = {letter.actor: letter for letter in world.letters()}

    large, raw = by_actor["publish"], by_actor[None]
    assert (large.message_id, large.payload, large.redacted) == (message.message_id, None, ())
    assert "bytes is not kept, at most 500 are" in large.message
    assert raw.raw == b"?" * 500
    assert "501 bytes, of which the first 500 are kept" in raw.message


def test_a_message_that_cannot_be_described_is_kept_in_outline(bare_broker: dramatiq.Broker) -> None:
    """Without its payload, since nobody could look for secrets in it."""
    world = World(bare_broker)

    @dramatiq.actor(broker=bare_broker, queue_name=world.queue, max_retries=0)
    def deep(value: object) -> None:
        raise Faulty("no")

    message = deep.send(json.loads("[" * 400 + "]" * 400))

    (letter,) = world.letters()

    assert (letter.message_id, letter.payload, letter.category) == (message.message_id, None, "network")
    assert "could not be cleaned" in letter.message


def test_forged_numbers_and_names_do_not_lose_a_letter(bare_broker: dramatiq.Broker) -> None:
    """Whoever writes to the queue may write anything; it is brought into bounds."""
    world = World(bare_broker)
    actor = world.actor(lambda: Faulty("no"))
    options: dict[str, Any] = {
        "retries": 10**30,
        "contract_version": 1,
        "region": "\ud800\x00",
        "org": "\ud800",
    }
    forged = actor.message_with_options(args=(a_job().model_dump(mode="json"),), admitted=True, **options)
    bare_broker.enqueue(forged.copy(message_timestamp=10**30))

    (letter,) = world.letters()

    assert (letter.region, letter.org) == ("?", "?")
    assert (letter.first_at_ms, letter.attempts) == (NOW_MS, 1)


@pytest.mark.parametrize("name", ["max_entry_bytes", "move_interval_ms", "lease_ms"])
def test_a_nonsensical_bound_is_refused_when_the_guard_is_made(name: str) -> None:
    """The mistake is named where it was made."""
    bounds: dict[str, Any] = {name: 0}
    with pytest.raises(ValueError, match=f"{name} must be at least 1, not 0"):
        DeadLetters(MemoryDeadLetterStore(), **bounds)


@contextmanager
def _emitted() -> Iterator[Emitted]:
    emitted = Emitted()
    with handling(emitted):
        yield emitted
