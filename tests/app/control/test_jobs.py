"""Jobs through the control API: sent, listed, shown and cancelled, each by whom it concerns."""

from datetime import timedelta
from typing import get_args
from uuid import UUID, uuid4

import dramatiq
import pytest
from dramatiq.broker import MessageProxy
from sqlalchemy import insert

from adapters.database.dead_letters import SqlDeadLetters
from adapters.database.history import SqlHistoryStore
from adapters.database.tables import outbox
from adapters.database.unit_of_work import SystemUnitOfWork
from app.bootstrap.redis import NAMESPACE
from app.control import OperatorsOnly
from app.control.build import build
from app.control.inspector import Job, JobState, outcome_of
from app.settings import Settings
from broker import FairRedisBroker
from domain.errors import InvalidInput, NotFound, ProviderUnavailable
from middleware import Contracts
from middleware.cancellation.redis import RedisCancellationStore
from middleware.cancellation.requests import RequestCache
from middleware.dead_letters.letter import DeadLetter, letter_id
from middleware.history.guard import AttemptRecord
from middleware.progress.guard import JobProgress
from middleware.progress.redis import RedisProgressStore
from tests.app.control.attempts import START, an_attempt, put_attempt
from tests.app.control.examples import World
from tests.middleware.brokers import stored
from tests.middleware.dead_letters.sample_letters import a_letter


def put(world: World, *records: AttemptRecord) -> None:
    """Into the history."""
    SqlHistoryStore(world.engine, AttemptRecord).record(records)


def is_stopped(world: World, job_id: str, org: UUID | None) -> bool:
    """Whether a worker would stop the message if it came with this org."""
    known = RequestCache(RedisCancellationStore(world.client, prefix=NAMESPACE))
    known.refresh()
    message: dramatiq.Message[object] = dramatiq.Message(
        queue_name="images",
        actor_name="resize",
        args=(),
        kwargs={},
        options={} if org is None else {"org": str(org)},
        message_id=job_id,
        message_timestamp=0,
    )
    return known.match(MessageProxy(message))


def test_a_job_stands_in_the_list_as_its_last_attempt_left_it(world: World) -> None:
    """Each once, the last started first; an org sees its own, an operator anybody's."""
    owner = world.caller(world.owner)
    retried = an_attempt(world.owner, at_s=1, outcome="retried", error_category="network")
    passed = an_attempt(world.owner, at_s=9, message_id=retried.message_id, attempt=2, worker="host:8")
    parked = an_attempt(world.owner, at_s=5, outcome="parked", cause="night")
    theirs = an_attempt(world.stranger, at_s=7, outcome="running")
    put(world, passed, retried, parked, theirs)

    page = world.control.jobs.list(owner)

    assert [(each.id, each.state, each.attempt, each.worker) for each in page] == [
        (retried.message_id, "succeeded", 2, "host:8"),
        (parked.message_id, "parked", 1, "host:7"),
    ]
    assert page[1].cause == "night"
    assert page[0].finished_at == START + timedelta(seconds=10)
    assert world.control.jobs.list(world.operator(), org_id=world.owner) == page
    (running,) = world.control.jobs.list(world.operator(), org_id=world.stranger)
    assert (running.state, running.finished_at, running.duration_ms) == ("running", None, None)


@pytest.mark.parametrize("state", get_args(JobState))
def test_the_list_is_narrowed_by_state_and_actor(world: World, state: JobState) -> None:
    """By the last attempt's, whatever those before were."""
    owner, outcome = world.caller(world.owner), outcome_of(state)
    one = an_attempt(world.owner, at_s=1, outcome=outcome)
    another = an_attempt(world.owner, at_s=2, outcome=outcome, actor="crop")
    before = an_attempt(world.owner, at_s=3, outcome=outcome)
    since = an_attempt(world.owner, at_s=4, outcome="skipped", message_id=before.message_id)
    put(world, one, another, before, since)

    found = [each.id for each in world.control.jobs.list(owner, state=state)]
    assert [id_ for id_ in found if id_ != before.message_id] == [another.message_id, one.message_id]
    assert (before.message_id in found) == (state == "skipped")
    assert [each.id for each in world.control.jobs.list(owner, state=state, actor="crop")] == [
        another.message_id
    ]


