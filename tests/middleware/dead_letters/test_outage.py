"""Dead letters while servers are really away: each is in the table in the end, once, without its secrets."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any
from uuid import UUID, uuid4

import dramatiq
import psycopg
import pytest
import redis
from dramatiq.middleware import AgeLimit
from pydantic import BaseModel, Field
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Engine

from adapters.database.dead_letters import SqlDeadLetters
from adapters.database.engine import create_engine
from adapters.database.migrate import upgrade
from app.embedded import postgres, valkey
from app.embedded.folders import ServerFolders, find_server_folders
from middleware import Contracts, Retries
from middleware.dead_letters.guard import DeadLetters
from middleware.dead_letters.letter import DeadLetter
from middleware.dead_letters.redis_spool import RedisDeadLetterSpool
from middleware.logs.guard import LogContext
from tests.folders import open_folder
from tests.middleware.attempt_outcomes import Faulty
from tests.middleware.brokers import replace_stack
from tests.middleware.dead_letters.sample_letters import put_raw
from tests.redis_server import other_server

pytestmark = pytest.mark.slow

#: Dramatiq repeats a rejection every five seconds; a mover tries every ten at most.
TIMEOUT_S = 60.0
SECRETS = {name: f"planted-{name}-{uuid4().hex}" for name in ("token", "text", "option", "later", "forged")}


class Publish(BaseModel):
    """A contract with a secret."""

    org_id: UUID
    token: Annotated[str, Field(json_schema_extra={"secret": True})] = ""


class Foreign(Exception):
    """An error that quotes its input."""


class Servers:
    """PostgreSQL and Valkey of the test's own; what they were told survives a stop."""

    def __init__(self, folders: ServerFolders) -> None:
        self.folders = folders
        self.start_valkey()
        self.start_postgres()
        postgres.create_database(folders, "letters")
        upgrade(postgres.url(folders, postgres.OWNER, "letters"))
        self.engine: Engine = create_engine(
            postgres.url(folders, postgres.WORKER, "letters"), connect_timeout_s=1
        )
        self.client = redis.Redis.from_url(valkey.url(folders), retry=Retry(NoBackoff(), 0))

    def start_postgres(self) -> None:
        postgres.ensure_running(self.folders, durable=True)

    def stop_postgres(self) -> None:
        postgres.stop(self.folders)

    def start_valkey(self) -> None:
        valkey.ensure_running(self.folders, durable=True, program=other_server())

    def stop_valkey(self) -> None:
        valkey.stop(self.folders)

    def rows(self) -> list[tuple[str, str, str]]:
        """Message, category and actor of every row there is."""
        query = "SELECT coalesce(message_id, ''), error_category, coalesce(actor, '') FROM publishing_dlq"
        with psycopg.connect(postgres.url(self.folders, postgres.SUPERUSER, "letters")) as connection:
            return connection.execute(query).fetchall()

    def files(self) -> Iterator[bytes]:
        """What both have on disk, logs included."""
        for folder in (self.folders.postgres, self.folders.valkey):
            for path in folder.rglob("*"):
                if path.is_file():
                    yield path.read_bytes()


@pytest.fixture
def own() -> Iterator[Servers]:
    """Servers that nobody else uses."""
    with open_folder() as folder:
        servers = Servers(find_server_folders(folder))
        try:
            yield servers
        finally:
            servers.client.close()
            servers.engine.dispose()
            servers.stop_postgres()
            servers.stop_valkey()


class World:
    """A broker on another server, its spool and store on the test's own, and an actor that fails."""

    def __init__(self, broker: dramatiq.Broker, own: Servers) -> None:
        self.broker = broker
        self.spool = RedisDeadLetterSpool(own.client)
        self.store = SqlDeadLetters(own.engine, DeadLetter.from_record)
        self.rejected = threading.Event()
        guard = DeadLetters(self.store, spool=self.spool, move_interval_ms=50, lease_ms=200)
        last = Retries(max_retries=0)
        replace_stack(broker, LogContext(), guard, Contracts(), AgeLimit(), last)
        self.queue = f"q{uuid4().hex}"
        self.ran = threading.Event()

        @dramatiq.actor(broker=broker, queue_name=self.queue)
        def publish(job: Publish) -> None:
            self.ran.set()
            raise Faulty("the site is away")

        @dramatiq.actor(broker=broker, queue_name=self.queue)
        def of_another_build(job: Publish) -> None: ...

        @dramatiq.actor(broker=broker, queue_name=self.queue, max_age=1)
        def old(job: Publish) -> None: ...

        self.publish, self.unknown, self.old = publish, of_another_build, old

    @contextmanager
    def working(self) -> Iterator[None]:
        """A worker runs as long as the context is."""
        worker = dramatiq.Worker(self.broker, worker_timeout=50, worker_threads=2)
        worker.start()
        try:
            yield
        finally:
            worker.stop()


def test_a_letter_is_in_the_table_once_postgres_is_back(bare_broker: dramatiq.Broker, own: Servers) -> None:
    """Until then it waits in the spool, also while the spool's server is restarted."""
    world = World(bare_broker, own)
    own.stop_postgres()

    with world.working():
        message = world.publish.send(Publish(org_id=uuid4()))
        until(lambda: world.spool.depth() == 1)
        own.stop_valkey()
        own.start_valkey()
        assert world.spool.depth() == 1
        own.start_postgres()
        until(lambda: world.spool.depth() == 0)

    assert own.rows() == [(message.message_id, "network", "publish")]


