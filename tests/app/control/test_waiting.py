"""Jobs that do not run: why not, and what their org or an operator does about it."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from dramatiq import Message
from sqlalchemy import insert

from adapters.database.dead_letters import SqlDeadLetters
from adapters.database.tables import outbox
from adapters.database.unit_of_work import SystemUnitOfWork
from app.control import Caller, OperatorsOnly
from app.control.build import build
from app.settings import Settings
from broker.inspection.inspector import Inspector
from domain.errors import InvalidInput, NotFound, ProviderUnavailable
from middleware.dead_letters.letter import DeadLetter, letter_id
from tests.app.control.attempts import put_attempt
from tests.app.control.examples import World
from tests.broker.inspection.inspection_helpers import fetched, serving
from tests.broker.workers import take
from tests.middleware.dead_letters.sample_letters import a_letter
from tests.middleware.eventually import eventually


def send(world: World, org_id: UUID | None = None, *, delay_ms: int = 0) -> str:
    """A job of the owner's, or another org's; its id."""
    caller = world.caller(org_id or world.owner)
    return world.control.jobs.enqueue(caller, "resize", {"image_id": 7}, delay_ms=delay_ms)


def test_why_a_job_waits_is_reported_to_its_org_and_to_operators(world: World) -> None:
    """The broker's word on it; to another org the job is not there."""
    job_id = send(world, delay_ms=60_000)

    callers: list[Caller] = [world.caller(world.owner), world.operator()]
    for caller in callers:
        why = world.control.jobs.why(caller, job_id)
        assert (why.cause, why.queue, why.actor, why.org) == (
            "delayed",
            "images",
            "resize",
            str(world.owner),
        )
        assert why.text.startswith("Delayed until 20")
        assert [each.cause for each in why.reasons] == ["delayed"]
    with pytest.raises(NotFound, match=f"job {job_id} not found"):
        world.control.jobs.why(world.caller(world.stranger), job_id)


def test_what_holds_back_at_the_same_time_is_reported_too(world: World) -> None:
    """The main thing first."""
    world.broker.shut("pauses", {"a:resize": (0, "paused: actor resize by olga")})
    job_id = send(world)

    why = world.control.jobs.why(world.caller(world.owner), job_id)

    assert [each.cause for each in why.reasons] == ["paused", "no_worker"]
    assert why.text.startswith("Paused: actor resize by olga, until that is taken back. No worker serves")


def test_a_job_that_runs_is_reported_with_its_attempt(world: World) -> None:
    """What the broker knows is who has it, and the history says that it has begun."""
    job_id = send(world)
    fetched(world.broker)
    look = world.control.jobs.why(world.caller(world.owner), job_id)
    assert look.cause == "leased"

    start = (datetime.now(UTC) - datetime(2026, 3, 1, 12, tzinfo=UTC)).total_seconds()
    died = put_attempt(world.engine, world.owner, message_id=job_id, outcome="running")
    assert world.control.jobs.why(world.caller(world.owner), job_id).cause == "leased"
    put_attempt(
        world.engine,
        world.owner,
        at_s=start,
        message_id=job_id,
        outcome="running",
        attempt=2,
        worker="host:9",
    )

    why = world.control.jobs.why(world.caller(world.owner), job_id)
    assert (why.cause, died.attempt) == ("running", 1)
    assert "attempt 2, on host:9" in why.text


def test_a_job_in_the_outbox_is_not_sent_yet(world: World) -> None:
    """It waits for a relay, not for a worker."""
    job_id = uuid4()
    with SystemUnitOfWork(world.engine) as unit:
        row = {"id": job_id, "org_id": world.owner, "actor": "resize", "message": b"{}"}
        unit.connection.execute(insert(outbox).values(row))

    why = world.control.jobs.why(world.caller(world.owner), str(job_id))
    shown = world.control.jobs.show(world.caller(world.owner), str(job_id))

    assert why.cause == "unsent"
    assert (shown.state, shown.why) == ("waiting", why)
    with pytest.raises(NotFound):
        world.control.jobs.why(world.caller(world.stranger), str(job_id))


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "cancelled"])
def test_a_job_that_has_ended_does_not_wait(world: World, outcome: str) -> None:
    """It says how."""
    job = put_attempt(world.engine, world.owner, outcome=outcome)

    why = world.control.jobs.why(world.caller(world.owner), job.message_id)

    assert (why.cause, why.text) == ("ended", f"It has ended, as {outcome}.")


def test_a_job_that_was_given_up_is_a_dead_letter(world: World) -> None:
    """Whose id is told."""
    job_id = str(uuid4())
    letter = a_letter(id=letter_id(str(world.owner), job_id), org=str(world.owner), message_id=job_id)
    SqlDeadLetters(world.engine, DeadLetter.from_record).put([letter])

    why = world.control.jobs.why(world.caller(world.owner), job_id)

    assert why.cause == "dead"
    assert letter.id in why.text


