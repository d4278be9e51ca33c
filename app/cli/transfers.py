"""Transfer tokens on the command line: `pressroom transfers --help`."""

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated
from uuid import UUID

import typer
from pydantic import ValidationError

from app.bootstrap.jobs.domain_transfer import transfer_tokens
from app.cli.commands import AfterId, Invocation, Limit, command
from app.cli.durations import duration_s
from app.settings import load_settings
from domain.transfer_tokens import TokenOrder

transfers = typer.Typer(
    name="transfers",
    no_args_is_help=True,
    help="Make, list and revoke the tokens with which another org takes a domain over.",
    epilog="The receiver sends the token: pressroom send domain_transfer - < job.json",
)


@command(
    transfers,
    "issue",
    changes=True,
    by="orgs",
    example='transfers issue --org 7c9e6679-... --domain 0190... --reason "sold, #12"',
)
def issue(
    call: Invocation,
    domain: Annotated[UUID, typer.Option("--domain", help="The domain to give away.")],
    receiver: Annotated[
        UUID | None,
        typer.Option("--receiver", help="The org that alone may use it; else whoever has the token."),
    ] = None,
    expires_in: Annotated[
        str, typer.Option("--expires-in", help="How long it works, like 24h, 30m or 7d.")
    ] = "24h",
) -> None:
    """Make a token and print it, this once: nobody can find it out again."""
    try:
        order = TokenOrder(
            org_id=call.org_id,
            domain_id=domain,
            receiver_org_id=receiver,
            valid_for=timedelta(seconds=duration_s(expires_in, "--expires-in")),
            issued_by=call.caller.who,
            reason=call.caller.reason,
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise typer.BadParameter(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    with transfer_tokens(load_settings()) as tokens:
        issued = tokens.issue(order)
    token = issued.token.get_secret_value()
    who = f"org {receiver}" if receiver else "whoever has it"
    call.report(
        {"token_id": issued.token_id, "token": token, "expires_at": issued.expires_at},
        f"{token}\nToken {issued.token_id} gives domain {domain} to {who}, once, until "
        f"{issued.expires_at:%Y-%m-%d %H:%MZ}. It is not shown again.",
    )


@command(transfers, "list", by="orgs", example="transfers list --org 7c9e6679-...")
def list_(call: Invocation, limit: Limit = 50, after: AfterId = None) -> None:
    """List an org's tokens, the oldest first, and what became of them."""
    with transfer_tokens(load_settings()) as tokens:
        page = tokens.page(call.org_id, after=after, limit=limit)
    call.page(
        [asdict(each) for each in page],
        title="Transfer tokens",
        cursors=[str(each.token_id) for each in page],
        limit=limit,
    )


@command(
    transfers,
    "revoke",
    changes=True,
    by="orgs",
    example='transfers revoke 0190... --org 7c9e6679-... --reason "sent to the wrong address"',
)
def revoke(
    call: Invocation, token_id: Annotated[UUID, typer.Argument(help="Id of the token, as `list` shows it.")]
) -> None:
    """Make a token unusable, now."""
    caller = call.caller
    with transfer_tokens(load_settings()) as tokens:
        record = tokens.revoke(call.org_id, token_id, who=caller.who, reason=caller.reason)
    call.report({"token_id": token_id, "status": record.status}, f"Token {token_id} is {record.status}.")
