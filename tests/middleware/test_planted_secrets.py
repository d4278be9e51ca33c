"""Secrets planted in payloads, errors and headers are nowhere in what the watching guards write, byte for byte."""

import io
import logging
import socket
from pathlib import Path
from typing import Any
from uuid import uuid4

import dramatiq
import redis
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry
from pydantic import BaseModel
from sqlalchemy import Engine, text

from adapters.database.history import SqlHistoryStore
from adapters.database.unit_of_work import SystemUnitOfWork
from middleware import Contracts, Parked
from middleware.history.guard import AttemptRecord, History
from middleware.history.redis import RedisHistoryStore
from middleware.history.results import record_result
from middleware.logs.guard import LogContext
from middleware.metrics.emf import EmfHandler
from middleware.metrics.guard import Metrics
from middleware.metrics.prometheus import PrometheusHandler
from middleware.metrics.statsd import StatsdHandler
from middleware.tracing import Tracing
from tests.middleware.attempt_outcomes import watched
from tests.middleware.brokers import work
from tests.middleware.logs.log_lines import configured
from tests.middleware.recorded_metrics import handling

IN_PAYLOAD = "planted-in-the-payload-7f3a"
IN_ERROR = "planted-in-the-error-91bc"
IN_HEADER = "planted-in-a-header-c4d2"
IN_CATEGORY = "planted-in-a-category-0e5d"
IN_RESULT = "planted-in-a-result-6b18"
SECRETS = (IN_PAYLOAD, IN_ERROR, IN_HEADER, IN_CATEGORY, IN_RESULT)


class Careless(Exception):
    """An error that tells everything, in every way an exception can."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.hint = IN_ERROR
        self.add_note(IN_ERROR)


class Miscategorised(Exception):
    """An error whose text is harmless and whose category is not."""

    category = IN_CATEGORY


class Job(BaseModel):
    """A contract with a secret in it."""

    org_id: str
    what: str
    password: str


def run(job: Job, attempts: dict[str, int]) -> None:
    """Fail, park, skip and retry, with a secret at hand."""
    attempts[job.what] = attempts.get(job.what, 0) + 1
    record_result({"password": IN_RESULT, "nested": [{"api_key": IN_RESULT}]})
    first = attempts[job.what] == 1
    if job.what == "failing":
        try:
            int(job.password + IN_ERROR)
        except ValueError as error:
            raise Careless(job.password, IN_ERROR) from error
    if job.what == "retried" and first:
        raise Miscategorised("no") from ExceptionGroup(IN_ERROR, [Careless(IN_PAYLOAD)])
    if job.what == "parked" and first:
        raise Parked("not now", delay_ms=1) from Careless(IN_ERROR)


def test_no_secret_gets_out(
    bare_broker: dramatiq.Broker, redis_client: redis.Redis, engine: Engine, tmp_path: Path
) -> None:
    """With every watching guard and handler on, on messages that fail, park, skip, retry, expire or are for nobody."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    prefix, queue, attempts = uuid4().hex, f"q{uuid4().hex}", dict[str, int]()
    in_redis, in_postgres = (
        RedisHistoryStore(redis_client, prefix=prefix),
        SqlHistoryStore(engine, AttemptRecord),
    )
    prometheus = PrometheusHandler(registry=CollectorRegistry())
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    server.setblocking(False)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    statsd = StatsdHandler("127.0.0.1", server.getsockname()[1])
    plain = io.StringIO()
    handler = logging.StreamHandler(plain)

    with configured() as lines, (tmp_path / "emf.log").open("w") as emf_stream:
        logging.getLogger().addHandler(handler)
        with handling(prometheus), handling(statsd), handling(EmfHandler(emf_stream)):
            watched(
                bare_broker,
                LogContext(),
                Tracing(tracer_provider=provider),
                Metrics(sample_every_s=0.01),
                History(in_redis),
                History(in_postgres),
                Contracts(),
            )

            @dramatiq.actor(broker=bare_broker, queue_name=queue, max_retries=1)
            def careful(job: Job) -> None:
                run(job, attempts)

            def send(what: str, **options: Any) -> None:
                payload = Job(org_id="acme", what=what, password=IN_PAYLOAD)
                careful.send_with_options(args=(payload,), authorization=IN_HEADER, **options)

            send("succeeding")
            send("failing", max_retries=0)
            send("retried")
            send("parked")
            send("skipped", skip_because="duplicate")
            send("delayed", delay=5, note={"token": IN_HEADER})
            bare_broker.enqueue(_forged(queue, "careful", {"password": IN_PAYLOAD}))
            bare_broker.enqueue(_forged(queue, "nobody", {"password": IN_PAYLOAD}))
            bare_broker.enqueue(
                _forged(queue, "careful", {}, eta=IN_HEADER, traceparent=IN_HEADER, retries=IN_HEADER)
            )
            work(bare_broker, queue)

    seen = {each.outcome for each in in_redis.recent(limit=1_000)}
    assert seen == {"succeeded", "failed", "retried", "parked", "skipped"}
    assert len(exporter.get_finished_spans()) >= 10
    assert "Received its arguments." in lines.text
    written = {
        "log": lines.text,
        "plain log": plain.getvalue(),
        "spans": "".join(span.to_json() for span in exporter.get_finished_spans()),
        "redis": repr(_everything(redis_client, prefix)),
        "postgres": _rows(engine, queue),
        "prometheus": prometheus.exposition().decode(),
        "statsd": b"\n".join(_datagrams(server)).decode(),
        "emf": (tmp_path / "emf.log").read_text(),
    }
    server.close()
    statsd.close()
    provider.shutdown()
    assert all(text for text in written.values())
    assert [(name, secret) for name, text in written.items() for secret in SECRETS if secret in text] == []


def _forged(queue: str, actor: str, payload: object, **options: object) -> "dramatiq.Message[object]":
    """What whoever writes into the queue directly can leave there."""
    return dramatiq.Message(
        queue_name=queue, actor_name=actor, args=(payload,), kwargs={}, options={"admitted": True, **options}
    )


def _everything(client: redis.Redis, prefix: str) -> list[object]:
    """All that is stored under a prefix."""
    server: Any = client
    keys = list(server.scan_iter(match=f"{{{prefix}:history}}:*"))
    return [
        (key, server.hgetall(key) if server.type(key) == b"hash" else server.zrange(key, 0, -1))
        for key in keys
    ]


def _rows(engine: Engine, queue: str) -> str:
    """All that the database has of a queue's attempts."""
    with SystemUnitOfWork(engine) as unit:
        rows = unit.connection.execute(
            text("SELECT job_attempts::text FROM job_attempts WHERE queue = :queue"), {"queue": queue}
        )
        return "\n".join(rows.scalars())


def _datagrams(server: socket.socket) -> list[bytes]:
    """What a server has received by now."""
    received = []
    while True:
        try:
            received.append(server.recv(65_536))
        except BlockingIOError:
            return received
