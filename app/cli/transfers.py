"""Transfer tokens on the command line: `python -m app transfers --help`."""

import getpass
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated
from uuid import UUID

import typer
from pydantic import ValidationError

from app.bootstrap.jobs.domain_transfer import transfer_tokens
from app.cli.durations import duration_s
from app.cli.options import AsJson, show_page, tell
from app.settings import load_settings
from domain.transfer_tokens import TokenOrder

transfers = typer.Typer(
    name="transfers",
    no_args_is_help=True,
    help="Make, list and revoke the tokens with which another org takes a domain over.",
    epilog="The receiver sends the token: python -m app send domain_transfer - < job.json",
)

Org = Annotated[UUID, typer.Option("--org", help="The org that owns the domain.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the audit log.")]


@transfers.command(
    epilog='Example: python -m app transfers issue --org ... --domain ... --reason "sold, #12"'
)
def issue(
    org: Org,
    domain: Annotated[UUID, typer.Option("--domain", help="The domain to give away.")],
    reason: Reason,
    receiver: Annotated[
        UUID | None,
        typer.Option("--receiver", help="The org that alone may use it; else whoever has the token."),
    ] = None,
    expires_in: Annotated[
        str, typer.Option("--expires-in", help="How long it works, like 24h, 30m or 7d.")
    ] = "24h",
    as_json: AsJson = False,
) -> None:
    """Make a token and print it, this once: nobody can find it out again."""
    try:
        order = TokenOrder(
            org_id=org,
            domain_id=domain,
            receiver_org_id=receiver,
            valid_for=timedelta(seconds=duration_s(expires_in, "--expires-in")),
            issued_by=getpass.getuser(),
            reason=reason,
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise typer.BadParameter(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    with transfer_tokens(load_settings()) as tokens:
        issued = tokens.issue(order)
    answer = {
        "token_id": issued.token_id,
        "token": issued.token.get_secret_value(),
        "expires_at": issued.expires_at.isoformat(),
    }
    who = f"org {receiver}" if receiver else "whoever has it"
    tell(
        answer,
        f"{answer['token']}\nToken {issued.token_id} gives domain {domain} to {who}, once, until "
        f"{issued.expires_at:%Y-%m-%d %H:%MZ}. It is not shown again.",
        as_json,
    )


@transfers.command("list")
def list_(
    org: Org,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many at most.")] = 50,
    after: Annotated[UUID | None, typer.Option(help="Go on after the token with this id.")] = None,
    as_json: AsJson = False,
) -> None:
    """List an org's tokens, the oldest first, and what became of them."""
    with transfer_tokens(load_settings()) as tokens:
        page = tokens.page(org, after=after, limit=limit)
    show_page(
        [asdict(each) for each in page],
        as_json=as_json,
        title="Transfer tokens",
        cursors=[str(each.token_id) for each in page],
        limit=limit,
    )


@transfers.command()
def revoke(
    token_id: Annotated[UUID, typer.Argument(help="Id of the token, as `list` shows it.")],
    org: Org,
    reason: Reason,
    as_json: AsJson = False,
) -> None:
    """Make a token unusable, now."""
    if not reason.strip():
        raise typer.BadParameter("say why with --reason; the audit log keeps it")
    with transfer_tokens(load_settings()) as tokens:
        record = tokens.revoke(org, token_id, who=getpass.getuser(), reason=reason)
    tell({"token_id": token_id, "status": record.status}, f"Token {token_id} is {record.status}.", as_json)