def test_a_letter_is_in_the_table_once_spool_and_postgres_are_back(
    bare_broker: dramatiq.Broker, own: Servers
) -> None:
    """Until then the message is not rejected: Dramatiq repeats that, on either broker, and keeps the worker."""
    world = World(bare_broker, own)
    own.stop_postgres()
    own.stop_valkey()

    with world.working():
        message = world.publish.send(Publish(org_id=uuid4()))
        assert world.ran.wait(TIMEOUT_S)
        own.start_valkey()
        until(lambda: world.spool.depth() == 1)
        own.start_postgres()
        until(lambda: world.spool.depth() == 0)
        # The thread that had to wait works on.
        second = world.publish.send(Publish(org_id=uuid4()))
        until(lambda: len(own.rows()) == 2)

    assert {row[0] for row in own.rows()} == {message.message_id, second.message_id}


def test_a_worker_that_stops_during_the_outage_leaves_the_letter_to_the_next(
    bare_broker: dramatiq.Broker, own: Servers
) -> None:
    """The spool is nobody's own."""
    world = World(bare_broker, own)
    own.stop_postgres()
    with world.working():
        message = world.publish.send(Publish(org_id=uuid4()))
        until(lambda: world.spool.depth() == 1)
    own.start_postgres()

    with world.working():
        until(lambda: world.spool.depth() == 0)

    assert own.rows() == [(message.message_id, "network", "publish")]


def test_whatever_is_given_up_during_the_outage_is_there_whole(
    bare_broker: dramatiq.Broker, own: Servers
) -> None:
    """An unknown actor, a message that is too old, bytes that are none: each once."""
    world = World(bare_broker, own)
    org = str(uuid4())
    unknown = world.unknown.send(Publish(org_id=UUID(org)))
    old = world.old.message(Publish(org_id=UUID(org))).copy(message_timestamp=1_000)
    bare_broker.enqueue(old)
    put_raw(bare_broker, world.queue, b"\x00\xff?")
    del bare_broker.actors["of_another_build"]
    own.stop_postgres()
    own.stop_valkey()

    with world.working():
        own.start_valkey()
        until(lambda: world.spool.depth() == 3)
        own.start_postgres()
        until(lambda: world.spool.depth() == 0)

    assert sorted(own.rows()) == sorted(
        [
            (unknown.message_id, "version", "of_another_build"),
            (old.message_id, "timeout", "old"),
            ("", "validation", ""),
        ]
    )
    letters = {letter.actor: letter for letter in world.store.of_every_org().list()}
    whole = {"args": [{"org_id": org, "token": ""}], "kwargs": {}}
    assert letters["of_another_build"].payload == letters["old"].payload == whole
    assert letters[None].raw == b"\x00\xff?"


def test_planted_secrets_are_found_nowhere(
    bare_broker: dramatiq.Broker, own: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in the files of spool and store, byte for byte, and not in a line of any log."""
    world = World(bare_broker, own)

    @dramatiq.actor(broker=bare_broker, queue_name=world.queue)
    def quotes(job: Publish) -> None:
        raise Foreign(f"{SECRETS['text']} {job.token}")

    job = Publish(org_id=uuid4(), token=SECRETS["token"])
    later = world.publish.message(Publish(org_id=uuid4(), token=SECRETS["later"])).asdict()
    options: dict[str, Any] = {
        "api_key": SECRETS["option"],
        "traceback": SECRETS["text"],
        "pipe_target": later,
    }
    own.stop_postgres()
    own.stop_valkey()

    with caplog.at_level(logging.DEBUG), world.working():
        quotes.send_with_options(args=(job,), **options)
        bare_broker.enqueue(
            quotes.message_with_options(kwargs={"token": SECRETS["forged"], "org_id": 5}, admitted=True)
        )
        world.unknown.send(job)
        del bare_broker.actors["of_another_build"]
        own.start_valkey()
        until(lambda: world.spool.depth() == 3)
        own.stop_valkey()
        spooled = b"".join(own.files())
        own.start_valkey()
        own.start_postgres()
        until(lambda: world.spool.depth() == 0)

    rows = own.rows()
    own.stop_postgres()
    kept = b"".join(own.files())
    assert len(rows) == 3
    for name, secret in SECRETS.items():
        assert secret.encode() not in spooled, name
        assert secret.encode() not in kept, name
        assert secret not in caplog.text, name
    # The search finds what is there.
    assert job.org_id.hex.encode() in spooled.replace(b"-", b"")
    assert str(job.org_id).encode() in kept
    assert "kept as dead letter" in caplog.text


def until(condition: Callable[[], bool]) -> None:
    """Wait for something to be so; a server that is away says it is not."""
    pause = threading.Event()
    for _ in range(int(TIMEOUT_S / 0.05)):
        if condition():
            return
        pause.wait(0.05)
    raise TimeoutError(f"not so within {TIMEOUT_S} s")
