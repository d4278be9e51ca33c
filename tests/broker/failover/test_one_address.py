"""Fail-overs behind one address: the server that was the primary lives on as a replica, with its connections."""

import time
from collections.abc import Callable
from contextlib import suppress
from uuid import uuid4

import dramatiq
import pytest
import redis
from dramatiq.errors import BrokerError, ConnectionClosed
from redis._parsers.base import BaseParser

from broker import FairRedisBroker
from broker.connection import NOT_SERVING, is_away
from broker.leasing.heartbeat import HeartbeatSender
from broker.leasing.heartbeat_address import Address as HeartbeatAddress
from middleware.pauses.pauses import Pause, PauseTarget
from middleware.pauses.redis import RedisPauseStore
from tests.broker.failover.address import Address, address
from tests.broker.failover.servers import Server, servers
from tests.broker.workers import started
from tests.middleware.eventually import eventually

slow = pytest.mark.slow

#: From the first refusal to the first success, in seconds.
BACK_S = 5.0
FAIL_OVERS = 10


@pytest.mark.parametrize("code", NOT_SERVING)
@pytest.mark.parametrize("form", ["{} what is wrong", "ERR Error running script (f): @user_script: 4: -{} a"])
def test_whoever_is_no_primary_is_away(code: str, form: str) -> None:
    """The answer of a command, and of one inside a script, on servers of every age."""
    assert is_away(BaseParser.parse_error(form.format(code)))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    "answer",
    ["ERR unknown command", "OOM command not allowed", "BUSYGROUP there", "ERR a: LOADING bay is full"],
)
def test_other_refusals_are_none_of_the_connection(answer: str) -> None:
    """Whatever their texts contain."""
    assert not is_away(BaseParser.parse_error(answer))  # type: ignore[no-untyped-call]


@slow
def test_sender_worker_and_helper_go_on_after_each_of_ten() -> None:
    """Nobody restarts anything; what was sent runs on the new primary."""
    ran: list[int] = []
    with servers(2, "--repl-diskless-sync-delay", "0") as (first, second), address(first.port) as name:
        second.replicate(first)
        broker = FairRedisBroker(url=name.url, namespace="tried", middleware=[])

        @dramatiq.actor(broker=broker)
        def job(number: int) -> None:
            ran.append(number)

        heartbeat, worker_id = HeartbeatSender(every_s=0.2), uuid4().hex
        with started(broker, threads=2), redis.Redis.from_url(name.url) as client:
            client.zadd(f"{broker.base}:workers", {worker_id: time.time() * 1_000})
            heartbeat.start(worker_id, broker.base, HeartbeatAddress.from_client(client))
            job.send(0)
            assert eventually(lambda: ran == [0])
            for number in range(1, FAIL_OVERS + 1):
                assert eventually(lambda: broker.do_qsize("default") == 0)
                old, new = (first, second) if number % 2 else (second, first)
                fail_over(name, old, new)
                moved_s = time.monotonic()
                assert returns(lambda number=number: job.send(number))  # type: ignore[misc]
                sent_s = time.monotonic()
                assert eventually(lambda number=number: number in ran)  # type: ignore[misc]
                ran_s = time.monotonic()
                assert eventually(lambda new=new: beats(new, broker.base, worker_id))  # type: ignore[misc]
                beaten_s = time.monotonic()
                assert max(sent_s, ran_s, beaten_s) - moved_s < BACK_S
        heartbeat.stop()
        broker.close()
    assert sorted(ran) == list(range(FAIL_OVERS + 1))


@slow
def test_what_a_demoted_server_answers_is_a_lost_connection() -> None:
    """Until the address leads elsewhere, senders are told in Dramatiq's own words, and never of a script."""
    with servers(2, "--repl-diskless-sync-delay", "0") as (first, second):
        broker = FairRedisBroker(url=first.url, middleware=[])
        job = dramatiq.actor(broker=broker)(_nothing)
        job.send()
        first.replicate(second)

        refused = [_outcome(job.send), _outcome(dramatiq.Worker(broker).start)]

        assert [type(each) for each in refused] == [ConnectionClosed, ConnectionClosed]

        broker.close()


@slow
def test_a_connection_to_a_demoted_server_is_not_kept() -> None:
    """Whoever is next makes a new one, which leads to where the address leads by then."""
    with servers(2, "--repl-diskless-sync-delay", "0") as (first, second):
        broker = FairRedisBroker(url=first.url, middleware=[])
        job = dramatiq.actor(broker=broker)(_nothing)
        job.send()
        first.replicate(second)

        with suppress(ConnectionClosed):
            job.send()

        assert [each for each in broker.client.connection_pool._available_connections if each._sock] == []
        broker.close()


@slow
@pytest.mark.parametrize("command", [("min-replicas-to-write", "1"), ("busy", "")])
def test_a_server_that_cannot_serve_now_is_one_that_is_away(command: tuple[str, str]) -> None:
    """It has done nothing of what it was asked; the same call works as soon as it can."""
    with servers(1) as (server,), server.client() as client:
        broker = FairRedisBroker(url=server.url, middleware=[])
        job = dramatiq.actor(broker=broker)(_nothing)
        job.send()
        if command[0] == "busy":
            client.config_set("busy-reply-threshold", 1)
            looping = redis.Redis(port=server.port)
            connection = looping.connection_pool.get_connection()
            connection.send_command("EVAL", "while true do end", 0)  # type: ignore[no-untyped-call]
            assert eventually(lambda: isinstance(_outcome(client.ping), redis.ResponseError))
        else:
            client.config_set(*command)

        with pytest.raises(ConnectionClosed):
            job.send()

        if command[0] == "busy":
            client.script_kill()
        else:
            client.config_set(command[0], 0)
        assert returns(job.send)
        broker.close()


@slow
def test_guards_stores_go_on_too() -> None:
    """They share the kind: a store's client leaves the demoted server with the first refusal."""
    with servers(2, "--repl-diskless-sync-delay", "0") as (first, second), address(first.port) as name:
        second.replicate(first)
        with redis.Redis.from_url(name.url) as client:
            store = RedisPauseStore(client, prefix="tried")
            store.put(Pause(what=PauseTarget(queue="a"), who="me"), for_ms=None)
            fail_over(name, first, second)

            store.put(Pause(what=PauseTarget(queue="b"), who="me"), for_ms=None)

            found = store.read(0)
    assert found is not None
    assert {each.what.queue for each in found.pauses} == {"a", "b"}


def fail_over(name: Address, old: Server, new: Server) -> None:
    """Have the replica, once it has all, take the primary's place, behind the same address."""
    with old.client() as client, client.client() as connection:
        connection.set("moved", 1)
        assert connection.wait(1, 10_000) == 1
    new.promote()
    old.replicate(new)
    name.to = new.port


def returns(send: Callable[[], object]) -> bool:
    """Whether a send returns before patience is at its end; until then it may only say that the server is away."""
    returned: list[object] = []

    def sent() -> bool:
        with suppress(ConnectionClosed):
            if not returned:
                returned.append(send())
        return bool(returned)

    return eventually(sent)


def beats(server: Server, base: str, worker_id: str) -> bool:
    """Whether a beat arrived there within the last second."""
    with server.client() as client:
        seconds, microseconds = client.time()
        score = client.zscore(f"{base}:workers", worker_id)
    return score is not None and score > seconds * 1_000 + microseconds / 1_000 - 1_000


def _outcome(call: Callable[[], object]) -> object:
    try:
        return call()
    except (redis.RedisError, BrokerError) as error:
        return error


def _nothing() -> None:
    pass
