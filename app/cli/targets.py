"""Publish targets on the command line: `pressroom targets --help`."""

import json
import sys
from dataclasses import asdict
from typing import Annotated, get_args
from uuid import UUID

import typer

from app.cli.commands import PROGRAM, AfterId, Invocation, Limit, command
from app.output import CommandError
from domain.publishing import AdapterName

targets = typer.Typer(
    name="targets",
    no_args_is_help=True,
    help="Store where an org's posts are published and with which credentials; check and switch targets off.",
    epilog="Credentials come from standard input as JSON, or are asked for; never from the command line.",
)

#: What each adapter's credentials are made of, and whether it is hidden as it is typed.
_ASKED: dict[str, dict[str, bool]] = {
    "wordpress": {"username": False, "application_password": True},
    "webhook": {"secret": True},
}

TargetId = Annotated[UUID, typer.Argument(help="Id of the target, as `list` shows it.")]


@command(
    targets,
    "add",
    changes=True,
    by="orgs",
    example="targets add --org 7c9e6679-... --domain 0190... --name Blog --adapter wordpress "
    '--address https://blog.example --reason "new blog" < credentials.json',
)
def add(
    call: Invocation,
    domain: Annotated[UUID, typer.Option("--domain", help="The domain whose posts go there.")],
    name: Annotated[
        str, typer.Option("--name", help="What people call it; the domain's other targets differ.")
    ],
    adapter: Annotated[str, typer.Option("--adapter", help="wordpress or webhook.")],
    address: Annotated[str, typer.Option("--address", help="Like https://blog.example.")],
    replace: Annotated[bool, typer.Option("--replace", help="Change the target of this name.")] = False,
) -> None:
    """Store a target. Credentials: username and application_password (wordpress), secret (webhook)."""
    kind = _adapter(adapter)
    if not 0 < len(name.strip()) <= 200:
        raise typer.BadParameter("--name has 1 to 200 characters")
    store = call.control.targets.replace if replace else call.control.targets.add
    target_id = store(
        call.caller,
        domain_id=domain,
        name=name,
        adapter=kind,
        address=address,
        credentials=lambda: _given_credentials(kind),
    )
    hint = f"Try it: {PROGRAM} targets check {target_id} --org {call.org_id}"
    call.report({"target_id": target_id}, f"Stored target {target_id}. {hint}")


@command(targets, "list", example="targets list --org 7c9e6679-...")
def list_(call: Invocation, limit: Limit = 50, after: AfterId = None) -> None:
    """List targets by id, without their credentials."""
    page = call.control.targets.list(call.caller, after=after, limit=limit)
    call.page(
        [asdict(each) for each in page],
        title="Publish targets",
        cursors=[str(each.target_id) for each in page],
        limit=limit,
    )


@command(targets, "check", example="targets check 0190... --org 7c9e6679-...")
def check(call: Invocation, target_id: TargetId) -> None:
    """Sign in at a target without leaving a trace there; say the fix for what is wrong (exit code 1)."""
    found = call.control.targets.check(call.caller, target_id)
    is_ready, message = found.is_ready, found.message
    answer = {"target_id": target_id, "ready": is_ready, "message": message}
    call.report(answer, f"Target {target_id} is {'ready' if is_ready else 'not ready'}: {message}.")
    if not is_ready:
        raise typer.Exit(1)


@command(
    targets,
    "rotate",
    changes=True,
    by="operators",
    example='targets rotate --operator --reason "new key, yearly"',
)
def rotate(call: Invocation) -> None:
    """Encrypt the credentials of every target with the newest of PRESSROOM_SECRET_KEYS. For operators.

    Put the new key in front and restart everything first; drop the old key when this says that none failed.
    """
    report = call.control.targets.rotate(call.caller)
    sentence = (
        f"Encrypted {report.rotated} again, {report.unchanged} had the newest key, {report.failed} could not be "
        "decrypted"
    )
    failed = ", ".join(map(str, report.failed_ids))
    call.report(
        asdict(report),
        f"{sentence}: {failed}. Add the key they were encrypted with, or store them anew."
        if report.failed
        else f"{sentence}.",
    )
    if report.failed:
        raise typer.Exit(1)


@command(
    targets,
    "disable",
    changes=True,
    example='targets disable 0190... --org 7c9e6679-... --reason "site moves"',
)
def disable(call: Invocation, target_id: TargetId) -> None:
    """Let no more posts go to a target."""
    _report(call, target_id, "disabled", changed=call.control.targets.disable(call.caller, target_id))


@command(
    targets,
    "enable",
    changes=True,
    example='targets enable 0190... --org 7c9e6679-... --reason "site has moved"',
)
def enable(call: Invocation, target_id: TargetId) -> None:
    """Let posts go to a target again."""
    _report(call, target_id, "enabled", changed=call.control.targets.enable(call.caller, target_id))


def _report(call: Invocation, target_id: UUID, state: str, *, changed: bool) -> None:
    answer = {"target_id": target_id, "enabled": state == "enabled", "changed": changed}
    call.report(answer, f"Target {target_id} {'is' if changed else 'was'} {state}.")


def _adapter(given: str) -> AdapterName:
    for known in get_args(AdapterName):
        if given == known:
            return known  # type: ignore[no-any-return]
    raise typer.BadParameter(f"--adapter is {' or '.join(get_args(AdapterName))}")


def _given_credentials(kind: AdapterName) -> str:
    """Credentials as JSON: what comes in, or what a person types."""
    if not sys.stdin.isatty():
        given = sys.stdin.read()
        if not given.strip():
            fields = ", ".join(_ASKED[kind])
            raise CommandError(f"no credentials on standard input; send a JSON object with {fields}")
        return given
    asked = {
        name: typer.prompt(name.replace("_", " ").capitalize(), hide_input=hidden)
        for name, hidden in _ASKED[kind].items()
    }
    return json.dumps(asked)
