"""Messages for the outbox: the same as those that `actor.send` makes, and what a relay needs besides."""

from uuid import UUID, uuid4

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from opentelemetry.sdk.trace import TracerProvider
from pydantic import SecretStr

from app.bootstrap.worker.outbox import MessageEncoder, broker_sender
from domain.errors import InvalidInput
from middleware import Contracts, DeadLetters, Deadlines, Guard, GuardError, Retries, Tracing
from middleware.dead_letters.memory import MemoryDeadLetterStore
from tests.adapters.outbox.letters import Letter, a_broker
from tests.middleware.brokers import replace_stack, stored

ORG = uuid4()


def encoded(
    broker: StubBroker, actor_name: str = "deliver", payload: object = None, **options: object
) -> "dramatiq.Message[None]":
    """What the outbox would hold."""
    contract = payload if payload is not None else Letter(org_id=ORG, number=1, seal=SecretStr("wax"))
    encode = MessageEncoder(lambda: broker)
    made = encode(actor_name, contract, message_id=uuid4(), options=options)  # type: ignore[arg-type]
    return dramatiq.Message.decode(made.data)


def test_it_is_what_send_would_have_made() -> None:
    """Model or mapping, the payload is the same plain JSON, secrets that the job needs included."""
    broker = a_broker()
    letter = Letter(org_id=ORG, number=1, seal=SecretStr("wax"))
    broker.get_actor("deliver").send(letter)
    (sent,) = stored(broker, "default")
    plain = {"org_id": str(ORG), "number": 1, "seal": "wax"}
    assert encoded(broker, payload=letter).args == encoded(broker, payload=plain).args == sent.args


def test_an_actor_without_a_contract_gets_what_it_takes() -> None:
    """Nothing for one that takes nothing; data that is not JSON is refused at the door."""
    broker = a_broker()

    @dramatiq.actor(broker=broker)
    def tick() -> None: ...

    @dramatiq.actor(broker=broker)
    def take(anything: object) -> None: ...

    encode = MessageEncoder(lambda: broker)
    made = encode("tick", None, message_id=UUID(int=1), options={})
    assert (dramatiq.Message.decode(made.data).args, made.org_id) == ((), None)
    assert encoded(broker, "take", {"org_id": str(ORG), "a": 1}).args == ({"org_id": str(ORG), "a": 1},)
    with pytest.raises(InvalidInput, match="not plain JSON"):
        encoded(broker, "take", {"a": object()})
    with pytest.raises(InvalidInput, match="must be a UUID"):
        encoded(broker, "take", {"org_id": "acme"})


class _NoSundays(Guard):
    """A guard that looks at what a message says, unless it is told that it takes something."""

    checks_payload = True

    def check(self, broker: dramatiq.Broker, message: "dramatiq.Message[object]", delay: int | None) -> None:
        raise GuardError("not on a Sunday")


class _Turnstile(_NoSundays):
    checks_payload = False


def test_every_guard_that_only_looks_at_the_payload_is_asked() -> None:
    """Where the caller can be told; those that take something are asked when the message is sent."""
    broker = a_broker()
    broker.add_middleware(_Turnstile())
    encoded(broker)

    broker.add_middleware(_NoSundays())
    with pytest.raises(InvalidInput, match="not on a Sunday"):
        encoded(broker)


def test_an_actor_that_is_never_idempotent_stays_so() -> None:
    """Its own word counts; every other message is marked, so that it runs once when it is sent twice."""
    broker = StubBroker()
    replace_stack(broker, Contracts(), _Idempotent())

    @dramatiq.actor(broker=broker, idempotent=False)
    def repeat() -> None: ...

    @dramatiq.actor(broker=broker)
    def once() -> None: ...

    encode = MessageEncoder(lambda: broker)
    marked = {
        name: dramatiq.Message.decode(encode(name, None, message_id=uuid4(), options={}).data).options
        for name in ("repeat", "once")
    }
    assert marked == {"repeat": {}, "once": {"idempotent": True}}


def test_the_trace_begins_where_it_is_decided() -> None:
    """The message joins the trace that is current, and the relay's send continues that one."""
    provider = TracerProvider()
    broker = StubBroker()
    replace_stack(broker, Tracing(tracer_provider=provider), Contracts())

    @dramatiq.actor(broker=broker)
    def deliver(letter: Letter) -> None: ...

    encode = MessageEncoder(lambda: broker)
    with provider.get_tracer("test").start_as_current_span("decide") as span:
        made = encode("deliver", Letter(org_id=ORG, number=1), message_id=uuid4(), options={})
    trace_id = f"{span.get_span_context().trace_id:032x}"
    assert dramatiq.Message.decode(made.data).options["traceparent"].split("-")[1] == trace_id
    broker_sender(broker)(made.data)
    (sent,) = stored(broker, "default")
    assert sent.options["traceparent"].split("-")[1] == trace_id


def test_whoever_makes_it_says_where_its_secrets_are() -> None:
    """An older relay would not know, and a dead letter must not show them."""
    broker = StubBroker()
    replace_stack(broker, DeadLetters(MemoryDeadLetterStore()), Contracts())

    @dramatiq.actor(broker=broker)
    def deliver(letter: Letter) -> None: ...

    assert "seal" in str(encoded(broker).options["secret_paths"])


def test_options_that_guards_refuse_are_refused_at_the_door() -> None:
    """Not again and again in a relay."""
    broker = StubBroker()
    replace_stack(broker, Contracts(), Deadlines(), Retries())

    @dramatiq.actor(broker=broker)
    def deliver(letter: Letter) -> None: ...

    with pytest.raises(InvalidInput, match="time_limit"):
        encoded(broker, time_limit="soon")


class _Idempotent(dramatiq.Middleware):
    @property
    def actor_options(self) -> set[str]:
        return {"idempotent"}
