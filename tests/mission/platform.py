"""The platform as its users have it: sending jobs, the command line, HTTP, and what came out in database and files."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import psycopg
import redis
from psycopg.rows import dict_row

from .processes import Helper

ROOT = Path(__file__).resolve().parents[2]

#: Bounds on what no test should ever wait for.
TIMEOUT_S = 90.0
POLL_S = 0.05

#: Outcomes of an attempt after which there is no other by itself.
ENDS = ("succeeded", "failed", "skipped", "cancelled", "expired")

T = TypeVar("T")
#: A row of the database, or a JSON object.
Row = dict[str, Any]


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """What it printed for scripts."""
        assert self.code == 0, self.out + self.err
        return json.loads(self.out)


@dataclass(frozen=True)
class Org:
    """An org of a test's own, with one domain."""

    id: str
    domain_id: str

    def job(self, **fields: object) -> Row:
        """A payload about its domain."""
        return {"org_id": self.id, "domain_id": self.domain_id, **fields}

    def row(self, **fields: object) -> Row:
        """A row about its domain, with an id of its own."""
        return {"org_id": self.id, "domain_id": self.domain_id, "id": str(uuid4()), **fields}


class Platform:
    """A running `python -m app up`, and what one may do beside it.

    Parameters:
        environment: leads to it.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.home = Path(environment["PRESSROOM_HOME"])
        self._sender = Helper("sender", environment)
        self._commands = Helper("commands", environment)
        self._folder = Path(tempfile.mkdtemp(prefix="pressroom-commands-"))

    def start(self, *arguments: str, stdin: str = "") -> "Command":
        """Start `python -m app ...`."""
        folder = self._folder / uuid4().hex
        folder.mkdir()
        (folder / "in").write_text(stdin)
        self._commands.tell({"folder": str(folder), "arguments": arguments})
        return Command(folder, arguments)

    def run(self, *arguments: str) -> Ran:
        """Run `python -m app ...` to its end."""
        return self.start(*arguments).ended()

    def run_all(self, *commands: Sequence[str]) -> list[Ran]:
        """Run several at the same time."""
        return [each.ended() for each in [self.start(*command) for command in commands]]

    def run_with(self, settings: Mapping[str, str], *arguments: str) -> Ran:
        """Run `python -m app ...` with other settings."""
        done = subprocess.run(
            [sys.executable, "-m", "app", *arguments],
            cwd=ROOT,
            env={**self.environment, **settings},
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def shell(self, program: Path, *arguments: str) -> int:
        """Run a Python program beside the platform; its exit code."""
        path = {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(program), *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env={**self.environment, **path}, check=False, timeout=TIMEOUT_S
        )
        return done.returncode

    def send(self, actor: str, payload: Row | None = None, **options: object) -> str:
        """`actor.send(payload)` in an application beside the platform; the id of the job."""
        answer = self._sender.ask({"actor": actor, "payload": payload, "options": options})
        assert "refused" not in answer, answer
        return str(answer["message_id"])

    def refusal(self, actor: str, payload: Row | None = None) -> str:
        """With what error `actor.send(payload)` is refused in the caller's face."""
        answer = self._sender.ask({"actor": actor, "payload": payload, "options": {}})
        assert "refused" in answer, answer
        return str(answer["refused"])

    def sql(self, query: str, *values: object) -> list[Row]:
        """Rows of the platform's database, whichever org's."""
        with self.connection() as connection:
            cursor = connection.execute(query, values)
            return [] if cursor.description is None else cursor.fetchall()

    @contextmanager
    def connection(self) -> Iterator["psycopg.Connection[Row]"]:
        """A connection as the role that sees every org, each statement a transaction of its own."""
        known = json.loads((self.home / "run.json").read_text())
        with psycopg.connect(known["database_url"], autocommit=True, row_factory=dict_row) as connection:
            connection.execute("SET ROLE pressroom_system")
            yield connection

    def redis(self) -> "redis.Redis":
        """A client of the platform's Redis, to be closed."""
        url = json.loads((self.home / "run.json").read_text())["redis_url"]
        return redis.Redis.from_url(url, decode_responses=True)

    def insert(self, table: str, *rows: Row) -> list[Row]:
        """Put rows that have the same columns into a table."""
        names = list(rows[0])
        columns = ", ".join(f'"{name}"' for name in names)
        holders = ", ".join(["%s"] * len(names))
        with self.connection() as connection, connection.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO {table} ({columns}) VALUES ({holders})",
                [[row[name] for name in names] for row in rows],
            )
        return list(rows)

    def new_org(self) -> Org:
        """An org that nothing else uses."""
        org = Org(id=str(uuid4()), domain_id=str(uuid4()))
        self.insert("orgs", {"id": org.id, "name": "An org"})
        host = f"{org.domain_id}.example"
        self.insert("domain_registry", {"org_id": org.id, "id": org.domain_id, "host": host})
        return org

    def attempts(self, job_id: str) -> list[Row]:
        """What the history has of a job, the oldest first."""
        return self.sql("SELECT * FROM job_attempts WHERE message_id = %s ORDER BY started_at, id", job_id)

    def end_of(self, job_id: str) -> Row:
        """The last attempt of a job, once that has ended it."""

        def look() -> Row | None:
            return next((each for each in self.attempts(job_id) if each["outcome"] in ENDS), None)

        return until(look, f"job {job_id} to end")

    def result_of(self, job_id: str) -> Row:
        """What a job that succeeded recorded."""
        end = self.end_of(job_id)
        assert end["outcome"] == "succeeded", end
        result: Row = end["result"]
        return result

    @contextmanager
    def worker(self, *command: str, **settings: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Another worker beside `up`'s, with settings of its own; killed at the end unless the test stopped it.

        Parameters:
            command: what to run after `python -m`, like `app worker --queues content.eu`.
            settings: by variable.
        """
        folder = self._folder / uuid4().hex
        folder.mkdir()
        own = {"PRESSROOM_READY_DIR": str(folder / "ready")}  # not among those of `up`
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                env={**self.environment, **own, **settings},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield process
        except BaseException:
            sys.stdout.write((folder / "log").read_text()[-4_000:])  # beside the test's failure
            raise
        finally:
            kill(process)

    def close(self) -> None:
        """End what was started beside the platform."""
        self._sender.close()
        self._commands.close()
        shutil.rmtree(self._folder)


@dataclass(frozen=True)
class Command:
    """A command that was started."""

    folder: Path
    arguments: Sequence[str]

    def ended(self) -> Ran:
        """Wait for it to end by itself."""
        code, out, err = (self.folder / name for name in ("code", "out", "err"))
        until(code.exists, f"{self.arguments} to end", every_s=0.01)
        return Ran(int(code.read_text()), out.read_text(), err.read_text())


def kill(process: "subprocess.Popen[bytes]") -> None:
    """SIGKILL a process that leads a group, and all that it has started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def until(
    look: Callable[[], T | None], what: str, *, timeout_s: float = TIMEOUT_S, every_s: float = POLL_S
) -> T:
    """What `look` finds, as soon as it is anything.

    Parameters:
        look: falsy as long as it is not so.
        what: is waited for, as the failure says it.
        timeout_s: seconds after which the test fails.
        every_s: seconds between two looks.
    """
    never, end = threading.Event(), time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < end, f"waited {timeout_s} s for {what}"
        never.wait(every_s)
    return found
