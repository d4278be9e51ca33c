"""Circuit breakers on the command line: `python -m app breakers --help`."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from app.cli.options import (
    AsJson,
    AsOperator,
    Org,
    Reason,
    caller_of,
    controlling,
    show_fields,
    show_rows,
    tell,
)
from app.output import out
from middleware.circuit_breakers.state import BreakerState

breakers = typer.Typer(
    name="breakers",
    no_args_is_help=True,
    help="See which dependencies are down, and hold circuits open or closed. For operators.",
    epilog="Each command needs --operator --reason WHY; the reason is kept, and shown to whoever waits.",
)

Key = Annotated[str, typer.Argument(help="Key of the circuit, like ai:openai; its first parts hold for all.")]


@breakers.command("list", epilog='Example: python -m app breakers list --operator --reason "incident 12"')
def list_(
    org: Org = None, operator: AsOperator = False, reason: Reason = None, as_json: AsJson = False
) -> None:
    """List circuits that are not plainly closed."""
    caller = caller_of(org, operator, reason, changes=False)
    with controlling() as control:
        states = control.breakers.list(caller)
    if as_json:
        out.print_json(json.dumps([asdict(each) for each in states]))
    else:
        show_rows([_row(each) for each in states], title="Circuits that are not closed")


@breakers.command(
    "show", epilog='Example: python -m app breakers show ai:openai --operator --reason "incident 12"'
)
def show_(
    key: Key, org: Org = None, operator: AsOperator = False, reason: Reason = None, as_json: AsJson = False
) -> None:
    """Show one circuit."""
    caller = caller_of(org, operator, reason, changes=False)
    with controlling() as control:
        state = control.breakers.show(caller, key)
    show_fields(asdict(state) if as_json else _row(state), as_json=as_json, title="Circuit")


@breakers.command(
    "open", epilog='Example: python -m app breakers open publish:wordpress --operator --reason "incident 12"'
)
def open_(
    key: Key, org: Org = None, operator: AsOperator = False, reason: Reason = None, as_json: AsJson = False
) -> None:
    """Hold a circuit open: its jobs wait until `reset`, at no cost to their attempts."""
    caller = caller_of(org, operator, reason, changes=True)
    with controlling() as control:
        state = control.breakers.force_open(caller, key)
    tell(asdict(state), f"Circuit {key} is held open.", as_json)


@breakers.command(
    "close", epilog='Example: python -m app breakers close ai:openai --operator --reason "false alarm"'
)
def close(
    key: Key, org: Org = None, operator: AsOperator = False, reason: Reason = None, as_json: AsJson = False
) -> None:
    """Hold a circuit closed, however many calls fail, until `reset`."""
    caller = caller_of(org, operator, reason, changes=True)
    with controlling() as control:
        state = control.breakers.force_closed(caller, key)
    tell(asdict(state), f"Circuit {key} is held closed.", as_json)


@breakers.command(
    epilog='Example: python -m app breakers reset ai:openai --operator --reason "they fixed it"'
)
def reset(
    key: Key, org: Org = None, operator: AsOperator = False, reason: Reason = None, as_json: AsJson = False
) -> None:
    """Close a circuit, forget its failures, and let it work by itself again."""
    caller = caller_of(org, operator, reason, changes=True)
    with controlling() as control:
        state = control.breakers.reset(caller, key)
    tell(asdict(state), f"Circuit {key} works by itself again.", as_json)


def _row(state: BreakerState) -> dict[str, object]:
    return {
        "key": state.key,
        "state": state.state,
        "forced": state.forced,
        "failures": state.failures,
        "since": _moment(state.since_ms),
        "trials_from": _moment(state.until_ms),
        "who": state.who,
        "reason": state.reason,
    }


def _moment(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1_000, UTC)
