"""`python -m app queues drain-stock`: takes over what the platform sent while it still used Dramatiq's own broker."""

import json
from typing import Annotated

import typer
from dramatiq.errors import BrokerError

from adapters.database.audit import SqlAuditLog
from adapters.database.engine import create_engine
from app.bootstrap.redis import NAMESPACE
from app.cli.options import AsJson, AsOperator, Reason, caller_of
from app.output import CommandError, out
from app.settings import SettingsError, load_settings
from broker.drain.drain import Drained, ProgressPrinter, drain_all, inspect_all
from broker.drain.dramatiq_queues import DramatiqDrain


class DrainError(CommandError):
    """The server does not answer, or refuses; what was not moved is where it was."""


def drain_dramatiq(
    from_namespace: Annotated[str, typer.Option(help="What the other broker's keys begin with.")] = NAMESPACE,
    queue: Annotated[list[str] | None, typer.Option(help="Only this one; may be repeated.")] = None,
    dead: Annotated[bool, typer.Option("--dead", help="Dead letters too.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on until workers there hold nothing more.")
    ] = False,
    silent_s: Annotated[
        float | None,
        typer.Option(
            help="Also take what workers hold that have been silent for so long; Dramatiq's measure is 60."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is there.")] = False,
    operator: AsOperator = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Move jobs from Dramatiq's own Redis broker here, while its workers run; see docs/migrating.md. For operators."""
    caller = caller_of(None, operator, reason, changes=True)
    settings = load_settings()
    if settings.database_url is None:
        raise SettingsError("no database: set DATABASE_URL, or start `python -m app up`")
    import actors  # noqa: F401  # late: loading every job takes its time
    from app.broker import broker

    engine = create_engine(settings.database_url.get_secret_value(), pool_size=1, max_overflow=0)
    try:
        SqlAuditLog(engine).record(
            caller.who, "queues.drain_stock", " ".join(queue or ["*"]), reason=caller.reason
        )
    finally:
        engine.dispose()
    drain = DramatiqDrain(broker, namespace=from_namespace)
    drained = Drained()
    progress = ProgressPrinter(lambda text: typer.echo(text, err=True))
    try:
        if dry_run:
            drained = inspect_all(drain, queue or ())
        else:
            for drained in drain_all(drain, queues=queue or (), dead=dead, follow=follow, silent_s=silent_s):
                progress(drained)
    except BrokerError as error:
        raise DrainError(f"{error}; what was not moved is where it was, so run it again") from None
    if as_json:
        out.print_json(json.dumps({"queues": drained.as_json(), "over": drained.is_over(dead=dead)}))
        return
    for text in drained.lines() or ["Nothing is there."]:
        out.print(text, highlight=False, markup=False, soft_wrap=True)
