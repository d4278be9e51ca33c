"""The number of the key schema: who finds an older one converts it, who finds a newer one does not start."""

from uuid import uuid4

import dramatiq
import pytest
import redis

from app.embedded import Servers
from broker import FairRedisBroker, NewerSchema
from broker.schema import RELEASE, SCHEMA, Schema
from broker.scripts import Script

pytestmark = pytest.mark.slow


def _broker(client: "redis.Redis") -> FairRedisBroker:
    broker = FairRedisBroker(client=client, namespace=uuid4().hex)
    broker.declare_queue("default")
    return broker


def test_a_worker_leaves_its_number_on_the_server(raw: "redis.Redis") -> None:
    """With the first release that knows it, so that an older one can say what it needs."""
    broker = _broker(raw)
    worker = dramatiq.Worker(broker)

    worker.start()
    worker.stop()

    assert raw.get(f"{broker.base}:schema") == f"{SCHEMA} {RELEASE}".encode()


def test_a_worker_does_not_start_on_a_newer_schema(raw: "redis.Redis") -> None:
    """It would misread what stands there; the error says which release can read it."""
    broker = _broker(raw)
    raw.set(f"{broker.base}:schema", f"{SCHEMA + 1} 9.7.0")

    with pytest.raises(NewerSchema, match=rf"schema {SCHEMA + 1}, which needs release 9\.7\.0 or newer"):
        dramatiq.Worker(broker).start()


@pytest.mark.parametrize("decode", [False, True])
@pytest.mark.parametrize("value", ["", "soon", "-1 0.3.0", "99", b"\xff\xfe", None])
def test_a_number_that_cannot_be_read_is_taken_for_a_newer_one(
    servers: Servers, raw: "redis.Redis", value: str | bytes | None, decode: bool
) -> None:
    """Nothing is guessed about a server that some other release has written."""
    base = uuid4().hex
    if value is None:
        raw.hset(f"{base}:schema", "number", "1")
    else:
        raw.set(f"{base}:schema", value)

    with (
        redis.Redis.from_url(servers.redis_url, decode_responses=decode) as client,
        pytest.raises(NewerSchema, match="which needs a newer release"),
    ):
        Schema(client, base).check()


def test_the_number_never_falls(raw: "redis.Redis") -> None:
    """Two workers of different releases may convert at once; the newer one's number stays."""
    base = uuid4().hex
    raise_schema = Script("raise_schema")

    assert raise_schema(raw, base, [7, "0.7.0"]) == 1
    assert raise_schema(raw, base, [6, "0.6.0"]) == 0

    assert raw.get(f"{base}:schema") == b"7 0.7.0"


def test_a_first_message_is_not_sent_on_a_newer_schema(raw: "redis.Redis") -> None:
    """What was sent would be read by nobody; a process that sent before goes on, as it does not look again."""
    broker = _broker(raw)
    actor = dramatiq.actor(broker=broker, actor_name="work")(_nothing)
    raw.set(f"{broker.base}:schema", f"{SCHEMA + 1} 9.7.0")

    with pytest.raises(NewerSchema):
        actor.send()

    assert not raw.exists(f"{broker.base}:m")


def test_an_empty_server_gets_its_number_with_the_first_message(raw: "redis.Redis") -> None:
    """So the first worker has nothing to convert."""
    broker = _broker(raw)
    actor = dramatiq.actor(broker=broker, actor_name="work")(_nothing)

    actor.send()

    assert Schema(raw, broker.base).check() == SCHEMA


def test_what_an_older_release_left_is_not_taken_for_converted(raw: "redis.Redis") -> None:
    """A sender of this release may come before its first worker."""
    broker = _broker(raw)
    actor = dramatiq.actor(broker=broker, actor_name="work")(_nothing)
    raw.hset(f"{broker.base}:n", "default", 1)

    actor.send()

    assert Schema(raw, broker.base).check() == 1


def _nothing() -> None:
    pass
