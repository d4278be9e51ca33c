"""Orgs on the command line: `python -m app orgs --help`."""

from dataclasses import asdict
from typing import Annotated, Literal
from uuid import UUID

import typer

from app.cli.options import (
    AsJson,
    AsOperator,
    Limit,
    Org,
    Reason,
    caller_of,
    controlling,
    show_fields,
    show_page,
    tell,
)
from app.cli.pauses import For, for_ms, paused_as_json

orgs = typer.Typer(
    name="orgs",
    no_args_is_help=True,
    help="See which orgs there are and what holds for one; hold back its jobs and let them go.",
    epilog="An org sees itself (--org); operators see all (--operator --reason).",
)

OrgId = Annotated[UUID | None, typer.Argument(help="The org; with --org it is that one.")]


@orgs.command("list", epilog='Example: python -m app orgs list --operator --reason "quarterly review"')
def list_(
    org: Org = None,
    operator: AsOperator = False,
    reason: Reason = None,
    limit: Limit = 50,
    after: Annotated[UUID | None, typer.Option(help="Go on after the org with this id.")] = None,
    as_json: AsJson = False,
) -> None:
    """List orgs by id. For operators."""
    caller = caller_of(org, operator, reason, changes=False)
    with controlling() as control:
        page = control.orgs.list(caller, after=after, limit=limit)
    show_page(
        [
            {
                "id": each.id,
                "name": each.name,
                "region": each.region,
                "weight": each.weight,
                "max_active": each.limits.get("max_active"),
            }
            for each in page
        ],
        as_json=as_json,
        title="Orgs",
        cursors=[str(each.id) for each in page],
        limit=limit,
    )


@orgs.command("show", epilog="Example: python -m app orgs show --org 7c9e6679-...")
def show_(
    org_id: OrgId = None,
    org: Org = None,
    operator: AsOperator = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Show an org: name, region, weight, its own limits, and how many domains it has."""
    caller = caller_of(org, operator, reason, changes=False)
    with controlling() as control:
        found = control.orgs.show(caller, org_id=org_id)
    show_fields(asdict(found), as_json=as_json, title="Org")


@orgs.command(
    "set",
    epilog="Example: python -m app orgs set 7c9e6679-... --weight 3 --max-active 20 --region eu "
    '--operator --reason "gold plan"',
)
def set_(
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
    org: Org = None,
    operator: AsOperator = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Set an org's share, limit or region, while everything runs; `default` goes back. For operators."""
    caller = caller_of(org, operator, reason, changes=True)
    with controlling() as control:
        change = control.orgs.set(
            caller,
            org_id,
            weight=_number(weight, "--weight"),
            max_active=_number(max_active, "--max-active"),
            region=region,
        )
    when = "It holds" if change.live else "Redis does not answer; it holds seconds after it does"
    now = change.org
    terms = f"weight {now.weight}, max active {now.limits.get('max_active', 'default')}, region {now.region or 'any'}"
    tell({**asdict(now), "live": change.live}, f"{org_id}: {terms}. {when}.", as_json)


def _number(text: str | None, option: str) -> "int | Literal['default'] | None":
    if text is None:
        return None
    if text == "default":
        return "default"
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter("a number, or `default`", param_hint=option) from None


Actor = Annotated[str | None, typer.Option(help="Only the org's jobs of this actor.")]


@orgs.command(
    epilog='Example: python -m app orgs pause --org 7c9e6679-... --for 2h --reason "we move our site"'
)
def pause(
    org_id: OrgId = None,
    actor: Actor = None,
    lasting: For = None,
    org: Org = None,
    operator: AsOperator = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Hold an org's jobs back, all or one actor's; what runs goes on."""
    caller = caller_of(org, operator, reason, changes=True)
    with controlling() as control:
        made = control.pauses.pause(caller, actor=actor, org_id=_meant(org, org_id), for_ms=for_ms(lasting))
    tell(paused_as_json(made), f"Paused {made.what}.", as_json)


@orgs.command(epilog='Example: python -m app orgs resume --org 7c9e6679-... --reason "we have moved"')
def resume(
    org_id: OrgId = None,
    actor: Actor = None,
    org: Org = None,
    operator: AsOperator = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Let them run again, within some seconds. What an operator has paused, only operators resume."""
    caller = caller_of(org, operator, reason, changes=True)
    meant = _meant(org, org_id)
    with controlling() as control:
        control.pauses.resume(caller, actor=actor, org_id=meant)
    tell({"resumed": str(meant), "actor": actor}, f"Resumed {meant}.", as_json)


def _meant(org: UUID | None, org_id: UUID | None) -> UUID:
    meant = org_id or org
    if meant is None:
        raise typer.BadParameter("say which org; an operator acts for none in particular")
    return meant
