"""The contract guard, on Dramatiq's stub broker and on a real server."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from middleware import Contracts, InvalidPayload
from tests.middleware.brokers import stored, work


class Resize(BaseModel):
    """A contract with the types that JSON lacks."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    image_id: UUID
    at: datetime | None = None
    sizes: tuple[int, ...] = Field(default=(), max_length=3)
    token: str = ""


@pytest.fixture
def broker(bare_broker: dramatiq.Broker) -> dramatiq.Broker:
    """A broker with the stock middleware and the guard."""
    bare_broker.add_middleware(Contracts())
    return bare_broker


def declare(broker: dramatiq.Broker) -> "tuple[dramatiq.Actor[[Resize], None], list[Resize]]":
    """An actor that remembers what it got."""
    got: list[Resize] = []

    @dramatiq.actor(broker=broker, queue_name=f"q{uuid4().hex}", max_retries=0)
    def resize(job: Resize) -> None:
        got.append(job)

    return resize, got


def test_the_message_holds_plain_json_and_the_function_gets_the_model(broker: dramatiq.Broker) -> None:
    """A model sent is JSON in the queue and the same model in the function."""
    resize, got = declare(broker)
    job = Resize(image_id=uuid4(), at=datetime.fromisoformat("2026-01-02T03:04:05+02:00"), sizes=(1, 2))

    resize.send(job)

    (message,) = stored(broker, resize.queue_name)
    assert message.args == (job.model_dump(mode="json"),)
    work(broker, resize.queue_name)
    assert got == [job]


def test_a_mapping_is_as_good_as_the_model(broker: dramatiq.Broker) -> None:
    """What a script has as JSON data is checked and filled with defaults just the same."""
    resize, got = declare(broker)
    image_id = uuid4()

    broker.get_actor("resize").send({"image_id": str(image_id)})

    (message,) = stored(broker, resize.queue_name)
    assert message.args[0]["sizes"] == []
    work(broker, resize.queue_name)
    assert got == [Resize(image_id=image_id)]


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        ({}, "image_id"),
        ({"image_id": "not-a-uuid"}, "image_id"),
        ({"image_id": str(uuid4()), "size": 3}, "size"),
        ({"image_id": str(uuid4()), "sizes": [1, 2, 3, 4]}, "sizes"),
        ({"image_id": str(uuid4()), "sizes": ["1"]}, "sizes.0"),
        ([], "payload"),
        ({"image_id": object()}, "payload"),
        ({"image_id": str(uuid4()), "sizes": [float("nan")]}, "payload"),
    ],
)
def test_a_payload_that_does_not_fit_is_refused_in_the_callers_face(
    broker: dramatiq.Broker, payload: object, path: str
) -> None:
    """`send` raises with the path of the field, and nothing is in the queue."""
    resize, _ = declare(broker)

    with pytest.raises(InvalidPayload) as caught:
        broker.get_actor("resize").send(payload)

    assert [fault.path for fault in caught.value.faults] == [path]
    assert stored(broker, resize.queue_name) == []


def test_too_few_or_too_many_values_are_refused(broker: dramatiq.Broker) -> None:
    """A contract is sent as the one thing it is."""
    declare(broker)

    with pytest.raises(InvalidPayload, match="send one Resize, not 2 values"):
        broker.get_actor("resize").send({}, {})
    with pytest.raises(InvalidPayload, match="send one Resize, not 0 values"):
        broker.get_actor("resize").send()


def test_a_keyword_is_taken_as_the_payload(broker: dramatiq.Broker) -> None:
    """`send(job=...)` stores the same message as `send(...)`."""
    resize, got = declare(broker)
    job = Resize(image_id=uuid4())

    broker.get_actor("resize").send(job=job)

    work(broker, resize.queue_name)
    assert got == [job]


def test_refusals_never_quote_the_value(broker: dramatiq.Broker) -> None:
    """A secret in the wrong place is not repeated by the error."""
    declare(broker)

    with pytest.raises(InvalidPayload) as caught:
        broker.get_actor("resize").send({"image_id": "hunter2", "token": 5})

    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_payload_over_the_size_limit_is_refused(broker: dramatiq.Broker) -> None:
    """The limit counts bytes of JSON, and the error says what to do instead."""
    declare(broker)

    with pytest.raises(InvalidPayload, match="store it and send its id"):
        broker.get_actor("resize").send({"image_id": str(uuid4()), "token": "ü" * 500_001})


