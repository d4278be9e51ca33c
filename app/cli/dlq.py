"""Dead letters on the command line: `python -m app dlq --help`."""

import getpass
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from uuid import UUID

import redis
import typer

from adapters.database.audit import SqlAuditLog
from adapters.database.dead_letters import MAX_PAGE, SqlDeadLetterBox, SqlDeadLetters
from adapters.database.engine import create_engine
from app.cli.durations import duration_s
from app.output import CommandError, out, show
from app.settings import SettingsError, load_settings
from middleware import GuardError
from middleware.dead_letters.letter import DeadLetter
from middleware.dead_letters.replay import (
    DEFAULT_FIRST,
    DEFAULT_WATCH_S,
    DeadLetterFilter,
    DeadLetterReplayer,
    ReplayError,
)

dlq = typer.Typer(
    name="dlq",
    no_args_is_help=True,
    help="Look at messages that were given up, and send them again.",
    epilog="Each command works for one org (--org), or, with a reason that is kept, for all (--operator --reason).",
)

Box = SqlDeadLetterBox[DeadLetter]

Org = Annotated[UUID | None, typer.Option("--org", help="The org whose letters are meant.")]
Operator = Annotated[bool, typer.Option("--operator", help="The letters of every org; needs --reason.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Why; kept in the audit log.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
LetterId = Annotated[str, typer.Argument(help="Id of the letter, as `list` shows it.")]
Category = Annotated[str | None, typer.Option(help="Only this kind of fault, like network.")]
Again = Annotated[bool, typer.Option("--again", help="Also what was sent again before.")]


@dlq.command("list")
def list_(
    org: Org = None,
    operator: Operator = False,
    reason: Reason = None,
    category: Category = None,
    limit: Annotated[int, typer.Option(min=1, max=MAX_PAGE, help="How many at most.")] = 50,
    after: Annotated[str | None, typer.Option(help="Go on after this cursor.")] = None,
    as_json: AsJson = False,
) -> None:
    """List letters, the newest first."""
    with _box(org, operator, reason, "list", category or "*", changes=False) as box:
        try:
            if category is None:
                page = box.list(after=after, limit=limit)
            else:
                page = box.list_by_category(category, after=after, limit=limit)
        except ValueError:
            raise typer.BadParameter(
                f"--after is a cursor that `list --json` printed, not {after!r}"
            ) from None
    rows: list[dict[str, object]] = [_summary(letter) for letter in page]
    _show(
        [{**row, "cursor": each.cursor} for row, each in zip(rows, page, strict=True)] if as_json else rows,
        as_json,
    )
    if len(page) == limit and not as_json:
        out.print(f"More: --after {page[-1].cursor}", highlight=False)


@dlq.command("show")
def show_(
    letter_id: LetterId,
    org: Org = None,
    operator: Operator = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Show everything that is known of one letter."""
    with _box(org, operator, reason, "show", letter_id, changes=False) as box:
        record = _found(box.get(letter_id), letter_id).as_record()
    if as_json:
        out.print_json(json.dumps(record))
        return
    fields = {name: value for name, value in record.items() if value not in (None, [], {})}
    _show([{"field": name, "value": _readable(value)} for name, value in fields.items()], as_json=False)


@dlq.command()
def retry(
    letter_id: Annotated[str | None, typer.Argument(help="One letter; without it, those that fit.")] = None,
    org: Org = None,
    operator: Operator = False,
    reason: Reason = None,
    category: Category = None,
    actor: Annotated[str | None, typer.Option(help="Only messages to this actor.")] = None,
    fingerprint: Annotated[str | None, typer.Option(help="Only faults of one kind at one place.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say how many would be sent.")] = False,
    first: Annotated[int | None, typer.Option(min=1, help="Send so many and watch them.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Then the rest, in growing batches, unless one fails again.")
    ] = False,
    watch_s: Annotated[
        float, typer.Option("--watch", min=0, help="Seconds that each batch is watched.")
    ] = DEFAULT_WATCH_S,
    again: Again = False,
    as_json: AsJson = False,
) -> None:
    """Send messages again: one, or many that stop when they fail again (exit code 1)."""
    criteria = DeadLetterFilter(category=category, actor=actor, fingerprint=fingerprint)
    many = dry_run or first is not None or every
    if (letter_id is None) != many or (letter_id is not None and criteria != DeadLetterFilter()):
        raise typer.BadParameter(
            "name one letter, or say --dry-run, --first N or --all, and which with --category"
        )
    if dry_run and (first is not None or every):
        raise typer.BadParameter("--dry-run sends nothing; leave out --first and --all")
    target = letter_id or f"category={category} actor={actor} fingerprint={fingerprint}"
    with _box(org, operator, reason, "retry", target, changes=not dry_run) as box, _refusals():
        replays = _replays(box)
        if letter_id is not None:
            _tell_sent(letter_id, replays.retry(letter_id, again=again), as_json)
            return
        if dry_run:
            count = replays.count(criteria, again=again)
            _tell({"would_send": count}, f"{count} messages would be sent again.", as_json)
            return
        report = replays.retry_many(
            criteria, first=first or DEFAULT_FIRST, rest=every, watch_s=watch_s, again=again
        )
    ended = (
        f"Stopped: {len(report.failed_again)} failed again." if report.stopped else "None has failed again."
    )
    _tell(
        {
            "sent": list(report.sent),
            "failed_again": list(report.failed_again),
            "left_out": report.left_out,
            "stopped": report.stopped,
        },
        f"Sent {len(report.sent)} messages again. {ended} {report.left_out} need an edit or cannot be sent.",
        as_json,
    )
    if report.stopped:
        raise typer.Exit(1)


@dlq.command()
def edit(
    letter_id: LetterId,
    payload: Annotated[str, typer.Argument(help="File with the payload as JSON, or - for standard input.")],
    org: Org = None,
    operator: Operator = False,
    reason: Reason = None,
    again: Again = False,
    as_json: AsJson = False,
) -> None:
    """Send a message again with another payload, checked against the actor's contract; changes are kept."""
    try:
        data = json.loads(sys.stdin.read() if payload == "-" else Path(payload).read_text())
    except OSError as error:
        raise CommandError(f"{payload} cannot be read: {error.strerror}") from None
    except ValueError:
        raise CommandError(f"{payload} is not JSON; `show {letter_id} --json` prints what was sent") from None
    with _box(org, operator, reason, "edit", letter_id, changes=True) as box, _refusals():
        _tell_sent(letter_id, _replays(box).edit_and_retry(letter_id, data, again=again), as_json)


@dlq.command()
def delete(
    letter_id: LetterId,
    org: Org = None,
    operator: Operator = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Delete one letter for good."""
    with _box(org, operator, reason, "delete", letter_id, changes=True) as box:
        if not box.delete(letter_id):
            _found(None, letter_id)
    _tell({"deleted": letter_id}, f"Deleted {letter_id}.", as_json)


@dlq.command()
def stats(
    org: Org = None, operator: Operator = False, reason: Reason = None, as_json: AsJson = False
) -> None:
    """Count letters by category, region, actor and fingerprint."""
    with _box(org, operator, reason, "stats", "*", changes=False) as box:
        counts = box.stats()
    if as_json:
        out.print_json(json.dumps(counts))
        return
    rows = [
        {"by": by, "value": value, "letters": letters}
        for by, values in counts.items()
        for value, letters in sorted(values.items(), key=lambda each: -each[1])
    ]
    _show(rows, as_json=False)


@dlq.command()
def purge(
    older_than: Annotated[str, typer.Option(help="Age like 30d, 12h or 45m.")],
    org: Org = None,
    operator: Operator = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Delete letters of a certain age for good."""
    before_ms = time.time_ns() // 1_000_000 - duration_s(older_than, "--older-than") * 1_000
    with _box(org, operator, reason, "purge", f"older than {older_than}", changes=True) as box:
        gone = box.purge(before_ms)
    _tell({"purged": gone}, f"Deleted {gone} letters older than {older_than}.", as_json)


@contextmanager
def _box(
    org: UUID | None, operator: bool, reason: str | None, action: str, target: str, *, changes: bool
) -> Iterator[Box]:
    """The letters that may be touched; what is done with them is written down first."""
    if (org is None) != operator:
        raise typer.BadParameter("say whose letters: --org ORG, or --operator --reason WHY for every org's")
    if operator and not (reason or "").strip():
        raise typer.BadParameter("--operator looks into every org's messages; say why with --reason")
    settings = load_settings()
    if settings.database_url is None:
        raise SettingsError("no database: set DATABASE_URL, or start `python -m app up`")
    engine = create_engine(settings.database_url.get_secret_value())
    try:
        if operator or changes:
            SqlAuditLog(engine).record(
                getpass.getuser(), f"dead_letters.{action}", target, reason=reason, org_id=org
            )
        letters = SqlDeadLetters(engine, DeadLetter.from_record)
        yield letters.of_every_org() if org is None else letters.of_org(str(org))
    finally:
        engine.dispose()


def _replays(box: Box) -> DeadLetterReplayer:
    # Only now: whoever looks at letters needs neither the jobs nor Redis.
    import actors  # noqa: F401  # declares every job on the broker
    from app.bootstrap.redis import redis_client
    from app.broker import broker

    # Asked beforehand: a broker that fails in the middle leaves open whether it took the message.
    try:
        with redis_client(load_settings()) as client:
            client.ping()
    except redis.ConnectionError as error:
        raise CommandError(f"Redis does not answer: {error}. Nothing was sent.") from None
    return DeadLetterReplayer(broker, box)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except (ReplayError, GuardError) as error:
        raise CommandError(str(error)) from None


def _found(letter: DeadLetter | None, letter_id: str) -> DeadLetter:
    if letter is None:
        raise CommandError(f"no dead letter {letter_id}; `list` shows those you may see")
    return letter


def _summary(letter: DeadLetter) -> dict[str, object]:
    died = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(letter.died_at_ms / 1_000))
    return {
        "id": letter.id,
        "died_at": died,
        "org": letter.org,
        "actor": letter.actor,
        "category": letter.category,
        "attempts": letter.attempts,
        "fingerprint": letter.fingerprint,
        "replayed_as": letter.replayed_as,
        "message": letter.message,
    }


def _readable(value: object) -> object:
    return json.dumps(value, indent=2, ensure_ascii=False) if isinstance(value, dict | list) else value


def _show(rows: list[dict[str, object]], as_json: bool) -> None:
    if not as_json:
        # Texts come out of messages: what looks like markup is none.
        rows = [{name: "" if each is None else each for name, each in row.items()} for row in rows]
    show(rows, as_json=as_json, title="Dead letters")


def _tell(answer: dict[str, object], sentence: str, as_json: bool) -> None:
    if as_json:
        out.print_json(json.dumps(answer))
    else:
        out.print(sentence, highlight=False, markup=False)


def _tell_sent(letter_id: str, message_id: str, as_json: bool) -> None:
    answer: dict[str, object] = {"letter_id": letter_id, "message_id": message_id}
    _tell(answer, f"Sent the message of {letter_id} again, as {message_id}.", as_json)
