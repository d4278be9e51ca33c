"""Publish targets on the command line: `pressroom targets --help`."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, get_args
from uuid import UUID

import typer

from adapters.credentials import credentials_of
from adapters.database.engine import create_engine
from adapters.database.targets import NewTarget, SqlPublishTargets
from adapters.ids import uuid7
from app.bootstrap.jobs.publishers import credential_box, outbound_policy, site_publishers
from app.cli.commands import PROGRAM, AfterId, Invocation, Limit, command
from app.output import CommandError
from app.settings import Settings, SettingsError, load_settings
from domain.errors import JobError
from domain.publishing import AdapterName

targets = typer.Typer(
    name="targets",
    no_args_is_help=True,
    help="Store where an org's posts are published and with which credentials; check and switch targets off.",
    epilog="Credentials come from standard input as JSON, or are asked for; never from the command line.",
)

#: Seconds that a check may take.
CHECK_S = 30.0

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
    with _targets() as (settings, store):
        outbound_policy(settings).check_address(address)
        box = credential_box(settings)
        credentials = credentials_of(kind, _given_credentials(kind))
        new = NewTarget(
            domain_id=domain,
            name=name.strip(),
            adapter=kind,
            address=address,
            sealed=lambda target_id: box.encrypt(target_id, credentials),
        )
        target_id = store.store(call.caller, new, uuid7(), replace=replace)
    hint = f"Try it: {PROGRAM} targets check {target_id} --org {call.org_id}"
    call.report({"target_id": target_id}, f"Stored target {target_id}. {hint}")


@command(targets, "list", example="targets list --org 7c9e6679-...")
def list_(call: Invocation, limit: Limit = 50, after: AfterId = None) -> None:
    """List targets by id, without their credentials."""
    with _targets() as (_, store):
        page = store.page(call.caller, after=after, limit=limit)
    call.page(
        [asdict(each) for each in page],
        title="Publish targets",
        cursors=[str(each.target_id) for each in page],
        limit=limit,
    )


@command(targets, "check", example="targets check 0190... --org 7c9e6679-...")
def check(call: Invocation, target_id: TargetId) -> None:
    """Sign in at a target without leaving a trace there; say the fix for what is wrong (exit code 1)."""
    with _targets() as (settings, store), site_publishers(settings) as publishers:
        target = store.target(call.caller, target_id)
        try:
            found = publishers.check(target, timeout_s=CHECK_S)
            is_ready, message = found.is_ready, found.message
        except JobError as error:
            is_ready, message = False, str(error)
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
    with _targets() as (settings, store):
        report = store.rotate(call.caller, credential_box(settings).rotated)
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
    _switch(call, target_id, enabled=False)


@command(
    targets,
    "enable",
    changes=True,
    example='targets enable 0190... --org 7c9e6679-... --reason "site has moved"',
)
def enable(call: Invocation, target_id: TargetId) -> None:
    """Let posts go to a target again."""
    _switch(call, target_id, enabled=True)


def _switch(call: Invocation, target_id: UUID, *, enabled: bool) -> None:
    with _targets() as (_, store):
        changed = store.set_enabled(call.caller, target_id, enabled=enabled)
    state = "enabled" if enabled else "disabled"
    answer = {"target_id": target_id, "enabled": enabled, "changed": changed}
    call.report(answer, f"Target {target_id} {'is' if changed else 'was'} {state}.")


@contextmanager
def _targets() -> Iterator[tuple[Settings, SqlPublishTargets]]:
    settings = load_settings()
    if settings.database_url is None:
        raise SettingsError("no database: set DATABASE_URL, or start `python -m app up`")
    engine = create_engine(settings.database_url.get_secret_value(), pool_size=1)
    try:
        yield settings, SqlPublishTargets(engine)
    finally:
        engine.dispose()


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
