"""`python -m app jobs`: what it prints for people and for scripts, and its exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
import redis

from app.bootstrap.redis import NAMESPACE
from app.cli.jobs import jobs
from app.control import OperatorsOnly
from app.output import CommandError
from domain.errors import InvalidInput, NotFound
from middleware.progress.guard import JobProgress
from middleware.progress.redis import RedisProgressStore
from tests.app.cli.commands import Commands, as_operator
from tests.app.control.attempts import put_attempt
from tests.broker.workers import stored
from tests.databases import Database
from tests.middleware.own_server import own_valkey

#: Each goes through servers and the whole command line; what the API promises is tested fast.
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]


def test_jobs_are_listed_the_newest_first(commands: Commands) -> None:
    """Page by page; text that looks like markup is shown as it is."""
    kept = [
        put_attempt(commands.engine, commands.org_id, at_s=at, outcome="parked", cause=f"no [/markup] {at}")
        for at in range(3)
    ]
    put_attempt(commands.engine, commands.org_id, at_s=9, outcome="failed")

    page = commands.json(jobs, "list", "--state", "parked", "--limit", "2")

    assert [row["id"] for row in page] == [kept[2].message_id, kept[1].message_id]
    assert page[0].keys() >= {"state", "actor", "queue", "org", "started_at", "worker", "cursor"}
    (last,) = commands.json(jobs, "list", "--state", "parked", "--after", page[1]["cursor"])
    assert last["id"] == kept[0].message_id
    people = commands.run(jobs, "list", "--limit", "4").output
    assert "no [/markup] 2" in people
    assert "2026-03-01 12:00:02Z" in people
    assert "More: --after" in people
    assert "No jobs." in commands.run(jobs, "list", "--actor", uuid4().hex).output


def test_a_job_is_shown_whole(commands: Commands, engine_client: redis.Redis) -> None:
    """To people without what it has not, to scripts everything."""
    job_id = str(uuid4())
    put_attempt(
        commands.engine,
        commands.org_id,
        message_id=job_id,
        outcome="retried",
        error_category="network",
        error_class="builtins.OSError",
    )
    put_attempt(commands.engine, commands.org_id, message_id=job_id, at_s=9, attempt=2, outcome="running")
    row = JobProgress(
        message_id=job_id,
        org=str(commands.org_id),
        actor="resize",
        queue="images",
        state="running",
        percent=40,
        note="[bold]rows[/]",
    )
    RedisProgressStore(engine_client).write([row])

    shown = commands.json(jobs, "show", job_id)
    people = commands.run(jobs, "show", job_id).output

    assert [each["outcome"] for each in shown["attempts"]] == ["retried", "running"]
    assert (shown["state"], shown["progress"]["percent"]) == ("running", 40)
    assert "40 % [bold]rows[/]" in people
    assert "builtins.OSError" in people
    assert "host:7" in people
    assert "dead letter" not in people


def test_a_job_is_cancelled_and_that_taken_back(commands: Commands) -> None:
    """Both with a reason, which is kept."""
    job_id = put_attempt(commands.engine, commands.org_id, outcome="running").message_id

    asked = commands.json(jobs, "cancel", job_id, "--reason", "sent twice")
    (listed,) = commands.json(jobs, "requests")
    taken = commands.json(jobs, "withdraw", job_id, "--reason", "wrong one")

    assert asked == {"request_id": listed["request_id"]}
    assert (listed["job_id"], listed["org"]) == (job_id, str(commands.org_id))
    assert 0 < listed["in_force_for_s"] <= 86_400
    assert taken == {"withdrawn": asked["request_id"], "request_id": asked["request_id"]}
    assert commands.audited("jobs.cancel", job_id) == [("sent twice", commands.org_id)]
    assert commands.audited("jobs.withdraw", job_id) == [("wrong one", commands.org_id)]


def test_many_are_cancelled_by_filter(commands: Commands) -> None:
    """All of an org's, or fewer."""
    every = commands.json(jobs, "cancel", "--all", "--reason", "start over")
    some = commands.run(jobs, "cancel", "--all", "--actor", "resize", "--queue", "images", "--reason", "why")

    rows = commands.json(jobs, "requests")
    assert rows[0]["request_id"] == every["request_id"]
    assert [(each["actor"], each["queue"]) for each in rows] == [(None, None), ("resize", "images")]
    assert f"jobs withdraw {rows[1]['request_id']}" in some.output
    assert "images" in commands.run(jobs, "requests").output