def test_a_job_that_the_broker_lost_sight_of_says_what_is_recorded(world: World) -> None:
    """The history is a second behind, or its broker was emptied by hand."""
    job = put_attempt(world.engine, world.owner, outcome="retried")

    why = world.control.jobs.why(world.caller(world.owner), job.message_id)

    assert (why.cause, why.reasons) == ("unknown", ())
    assert "the last that is recorded of it is: retrying" in why.text


def test_a_job_is_shown_with_what_it_waits_for(world: World) -> None:
    """Before its first attempt, and between two."""
    job_id = send(world, delay_ms=60_000)
    first = world.control.jobs.show(world.caller(world.owner), job_id)
    put_attempt(world.engine, world.owner, message_id=job_id, outcome="retried")
    second = world.control.jobs.show(world.caller(world.owner), job_id)

    for shown in (first, second):
        assert shown.why is not None
        assert shown.why.cause == "delayed"
    assert (first.state, first.attempts, second.state) == ("waiting", (), "retrying")
    assert (first.actor, first.queue, first.org) == ("resize", "images", str(world.owner))
    with pytest.raises(NotFound):
        world.control.jobs.show(world.caller(world.stranger), job_id)


def test_without_redis_nobody_knows_why(world: World, settings: Settings) -> None:
    """What is recorded is shown all the same, and that is all."""
    job = put_attempt(world.engine, world.owner, outcome="retried")
    away = settings.model_copy(update={"redis_url": None})

    with build(away, broker=lambda: world.broker) as control:
        shown = control.jobs.show(world.caller(world.owner), job.message_id)
        with pytest.raises(ProviderUnavailable, match="Redis does not answer"):
            control.jobs.why(world.caller(world.owner), job.message_id)
        with pytest.raises(ProviderUnavailable, match="Redis does not answer"):
            control.queues.list(world.operator())

    assert shown.why is None
    assert any("what the broker has of it" in each for each in shown.unknown)


def test_jobs_that_wait_are_listed(world: World) -> None:
    """An org's own, or everybody's; narrowed down by queue and actor."""
    mine, later, theirs = send(world), send(world, delay_ms=60_000), send(world, world.stranger)
    sweep, another = (world.control.jobs.enqueue(world.operator(), "sweep", {}) for _ in range(2))
    jobs = world.control.jobs

    assert [each.message_id for each in jobs.waiting(world.caller(world.owner))] == [mine, later]
    everything = {each.message_id for each in jobs.waiting(world.operator())}
    assert everything == {mine, later, theirs, sweep, another}
    assert [each.message_id for each in jobs.waiting(world.operator(), queue="platform")] == [
        sweep,
        another,
    ]
    assert [each.message_id for each in jobs.waiting(world.operator(), actor="sweep")] == [
        sweep,
        another,
    ]
    assert [len(jobs.waiting(world.operator(), limit=limit)) for limit in (2, 4)] == [2, 4]
    with pytest.raises(InvalidInput, match="1 to 1000"):
        jobs.waiting(world.operator(), limit=0)


def test_a_priority_is_changed_by_whom_it_concerns(world: World) -> None:
    """Within bounds, while it waits."""
    running = send(world)
    fetched(world.broker)
    job_id, owner = send(world), world.caller(world.owner)
    change = world.control.jobs.set_priority

    change(owner, job_id, -60)
    assert [each.priority for each in world.control.jobs.waiting(owner)] == [-60]
    change(world.operator(), job_id, 1_000)
    assert world.control.jobs.why(owner, job_id).priority == 1_000
    with pytest.raises(NotFound):
        change(world.caller(world.stranger), job_id, 0)
    with pytest.raises(InvalidInput, match="a worker has job"):
        change(owner, running, 0)
    with pytest.raises(InvalidInput, match="-1000 to 1000, not 1001"):
        change(owner, job_id, 1_001)


def test_an_undecodable_message_gets_no_priority(world: World) -> None:
    """It is not touched."""
    world.broker.client.hset(f"{world.broker.base}:m", "odd", b"images\nacme\nresize:0\nu\nno message")

    with pytest.raises(InvalidInput, match="cannot be read"):
        world.control.jobs.set_priority(world.operator(), "odd", 1)


def test_queues_say_what_waits(world: World) -> None:
    """To operators all of it with what parked jobs wait for; to an org how much of its own."""
    send(world)
    send(world, world.stranger)
    send(world, world.stranger, delay_ms=60_000)
    message = world.broker.enqueue(_message(world))
    world.broker.park(message.copy(message_id=uuid4().hex), delay_ms=60_000, cause="x", key="breaker:ai")

    for_operators = world.control.queues.show(world.operator(), "images")
    mine = world.control.queues.show(world.caller(world.owner), "images")
    (listed, _) = world.control.queues.list(world.operator())

    assert (for_operators.depth.ready, for_operators.depth.delayed, for_operators.depth.parked) == (3, 1, 1)
    assert for_operators.parked_by_cause == {"breaker": 1}
    assert (mine.depth.ready, mine.depth.delayed, mine.parked_by_cause) == (2, None, {})
    assert listed.depth.ready == 3
    with pytest.raises(NotFound, match="queue nowhere not found"):
        world.control.queues.show(world.operator(), "nowhere")


