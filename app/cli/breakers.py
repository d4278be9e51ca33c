"""Circuit breakers on the command line: `pressroom breakers --help`."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from app.cli.commands import Invocation, command
from app.cli.deprecated import CIRCUIT
from middleware.circuit_breakers.state import BreakerState

breakers = typer.Typer(
    name="breakers",
    no_args_is_help=True,
    help="See which dependencies are down, and hold circuits open or closed. For operators.",
    epilog="Each command needs --operator --reason WHY; the reason is kept, and shown to whoever waits.",
)

Key = Annotated[str, typer.Argument(help="Key of the circuit, like ai:openai; its first parts hold for all.")]


@command(breakers, "list", example='breakers list --operator --reason "incident 12"')
def list_(call: Invocation) -> None:
    """List circuits that are not plainly closed."""
    states = call.control.breakers.list(call.caller)
    call.table(
        [asdict(each) for each in states],
        rows=[_row(each) for each in states],
        title="Circuits that are not plainly closed",
        names=CIRCUIT,
    )


@command(breakers, "show", example='breakers show ai:openai --operator --reason "incident 12"')
def show_(call: Invocation, key: Key) -> None:
    """Show one circuit."""
    state = call.control.breakers.show(call.caller, key)
    call.fields(asdict(state), shown=_row(state), title="Circuit", names=CIRCUIT)


@command(
    breakers,
    "open",
    changes=True,
    example='breakers open publish:wordpress --operator --reason "incident 12"',
)
def open_(call: Invocation, key: Key) -> None:
    """Hold a circuit open: its jobs wait until `reset`, without using a retry."""
    state = call.control.breakers.force_open(call.caller, key)
    call.report(asdict(state), f"Circuit {key} is held open.", names=CIRCUIT)


@command(
    breakers, "close", changes=True, example='breakers close ai:openai --operator --reason "false alarm"'
)
def close(call: Invocation, key: Key) -> None:
    """Hold a circuit closed, however many calls fail, until `reset`."""
    state = call.control.breakers.force_closed(call.caller, key)
    call.report(asdict(state), f"Circuit {key} is held closed.", names=CIRCUIT)


@command(
    breakers, "reset", changes=True, example='breakers reset ai:openai --operator --reason "they fixed it"'
)
def reset(call: Invocation, key: Key) -> None:
    """Close a circuit, forget its failures, and let it work by itself again."""
    state = call.control.breakers.reset(call.caller, key)
    call.report(asdict(state), f"Circuit {key} works by itself again.", names=CIRCUIT)


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
