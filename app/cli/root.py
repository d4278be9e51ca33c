"""The command line: `python -m app --help`."""

import json
import sys
from dataclasses import asdict
from enum import IntEnum
from pathlib import Path
from typing import Annotated

import typer

from app.cli.breakers import breakers
from app.cli.dlq import dlq
from app.cli.drain import drain_dramatiq
from app.cli.jobs import jobs
from app.cli.orgs import orgs
from app.cli.queues import queues
from app.cli.schedules import schedule
from app.cli.targets import targets
from app.cli.transfers import transfers
from app.cli.workers import workers
from app.output import CommandError, fail, out, show
from app.settings import Settings, SettingsError, load_settings, masked, variable

cli = typer.Typer(
    name="python -m app",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Pressroom: the background work of a multi-tenant content platform.",
    epilog="Settings come from the environment; `settings` lists them, `doctor` says what is missing.",
)

queues.command(
    "drain-stock",
    epilog='Example: python -m app queues drain-stock --follow --operator --reason "off the old broker"',
)(drain_dramatiq)
cli.add_typer(jobs, name="jobs")
cli.add_typer(queues, name="queues")
cli.add_typer(workers, name="workers")
cli.add_typer(orgs, name="orgs")
cli.add_typer(breakers, name="breakers")
cli.add_typer(schedule, name="schedule")
cli.add_typer(dlq, name="dlq")
cli.add_typer(transfers, name="transfers")
cli.add_typer(targets, name="targets")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


class Exit(IntEnum):
    """What the exit code says."""

    OK = 0
    FAILED = 1
    USAGE = 2


@cli.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Stay up afterwards, until Ctrl-C.")] = False,
    picture: Annotated[Path | None, typer.Option(help="Save what was shown as an SVG picture.")] = None,
) -> None:
    """Start everything on embedded servers, send real jobs, show them live, check the results."""
    from app.dev.demo import run

    raise typer.Exit(run(keep=keep, picture=picture))


@cli.command()
def up() -> None:
    """Run servers, workers, scheduler and web endpoint in the foreground; Ctrl-C stops them cleanly.

    Embedded servers are used unless DATABASE_URL, DATABASE_OWNER_URL and REDIS_URL name your own.
    """
    from app.run.up import up as run

    raise typer.Exit(run())


@cli.command()
def worker(
    processes: Annotated[int | None, typer.Option(min=1, help="Worker processes.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Jobs each runs at once.")] = None,
    queue: Annotated[
        list[str] | None, typer.Option("--queues", help="A queue to work; may be repeated.")
    ] = None,
) -> None:
    """Check the environment, then work queues until SIGTERM; running jobs may end first.

    Exit code 0 after a clean stop, 79 to be started again at once, 1 for everything else.
    """
    from app.run.worker import UnknownQueue
    from app.run.worker import worker as run

    try:
        raise typer.Exit(run(processes=processes, threads=threads, queues=queue or ()))
    except UnknownQueue as error:
        raise typer.BadParameter(str(error), param_hint="--queues") from None


@cli.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)
def probe(context: typer.Context) -> None:
    """Say whether the worker processes of this home are well; --help lists its options."""
    from app.run.probe import main as run

    raise typer.Exit(run(context.args))


@cli.command()
def migrate(
    revision: Annotated[str, typer.Argument(help="Target revision.")] = "head",
    down: Annotated[
        bool, typer.Option("--down", help="Go back to the revision; `base` removes all.")
    ] = False,
) -> None:
    """Bring the schema to a revision, as the owner role."""
    from adapters.database.migrate import downgrade, upgrade

    settings = load_settings()
    if settings.database_owner_url is None:
        raise SettingsError(
            "DATABASE_OWNER_URL is not set and no `up` is running; migrations need the owner role"
        )
    move = downgrade if down else upgrade
    move(settings.database_owner_url.get_secret_value(), revision)
    out.print(f"The schema is at {revision}.")


@cli.command("settings")
def settings_(as_json: AsJson = False) -> None:
    """List every setting: its variable, its value (secrets hidden), whether it was set, what it is for."""
    settings = load_settings()
    rows: list[dict[str, object]] = [
        {
            "variable": variable(name),
            "value": _shown(settings, name),
            "set": name in settings.model_fields_set,
            "meaning": field.description,
        }
        for name, field in Settings.model_fields.items()
    ]
    show(rows, as_json=as_json, title="Settings")


@cli.command()
def doctor(as_json: AsJson = False) -> None:
    """Check versions, connections, roles, migrations, clocks and memory policy; say the fix for what is wrong."""
    from app.run.doctor import examine

    findings = examine(load_settings())
    show([asdict(finding) for finding in findings], as_json=as_json, title="Doctor")
    if any(finding.verdict == "broken" for finding in findings):
        raise typer.Exit(Exit.FAILED)


@cli.command()
def send(
    actor: Annotated[str, typer.Argument(help="Name of the actor, like domain_export.")],
    payload: Annotated[
        str, typer.Argument(help="The contract as JSON, or - for standard input; {} where there is none.")
    ] = "{}",
    delay_ms: Annotated[int, typer.Option(min=0, help="Start no sooner than this.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Check a payload against an actor's contract and enqueue it."""
    from app.cli.send import send_json

    text = sys.stdin.read() if payload == "-" else payload
    message = send_json(actor, text, delay_ms=delay_ms)
    if as_json:
        out.print_json(json.dumps({"message_id": message.message_id, "queue": message.queue_name}))
    else:
        out.print(f"Enqueued {actor} as {message.message_id} on queue {message.queue_name}.")


@cli.command()
def web(
    fd: Annotated[int | None, typer.Option(help="Serve on this inherited listening socket.")] = None,
) -> None:
    """Serve download links and /healthz."""
    from app.run.web import serve

    serve(load_settings(), fd=fd)


def main() -> None:
    """Run the command line; known errors become one line and exit code 1."""
    from app.embedded import EmbeddedServerError
    from domain.errors import JobError

    try:
        cli()
    except (SettingsError, EmbeddedServerError, CommandError, JobError) as error:
        fail(str(error))
        raise SystemExit(Exit.FAILED) from None


def _shown(settings: Settings, name: str) -> object:
    value = getattr(settings, name)
    if value is not None and variable(name) == name.upper():
        return masked(value.get_secret_value())
    return settings.model_dump(mode="json", include={name})[name]