def test_a_queues_dead_letters_are_those_that_are_open(world: World) -> None:
    """A letter whose message was sent again, or that was deleted, is not counted, whatever the broker keeps."""
    letters = SqlDeadLetters(world.engine, DeadLetter.from_record)
    mine = world.caller(world.owner)

    def dead() -> tuple[int | None, int | None]:
        counted = world.control.queues.show(world.operator(), "images").depth.dead
        return counted, world.control.queues.show(mine, "images").depth.dead

    # Others' letters may be in the same store.
    before, none_yet = dead()
    assert before is not None
    opened, sent_again, deleted = (
        a_letter(org=str(org), queue="images", message_id=uuid4().hex)
        for org in (world.owner, world.owner, world.stranger)
    )
    letters.put([opened, sent_again, deleted])
    assert (none_yet, dead()) == (0, (before + 3, 2))

    box = letters.of_every_org()
    box.mark_replayed(sent_again.id, uuid4().hex, at_ms=1_772_366_400_000, instead_of=None)
    box.delete(deleted.id)
    # What the broker keeps of a message for an hour is not what is left to do.
    world.broker.enqueue(_message(world))
    consumer = world.broker.consume("images", timeout=5_000)
    consumer.nack(take(consumer))

    of_broker = Inspector(world.client, world.broker.base)
    assert eventually(lambda: of_broker.depth("images")[0].dead == 1)
    assert dead() == (before + 1, 1)


def test_a_regions_queue_is_one_of_its_own(world: World) -> None:
    """With the actors of the queue it is a region's of."""
    world.broker.enqueue(_message(world).copy(queue_name="images.eu"))

    names = {each.name: each.actors for each in world.control.queues.list(world.operator())}

    assert names == {"images": ("resize",), "images.eu": ("resize",), "platform": ("sweep",)}


def test_lanes_are_an_orgs_own(world: World) -> None:
    """An operator sees everybody's, in the order of their turns, with what shuts them."""
    send(world)
    send(world, world.stranger)
    world.broker.shut("pauses", {f"o:{world.stranger}": (0, "paused: org by olga")})

    lanes = world.control.queues.lanes(world.operator(), "images")
    (mine,) = world.control.queues.lanes(world.caller(world.owner), "images")

    assert {each.org: bool(each.shut_because) for each in lanes} == {
        str(world.owner): False,
        str(world.stranger): True,
    }
    assert (mine.org, mine.actor, mine.length) == (str(world.owner), "resize", 1)
    with pytest.raises(NotFound):
        world.control.queues.lanes(world.operator(), "nowhere")
    with pytest.raises(InvalidInput, match="1 to 1000"):
        world.control.queues.lanes(world.operator(), "images", limit=0)


def test_an_org_cleans_its_own(world: World) -> None:
    """Only counted, unless it is meant; what does not fit stays."""
    for org_id in (world.owner, world.owner, world.stranger):
        send(world, org_id)
    later = send(world, delay_ms=60_000)
    owner, clean = world.caller(world.owner), world.control.queues.clean

    assert clean(owner, "images") == 3
    assert clean(owner, "images", states={"ready"}, dry_run=False) == 2
    assert [each.message_id for each in world.control.jobs.waiting(owner)] == [later]
    assert clean(world.operator(), "images", older_than_ms=3_600_000, dry_run=False) == 0
    assert clean(world.operator(), "images", actor="sweep", dry_run=False) == 0
    assert clean(world.operator(), "images", dry_run=False) == 2


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"older_than_ms": -1}, "at least 0, not -1"),
        ({"states": {"asleep"}}, "no state asleep; there are: del"),
    ],
)
def test_what_cannot_be_cleaned_is_refused(world: World, wrong: dict[str, object], says: str) -> None:
    """And nothing is dropped."""
    send(world)

    with pytest.raises(InvalidInput, match=says):
        world.control.queues.clean(world.operator(), "images", dry_run=False, **wrong)  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        world.control.queues.clean(world.operator(), "nowhere", dry_run=False)

    assert world.broker.do_qsize("images") == 1


def test_workers_are_for_operators(world: World) -> None:
    """By their id, or by host and process."""
    one, other = (
        serving(world.broker, "images", host=host, pid=7, rss_bytes=5_000_000) for host in ("b", "a")
    )
    operator, workers = world.operator(), world.control.workers

    assert [each.place for each in workers.list(operator)] == ["a:7", "b:7"]
    assert workers.quiet(operator, "b:7").id == one
    assert workers.quiet(operator, other).id == other
    assert all(each.quiet for each in Inspector(world.client, world.broker.base).workers())
    assert workers.resume(operator, "a:7").id == other
    assert workers.resume(operator, "a:7").id == other
    assert [each.quiet for each in workers.list(operator)] == [False, True]
    for change in (workers.quiet, workers.resume):
        with pytest.raises(NotFound, match="worker c:7 not found"):
            change(operator, "c:7")
    with pytest.raises(OperatorsOnly):
        workers.list(world.caller(world.owner))


def _message(world: World) -> Message[object]:
    return world.broker.actors["resize"].message({"org_id": str(world.owner), "image_id": 7})
