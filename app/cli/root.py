"""The command line: `pressroom --help`, or `python -m app --help`."""

import sys
from dataclasses import asdict
from enum import IntEnum
from pathlib import Path
from typing import Annotated

import typer

import app.cli.drain  # noqa: F401  # adds `queues drain-dramatiq`
from app.cli.breakers import breakers
from app.cli.commands import AsJson, Wide, example_of
from app.cli.deprecated import answers_to
from app.cli.dlq import dlq
from app.cli.jobs import jobs
from app.cli.orgs import orgs
from app.cli.queues import queues
from app.cli.schedules import schedules
from app.cli.targets import targets
from app.cli.transfers import transfers
from app.cli.workers import workers
from app.output import CommandError, fail, out, show, show_json
from app.settings import Settings, SettingsError, load_settings, masked, variable
from middleware import __version__

cli = typer.Typer(
    name="pressroom",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Pressroom: the background work of a multi-tenant content platform.",
    epilog="Settings come from the environment; `settings` lists them, `doctor` says what is missing.",
)

for group in (jobs, queues, workers, orgs, breakers, schedules, dlq, transfers, targets):
    cli.add_typer(group)
answers_to(cli, schedules, "schedule", "schedules")


class Exit(IntEnum):
    """What the exit code says."""

    OK = 0
    FAILED = 1
    USAGE = 2


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"pressroom {__version__}", highlight=False)
        raise typer.Exit


@cli.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """See `cli`."""


@cli.command(epilog=example_of("demo --keep"))
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Stay up afterwards, until Ctrl-C.")] = False,
    picture: Annotated[Path | None, typer.Option(help="Save what was shown as an SVG picture.")] = None,
) -> None:
    """Start everything on embedded servers, send real jobs, show them live, check the results."""
    from app.dev.demo import run

    raise typer.Exit(run(keep=keep, picture=picture))


@cli.command(epilog=example_of("up"))
def up() -> None:
    """Run servers, workers, scheduler and web endpoint in the foreground; Ctrl-C stops them cleanly.

    Embedded servers are used unless DATABASE_URL, DATABASE_OWNER_URL and REDIS_URL name your own.
    """
    from app.run.up import up as run

    raise typer.Exit(run())


@cli.command(epilog=example_of("worker --processes 4 --queues exports --queues ideas"))
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


@cli.command(epilog=example_of("migrate", "migrate 0007 --down"))
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


@cli.command("settings", epilog=example_of("settings --json"))
def settings_(wide: Wide = False, as_json: AsJson = False) -> None:
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
    show(rows, as_json=as_json, title="Settings", wide=wide)


@cli.command(epilog=example_of("doctor"))
def doctor(wide: Wide = False, as_json: AsJson = False) -> None:
    """Check versions, connections, roles, migrations, clocks and memory policy; say the fix for what is wrong."""
    from app.run.doctor import examine

    findings = examine(load_settings())
    show([asdict(finding) for finding in findings], as_json=as_json, title="Doctor", wide=wide)
    if any(finding.verdict == "broken" for finding in findings):
        raise typer.Exit(Exit.FAILED)


@cli.command(
    epilog=example_of(
        'send domain_export \'{"org_id": "...", "domain_id": "...", "format": "csv"}\'',
        "send domain_export - < job.json",
    )
)
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
        show_json({"message_id": message.message_id, "queue": message.queue_name})
    else:
        out.print(f"Enqueued {actor} as {message.message_id} on queue {message.queue_name}.", soft_wrap=True)


@cli.command(epilog=example_of("web"))
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
