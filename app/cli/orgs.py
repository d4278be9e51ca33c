"""Orgs on the command line: `pressroom orgs --help`."""

from dataclasses import asdict
from typing import Annotated, Literal
from uuid import UUID

import typer

from app.cli.commands import AfterId, Invocation, Limit, command
from app.cli.deprecated import ORG, PAUSE
from app.cli.pauses import For, for_ms, paused_as_json
from app.control import Caller

orgs = typer.Typer(
    name="orgs",
    no_args_is_help=True,
    help="See which orgs there are and what holds for one; hold back its jobs and let them go.",
    epilog="An org sees itself (--org); operators see all (--operator --reason).",
)

OrgId = Annotated[UUID | None, typer.Argument(help="The org; with --org it is that one.")]
Actor = Annotated[str | None, typer.Option(help="Only the org's jobs of this actor.")]


@command(orgs, "list", example='orgs list --operator --reason "quarterly review"')
def list_(call: Invocation, limit: Limit = 50, after: AfterId = None) -> None:
    """List orgs by id. For operators."""
    page = call.control.orgs.list(call.caller, after=after, limit=limit)
    records = [
        {
            "id": each.id,
            "name": each.name,
            "region": each.region,
            "weight": each.weight,
            "max_active": each.limits.get("max_active"),
        }
        for each in page
    ]
    cursors = [str(each.id) for each in page]
    call.page(records, title="Orgs", cursors=cursors, limit=limit, names=ORG)


@command(orgs, "show", example="orgs show --org 7c9e6679-...")
def show_(call: Invocation, org_id: OrgId = None) -> None:
    """Show an org: name, region, weight, its own limits, and how many domains it has."""
    found = call.control.orgs.show(call.caller, org_id=org_id)
    call.fields(asdict(found), title="Org", names=ORG)


@command(
    orgs,
    "set",
    changes=True,
    example='orgs set 7c9e6679-... --weight 3 --max-active 20 --region eu --operator --reason "gold plan"',
)
def set_(
    call: Invocation,
    org_id: Annotated[UUID, typer.Argument(help="The org.")],
    weight: Annotated[
        str | None, typer.Option(help="Its share of the workers, 1 to 1000; `default` is 1.")
    ] = None,
    max_active: Annotated[
        str | None, typer.Option(help="Jobs it may run at once; `default` is what every org has.")
    ] = None,
    region: Annotated[
        str | None, typer.Option(help="Where its jobs run from now on; `default` is anywhere.")
    ] = None,
) -> None:
    """Set an org's share, limit or region, while everything runs; `default` goes back. For operators."""
    change = call.control.orgs.set(
        call.caller,
        org_id,
        weight=_number(weight, "--weight"),
        max_active=_number(max_active, "--max-active"),
        region=region,
    )
    when = "It holds" if change.live else "Redis does not answer; it holds seconds after it does"
    now = change.org
    terms = f"weight {now.weight}, max active {now.limits.get('max_active', 'default')}, region {now.region or 'any'}"
    call.report({**asdict(now), "live": change.live}, f"{org_id}: {terms}. {when}.", names=ORG)


@command(
    orgs, "pause", changes=True, example='orgs pause --org 7c9e6679-... --for 2h --reason "we move our site"'
)
def pause(call: Invocation, org_id: OrgId = None, actor: Actor = None, lasting: For = None) -> None:
    """Hold an org's jobs back, all or one actor's; what runs goes on."""
    meant = _meant(call.caller, org_id)
    made = call.control.pauses.pause(call.caller, actor=actor, org_id=meant, for_ms=for_ms(lasting))
    call.report(paused_as_json(made), f"Paused {made.what}.", names=PAUSE)


@command(orgs, "resume", changes=True, example='orgs resume --org 7c9e6679-... --reason "we have moved"')
def resume(call: Invocation, org_id: OrgId = None, actor: Actor = None) -> None:
    """Let them run again, within some seconds. What an operator has paused, only operators resume."""
    meant = _meant(call.caller, org_id)
    call.control.pauses.resume(call.caller, actor=actor, org_id=meant)
    call.report({"org_id": meant, "resumed": meant, "actor": actor}, f"Resumed {meant}.")


def _number(text: str | None, option: str) -> "int | Literal['default'] | None":
    if text is None:
        return None
    if text == "default":
        return "default"
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter("a number, or `default`", param_hint=option) from None


def _meant(caller: Caller, org_id: UUID | None) -> UUID:
    meant = org_id or caller.org_id
    if meant is None:
        raise typer.BadParameter("say which org; an operator acts for none in particular")
    return meant