def test_another_orgs_job_is_not_found(commands: Commands) -> None:
    """In the same words as one that is not there; an operator finds it, and leaves a trace."""
    job_id = put_attempt(commands.engine, commands.other_id, outcome="running").message_id
    reason = uuid4().hex

    for command in (("show",), ("cancel", "--reason", "why"), ("withdraw", "--reason", "why")):
        theirs = commands.run(jobs, command[0], job_id, *command[1:])
        nobodys = commands.run(jobs, command[0], "x", *command[1:])
        assert isinstance(theirs.exception, NotFound | CommandError)
        assert str(theirs.exception).replace(job_id, "x") == str(nobodys.exception)
    shown = commands.json(jobs, "show", job_id, as_=as_operator(reason))

    assert shown["org"] == str(commands.other_id)
    assert commands.audited("jobs.show", job_id) == [(reason, None)]


@pytest.mark.parametrize(
    "arguments",
    [
        ("cancel",),
        ("cancel", "x", "--all"),
        ("cancel", "x", "--actor", "resize"),
        ("list", "--limit", "1001"),
        ("list", "--state", "lost"),
        ("enqueue", "domain_export", "{}", "--delay-ms", "-1"),
    ],
    ids=" ".join,
)
def test_a_mistake_is_exit_code_2(commands: Commands, arguments: tuple[str, ...]) -> None:
    """Nothing is done."""
    assert commands.run(jobs, *arguments, "--reason", "why").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("list", "--after", "yesterday"), "the cursor that the page before ended with"),
        (("enqueue", "domain_export", "{"), "is not JSON"),
        (("enqueue", "domain_export", "[]"), "a JSON object"),
    ],
)
def test_what_cannot_be_used_is_one_row(commands: Commands, arguments: tuple[str, ...], says: str) -> None:
    """That says what would do."""
    result = commands.run(jobs, *arguments, "--reason", "why")

    assert isinstance(result.exception, CommandError | InvalidInput)
    assert says in str(result.exception)


@pytest.fixture
def engine_client(commands: Commands) -> redis.Redis:
    """Of the Redis that the commands use."""
    return redis.Redis.from_url(os.environ["REDIS_URL"])


def test_a_job_is_sent(commands: Commands, database: Database, tmp_path: Path) -> None:
    """In a process of its own: for the org, checked against the contract; refusals are exit code 1."""
    domain_id, other = str(uuid4()), {"org_id": str(commands.other_id)}
    with own_valkey() as server:
        environment = {
            **os.environ,
            "DATABASE_URL": database.worker_url,
            "REDIS_URL": server.url,
            "PRESSROOM_HOME": str(tmp_path),
        }

        def enqueue(actor: str, payload: dict[str, str], *, stdin: bool = False) -> tuple[int, str, str]:
            text = json.dumps(payload)
            command = [
                sys.executable,
                "-m",
                "app",
                "jobs",
                "enqueue",
                actor,
                "-" if stdin else text,
                "--json",
            ]
            done = subprocess.run(
                [*command, "--org", str(commands.org_id), "--reason", "ticket"],
                cwd=ROOT,
                env=environment,
                input=text if stdin else "",
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            return done.returncode, done.stdout, done.stderr

        code, output, errors = enqueue("domain_export", {"domain_id": domain_id, "format": "csv"}, stdin=True)
        assert code == 0, errors
        foreign = enqueue("domain_export", {"domain_id": domain_id, "format": "csv", **other})
        wrong = enqueue("domain_export", {"domain_id": domain_id, "format": "docx"})
        platforms = enqueue("database_maintenance", {})
        with redis.Redis.from_url(server.url) as client:
            queued = stored(client, NAMESPACE, "exports")

    assert [each["message_id"] for each in queued] == [json.loads(output)["job_id"]]
    assert queued[0]["args"][0]["org_id"] == str(commands.org_id)
    assert (foreign[0], wrong[0], platforms[0]) == (1, 1, 1)
    assert "not found" in foreign[2]
    assert "format:" in wrong[2]
    assert str(OperatorsOnly("enqueueing database_maintenance"))[:40] in platforms[2]