def test_a_message_that_bypassed_the_guard_is_refused_when_it_is_performed(broker: dramatiq.Broker) -> None:
    """Whoever writes to the queue directly cannot make the function see bad input."""
    resize, got = declare(broker)
    message = resize.message(Resize(image_id=uuid4()))
    forged = message.copy(args=({"image_id": "x"},))

    with pytest.raises(InvalidPayload):
        resize.fn(*forged.args)

    assert got == []


def test_actors_without_a_contract_are_left_untouched(broker: dramatiq.Broker) -> None:
    """Other actors take what they always took."""
    queue, got = f"q{uuid4().hex}", []

    @dramatiq.actor(broker=broker, queue_name=queue)
    def add(x: int, y: int) -> None:
        got.append(x + y)

    @dramatiq.actor(broker=broker, queue_name=queue)
    def echo(x: int) -> None:
        got.append(x)

    add.send(1, 2)
    echo.send(7)

    work(broker, queue)
    assert sorted(got) == [3, 7]


def test_actors_declared_before_the_guard_are_checked_too() -> None:
    """It does not matter whether the guard or the actor comes first."""
    broker = StubBroker()
    got: list[Resize] = []

    @dramatiq.actor(broker=broker)
    def late(job: Resize) -> None:
        got.append(job)

    broker.add_middleware(Contracts())

    with pytest.raises(InvalidPayload):
        broker.get_actor("late").send({"image_id": 1})
    late.send(Resize(image_id=uuid4()))
    work(broker, "default")
    assert len(got) == 1


def test_an_actor_that_is_called_like_a_function_answers_like_one(broker: dramatiq.Broker) -> None:
    """With a model, or with what would be one."""

    @dramatiq.actor(broker=broker, queue_name=f"q{uuid4().hex}")
    def count(job: Resize) -> int:
        return len(job.sizes)

    job = Resize(image_id=uuid4(), sizes=(1, 2))
    assert count(job) == broker.get_actor("count")(job.model_dump(mode="json")) == 2


def test_a_nonsensical_limit_is_refused_when_the_guard_is_made() -> None:
    """The mistake is named where it was made."""
    with pytest.raises(ValueError, match="max_payload_bytes must be at least 1, not 0"):
        Contracts(max_payload_bytes=0)
    with pytest.raises(ValueError, match="hold_ms must be at least 1, not 0"):
        Contracts(hold_ms=0)
    with pytest.raises(ValueError, match=r"hold_max_ms must be at least hold_ms \(2\), not 1"):
        Contracts(hold_ms=2, hold_max_ms=1)


class Login(BaseModel):
    """A contract with secrets, also in lists and below others."""

    token: SecretStr
    more: list[SecretStr] = []
    inner: "Login | None" = None


def test_secrets_reach_the_job(bare_broker: dramatiq.Broker) -> None:
    """Pydantic writes asterisks for them; the message carries what the job needs."""
    bare_broker.add_middleware(Contracts())
    queue, got = f"q{uuid4().hex}", []

    @dramatiq.actor(broker=bare_broker, queue_name=queue)
    def login(job: Login) -> None:
        got.append(job)

    job = Login(token=SecretStr("a"), more=[SecretStr("b")], inner=Login(token=SecretStr("c")))
    login.send(job)
    login.send({"token": "a", "more": ["b"], "inner": {"token": "c"}})  # type: ignore[arg-type]
    work(bare_broker, queue)

    assert got == [job, job]


class Note(BaseModel):
    """Any text."""

    model_config = ConfigDict(strict=True)

    text: str
    at: datetime


#: Before 1972 some zones were off by seconds, which ISO 8601 cannot say.
MOMENTS = st.datetimes(min_value=datetime(1972, 1, 8), timezones=st.timezones())  # noqa: DTZ001


@given(text=st.text(st.characters(exclude_categories=["Cs"])), at=MOMENTS)
def test_every_model_survives_the_queue(text: str, at: datetime) -> None:
    """What is sent is what arrives, whatever is in it."""
    broker = StubBroker(middleware=[Contracts()])
    got: list[Note] = []

    @dramatiq.actor(broker=broker)
    def note(job: Note) -> None:
        got.append(job)

    note.send(Note(text=text, at=at))

    (message,) = stored(broker, "default")
    note.fn(*message.args)
    # In UTC, since Python holds moments in the fold of a zone equal to nothing in another.
    assert [(each.text, each.at.astimezone(UTC)) for each in got] == [(text, at.astimezone(UTC))]
