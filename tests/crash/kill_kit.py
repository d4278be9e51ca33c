"""Kills a job's worker after each of its steps in turn, lets another one take over, and asks what there is then."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import BoundedSemaphore
from typing import Any, Literal

import redis
from sqlalchemy import Engine, select

from adapters.database.engine import create_engine
from adapters.database.tables import job_attempts, publishing_dlq
from adapters.database.unit_of_work import SystemUnitOfWork
from app.settings import as_environment
from tests.databases import Database

ROOT = Path(__file__).resolve().parents[2]

#: Points worked at once, each in a world of its own: most of the time is waiting for a redelivery.
SLOTS = 4


@dataclass(frozen=True)
class Slot:
    """A world of its own: database, Redis, folder, and a process that works jobs in it."""

    engine: Engine
    home: Path
    client: "redis.Redis"
    host: "subprocess.Popen[str]"

    def ask(self, **command: object) -> dict[str, Any]:
        """Have the host do something, to its end."""
        assert self.host.stdin is not None
        assert self.host.stdout is not None
        self.host.stdin.write(json.dumps(command) + "\n")
        self.host.stdin.flush()
        row = self.host.stdout.readline()
        assert row, f"the host ended with {self.host.wait()}"
        answer: dict[str, Any] = json.loads(row)
        return answer


@dataclass(frozen=True)
class Case:
    """One job, and what to ask about it. Both raise when something is wrong."""

    #: The contract as JSON; None for a job without one.
    payload: Mapping[str, object] | None
    #: Right after the worker died: is it all, or nothing?
    half_way: Callable[[], None]
    #: After another worker took over, and after a frozen one woke up: is it all there, once?
    afterwards: Callable[[], None]


@contextmanager
def slots(
    new_database: Callable[[], Database], redis_url: str, folder: Path, settings: Mapping[str, object]
) -> Iterator[list[Slot]]:
    """Worlds with a migrated database, a Redis database and a home each.

    Parameters:
        new_database: makes empty databases.
        redis_url: of a server that nobody else uses, ending in its database's number.
        folder: homes go below it.
        settings: by field name, for the hosts, on top of these.
    """
    from adapters.database.migrate import upgrade

    with ExitStack() as closing:
        made = []
        for number in range(SLOTS):
            database = new_database()
            upgrade(database.owner_url)
            home = folder / str(number)
            home.mkdir()
            url = f"{redis_url.removesuffix('0')}{number}"
            engine = create_engine(database.worker_url, pool_size=2)
            closing.callback(engine.dispose)
            client = closing.enter_context(redis.Redis.from_url(url))
            values = {"database_url": database.worker_url, "redis_url": url, "home": str(home), **settings}
            host = closing.enter_context(_host({**os.environ, **as_environment(values)}, home / "host.log"))
            made.append(Slot(engine, home, client, host))
        yield made


def kill_everywhere(
    worlds: Sequence[Slot],
    actor: str,
    prepare: Callable[[Slot], Case],
    *,
    how: Literal["kill", "freeze"] = "kill",
) -> list[str]:
    """Work the job once for each of its steps, ending its worker right after that one; the steps it has.

    Parameters:
        worlds: where.
        actor: of the job.
        prepare: fills a world with what one job needs; called for each kill point.
        how: kill the worker, or freeze it, have the job worked by another one, and let it wake up.
    """
    free: SimpleQueue[Slot] = SimpleQueue()
    for world in worlds:
        free.put(world)
    most = BoundedSemaphore(len(worlds))

    def at(point: int | None) -> list[str]:
        with most:
            world = free.get()
            try:
                return _one(world, actor, prepare(world), point, how)
            except Exception as error:
                error.add_note(f"{actor}, {how} after step {point}")
                error.add_note(_what_happened(world))
                raise
            finally:
                world.client.flushdb()
                free.put(world)

    steps = at(None)
    with ThreadPoolExecutor(len(worlds)) as pool:
        # One more than there are: the job is done by then, and stays so.
        for _ in pool.map(at, range(1, len(steps) + 2)):
            pass
    return steps


def _one(world: Slot, actor: str, case: Case, point: int | None, how: str) -> list[str]:
    answer = world.ask(do="run", actor=actor, payload=case.payload, at=point, how=how)
    if answer["ended"] == "killed":
        case.half_way()
    if answer["ended"] in ("killed", "frozen"):
        recovered = world.ask(do="recover", actor=actor)
        assert recovered["ended"] == "done", recovered
        case.afterwards()
    if answer["ended"] == "frozen":
        answer = world.ask(do="thaw")
        assert answer["ended"] == "done", answer
    elif answer["ended"] != "killed":
        assert answer["ended"] == "done", answer
    case.afterwards()
    return list(answer.get("steps", ()))


def _what_happened(world: Slot) -> str:
    """The last attempts and dead letters, newest first, for whoever reads a failure."""
    reported = []
    for table, at in (
        (job_attempts, job_attempts.c.started_at),
        (publishing_dlq, publishing_dlq.c.created_at),
    ):
        with SystemUnitOfWork(world.engine) as unit:
            found = unit.connection.execute(select(table).order_by(at.desc()).limit(8)).mappings()
            reported += [f"{table.name}: {dict(row)}" for row in found]
    return "\n".join(reported)


@contextmanager
def _host(environment: Mapping[str, str], log: Path) -> Iterator["subprocess.Popen[str]"]:
    with log.open("w") as errors:
        host = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.kill_host"],
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        try:
            yield host
        finally:
            os.killpg(host.pid, 9)
            host.communicate()