def test_pages_follow_each_other_without_gap_or_repeat(world: World) -> None:
    """By the cursor of the last job; jobs may have started in the same microsecond."""
    owner = world.caller(world.owner)
    put(world, *(an_attempt(world.owner, at_s=at // 3) for at in range(10)))
    everything = world.control.jobs.list(owner)

    found: list[Job] = []
    page = world.control.jobs.list(owner, limit=3)
    while page:
        found += page
        page = world.control.jobs.list(owner, after=page[-1].cursor, limit=3)

    assert (found, len(found)) == (list(everything), 10)


@pytest.mark.parametrize(
    "wrong", [{"after": "yesterday"}, {"after": "9" * 40 + f".{uuid4()}"}, {"limit": 0}, {"limit": 1_001}]
)
def test_a_page_that_cannot_be_is_refused(world: World, wrong: dict[str, str]) -> None:
    """With what it would have to be."""
    with pytest.raises(InvalidInput, match="page"):
        world.control.jobs.list(world.caller(world.owner), **wrong)  # type: ignore[arg-type]


def test_another_orgs_message_of_the_same_id_hides_nothing(world: World) -> None:
    """Whoever sends makes ids up; each org still sees its own."""
    mine = put_attempt(world.engine, world.owner, at_s=1, outcome="failed")
    put(world, an_attempt(world.stranger, at_s=2, message_id=mine.message_id))

    (listed,) = world.control.jobs.list(world.caller(world.owner))
    shown = world.control.jobs.show(world.caller(world.owner), mine.message_id)

    assert (listed.state, shown.state, len(shown.attempts)) == ("failed", "failed", 1)


def test_a_job_is_shown_whole(world: World) -> None:
    """Every attempt, the result, how far it said it was, and its dead letter."""
    job_id = str(uuid4())
    life = [
        an_attempt(
            world.owner, message_id=job_id, outcome="retried", error_class="builtins.OSError", cause="x"
        ),
        an_attempt(world.owner, at_s=1, message_id=job_id, attempt=2, result={"rows": 3}),
    ]
    put(world, *life)
    row = JobProgress(
        message_id=job_id, org=str(world.owner), actor="resize", queue="images", state="done", percent=100
    )
    RedisProgressStore(world.client, prefix=NAMESPACE).write([row])
    letter = a_letter(
        id=letter_id(str(world.owner), job_id), org=str(world.owner), message_id=job_id, actor="resize"
    )
    SqlDeadLetters(world.engine, DeadLetter.from_record).put([letter])

    for caller in (world.caller(world.owner), world.operator()):
        shown = world.control.jobs.show(caller, job_id)
        assert shown.attempts == tuple(life)
        assert (shown.actor, shown.queue, shown.org) == ("resize", "images", str(world.owner))
        assert (shown.state, shown.result) == ("succeeded", {"rows": 3})
        assert shown.progress is not None
        assert shown.progress.percent == 100
        assert (shown.dead_letter_id, shown.unknown) == (letter.id, ())


def test_a_job_that_has_only_just_started_is_shown_by_its_progress(world: World) -> None:
    """The history is a second behind."""
    row = JobProgress(
        message_id=str(uuid4()), org=str(world.owner), actor="resize", queue="images", state="running"
    )
    RedisProgressStore(world.client, prefix=NAMESPACE).write([row])

    shown = world.control.jobs.show(world.caller(world.owner), row.message_id)

    assert (shown.state, shown.actor, shown.attempts) == ("running", "resize", ())
    with pytest.raises(NotFound):
        world.control.jobs.show(world.caller(world.stranger), row.message_id)


def test_a_job_that_only_left_a_dead_letter_is_shown_by_it(world: World) -> None:
    """No attempt was made where no actor has its name."""
    job_id = str(uuid4())
    letter = a_letter(id=letter_id(str(world.owner), job_id), org=str(world.owner), message_id=job_id)
    SqlDeadLetters(world.engine, DeadLetter.from_record).put([letter])

    shown = world.control.jobs.show(world.caller(world.owner), job_id)

    assert (shown.dead_letter_id, shown.state, shown.actor) == (letter.id, None, "resize")
    with pytest.raises(NotFound):
        world.control.jobs.show(world.caller(world.stranger), job_id)


def test_without_redis_a_job_is_still_shown(world: World, settings: Settings) -> None:
    """And what is not known is said; what would have to be written there is refused."""
    job_id = put_attempt(world.engine, world.owner, outcome="retried").message_id
    away = settings.model_copy(update={"redis_url": None})

    with build(away, broker=lambda: world.broker) as control:
        shown = control.jobs.show(world.caller(world.owner), job_id)
        with pytest.raises(ProviderUnavailable, match="Redis does not answer"):
            control.jobs.cancel(world.caller(world.owner), job_id)

    assert shown.state == "retrying"
    assert "its progress: Redis does not answer" in shown.unknown[0]


def test_a_cancelled_job_is_stopped_and_no_other_orgs(world: World) -> None:
    """Whatever lies under that id elsewhere."""
    job_id = put_attempt(world.engine, world.owner, outcome="retried").message_id

    world.control.jobs.cancel(world.caller(world.owner), job_id)

    assert is_stopped(world, job_id, world.owner)
    assert not is_stopped(world, job_id, world.stranger)
    assert not is_stopped(world, job_id, None)


def test_a_job_that_waits_for_its_first_attempt_is_cancelled(world: World) -> None:
    """By its own org; to another it is not there."""
    owner = world.caller(world.owner)
    job_id = world.control.jobs.enqueue(owner, "resize", {"image_id": 7}, delay_ms=60_000)

    with pytest.raises(NotFound):
        world.control.jobs.cancel(world.caller(world.stranger), job_id)
    with pytest.raises(NotFound):
        world.control.jobs.cancel(owner, str(uuid4()))
    assert world.control.jobs.cancel(owner, job_id) == f"{world.owner}:{job_id}"

    assert is_stopped(world, job_id, world.owner)


@pytest.mark.parametrize("paused", [False, True])
def test_a_cancelled_job_stays_so_until_its_turn_comes(world: World, paused: bool) -> None:
    """A request is forgotten a day after it, not a day after it was made."""
    owner = world.caller(world.owner)
    week_ms = 7 * 86_400_000
    if paused:
        ends_ms = world.broker.server_now_ms() + week_ms
        world.broker.shut("pauses", {"q:images": (ends_ms, "paused: queue images by olga")})
    job_id = world.control.jobs.enqueue(owner, "resize", {"image_id": 7}, delay_ms=0 if paused else week_ms)

    world.control.jobs.cancel(owner, job_id)

    (request,) = world.control.jobs.requests(owner)
    assert week_ms + 86_300_000 < request.keep_for_ms <= week_ms + 86_400_000


def test_a_job_in_the_outbox_is_known_to_wait(world: World) -> None:
    """To its own org."""
    job_id = uuid4()
    with SystemUnitOfWork(world.engine) as unit:
        row = {"id": job_id, "org_id": world.owner, "actor": "resize", "message": b"{}"}
        unit.connection.execute(insert(outbox).values(row))

    with pytest.raises(NotFound):
        world.control.jobs.cancel(world.caller(world.stranger), str(job_id))
    world.control.jobs.cancel(world.caller(world.owner), str(job_id))

    assert is_stopped(world, str(job_id), world.owner)


@pytest.mark.parametrize("state", ["succeeded", "failed", "skipped", "cancelled", "expired"])
def test_what_has_ended_cannot_be_cancelled(world: World, state: JobState) -> None:
    """It says how it ended."""
    job_id = put_attempt(world.engine, world.owner, outcome=outcome_of(state)).message_id

    with pytest.raises(InvalidInput, match=f"has ended, as {state}"):
        world.control.jobs.cancel(world.caller(world.owner), job_id)


def test_an_operator_cancels_any_job(world: World) -> None:
    """By its id alone."""
    job_id = put_attempt(world.engine, world.owner, outcome="running").message_id

    assert world.control.jobs.cancel(world.operator(), job_id) == job_id

    assert is_stopped(world, job_id, world.owner)


def test_many_are_cancelled_by_filter_and_an_org_only_reaches_its_own(world: World) -> None:
    """An operator has to name something."""
    actor = uuid4().hex
    world.control.jobs.cancel_all(world.caller(world.owner), actor=actor)
    world.control.jobs.cancel_all(world.operator(), actor=actor, queue="images", org_id=world.stranger)

    mine, theirs = [each for each in world.control.jobs.requests(world.operator()) if each.actor == actor]
    assert (mine.org, theirs.org, theirs.queue) == (str(world.owner), str(world.stranger), "images")
    with pytest.raises(InvalidInput, match="every job there is"):
        world.control.jobs.cancel_all(world.operator())


def test_a_request_is_taken_back_by_whom_it_concerns(world: World) -> None:
    """By its id, or its job's; an operator's request for the same job is not the org's to take back."""
    owner, job_id = world.caller(world.owner), str(uuid4())
    put(world, an_attempt(world.owner, outcome="parked", message_id=job_id))
    by_org = world.control.jobs.cancel(owner, job_id)
    by_operator = world.control.jobs.cancel(world.operator(), job_id)
    assert [each.request_id for each in world.control.jobs.requests(owner)] == [by_org]

    assert world.control.jobs.withdraw(owner, job_id).request_id == by_org
    with pytest.raises(NotFound, match=f"request {job_id} not found"):
        world.control.jobs.withdraw(owner, job_id)
    assert is_stopped(world, job_id, world.owner)

    assert world.control.jobs.withdraw(world.operator(), by_operator).message_id == job_id
    assert not is_stopped(world, job_id, world.owner)


@pytest.mark.parametrize("named", [True, False], ids=["named", "left out"])
def test_an_org_sends_for_itself(world: World, named: bool) -> None:
    """Whether its payload says so or not; the message carries it."""
    payload = {"org_id": str(world.owner).upper()} if named else {}

    job_id = world.control.jobs.enqueue(
        world.caller(world.owner), "resize", {**payload, "image_id": 7}, delay_ms=0
    )

    (message,) = stored(world.broker, "images")
    assert (message.message_id, message.args) == (job_id, ({"org_id": str(world.owner), "image_id": 7},))
    assert message.options["org"] == str(world.owner)


def test_an_operator_sends_for_whom_the_payload_names(world: World) -> None:
    """Or for nobody, where an actor works for no org."""
    world.control.jobs.enqueue(
        world.operator(), "resize", {"org_id": str(world.stranger), "image_id": 7}, delay_ms=60_000
    )
    world.control.jobs.enqueue(world.operator(), "sweep", {})

    (delayed,), (sweep,) = stored(world.broker, "images"), stored(world.broker, "platform")
    assert (delayed.options["org"], sweep.args) == (str(world.stranger), ())
    with pytest.raises(OperatorsOnly, match="enqueueing sweep"):
        world.control.jobs.enqueue(world.caller(world.owner), "sweep", {})


@pytest.mark.parametrize(
    ("actor", "payload", "says"),
    [
        ("resise", {}, "no actor resise; did you mean resize"),
        ("x", {}, "there are: resize, sweep"),
        ("resize", {"image_id": "hunter2"}, "image_id: Input should be a valid integer"),
        ("resize", {"image_id": 7, "more": "hunter2"}, "more: Extra inputs"),
        ("sweep", {"image_id": 7}, "sweep takes no payload"),
    ],
)
def test_what_does_not_fit_is_refused(world: World, actor: str, payload: dict[str, str], says: str) -> None:
    """The fields are named, their values are not, and nothing is sent."""
    payload = {"org_id": str(world.owner), **payload} if actor == "resize" else payload

    with pytest.raises(InvalidInput, match=says) as refused:
        world.control.jobs.enqueue(world.operator(), actor, payload)

    assert "hunter2" not in str(refused.value)
    assert stored(world.broker, "images") == stored(world.broker, "platform") == []


def test_a_delay_into_the_past_is_refused(world: World) -> None:
    """With the bound."""
    with pytest.raises(InvalidInput, match="delay_ms must be at least 0, not -1"):
        world.control.jobs.enqueue(world.operator(), "sweep", {}, delay_ms=-1)


def test_a_broker_that_is_away_is_reported_as_such(world: World, settings: Settings) -> None:
    """As something that may pass."""
    away = FairRedisBroker(url="redis://127.0.0.1:1", middleware=[Contracts()])
    dramatiq.actor(broker=away, actor_name="sweep")(lambda: None)

    with build(settings, broker=lambda: away) as control, pytest.raises(ProviderUnavailable) as reported:
        control.jobs.enqueue(world.operator(), "sweep", {})

    away.close()
    assert reported.value.retryable
