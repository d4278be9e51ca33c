"""Dead letters on the command line: `pressroom dlq --help`."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from app.cli.commands import After, Invocation, Limit, command
from app.cli.deprecated import LETTER, old_spelling
from app.cli.durations import duration_s
from app.output import CommandError
from middleware.dead_letters.letter import DeadLetter
from middleware.dead_letters.replay import DEFAULT_FIRST, DEFAULT_WATCH_S, DeadLetterFilter

dlq = typer.Typer(
    name="dlq",
    no_args_is_help=True,
    help="Look at messages that were dead-lettered, and send them again.",
    epilog="Each command works for one org (--org), or, with a reason that is kept, for all (--operator --reason).",
)

LetterId = Annotated[str, typer.Argument(help="Id of the dead letter, as `list` shows it.")]
Category = Annotated[str | None, typer.Option(help="Only this kind of fault, like network.")]
Actor = Annotated[str | None, typer.Option(help="Only messages to this actor.")]
Fingerprint = Annotated[str | None, typer.Option(help="Only faults of one kind at one place.")]
Again = Annotated[bool, typer.Option("--again", help="Also what was sent again before.")]
First = Annotated[int | None, typer.Option(min=1, help="Send so many and watch them.")]
Rest = Annotated[
    bool, typer.Option("--all", help="Then the rest, in growing batches, unless one fails again.")
]
Watch = Annotated[float, typer.Option("--watch", min=0, help="Seconds that each batch is watched.")]


@command(dlq, "list", example="dlq list --org 7c9e6679-... --category network --open")
def list_(
    call: Invocation,
    category: Category = None,
    actor: Actor = None,
    fingerprint: Fingerprint = None,
    replayed: Annotated[
        bool | None, typer.Option("--replayed/--open", help="Only those that were sent again, or were not.")
    ] = None,
    limit: Limit = 50,
    after: After = None,
) -> None:
    """List dead letters, the newest first."""
    which = DeadLetterFilter(category=category, actor=actor, fingerprint=fingerprint)
    page = call.control.dead_letters.list(call.caller, which, replayed=replayed, after=after, limit=limit)
    call.page(
        [_summary(letter) for letter in page],
        rows=[_row(letter) for letter in page],
        title="Dead letters",
        cursors=[each.cursor for each in page],
        limit=limit,
        names=LETTER,
    )


@command(dlq, "show", example="dlq show 0a4c... --org 7c9e6679-...")
def show_(call: Invocation, letter_id: LetterId) -> None:
    """Show everything that is known of one dead letter."""
    record = call.control.dead_letters.show(call.caller, letter_id).as_record()
    call.fields(record, title="Dead letter", names=LETTER)


@command(dlq, "stats", example="dlq stats --org 7c9e6679-... --actor domain_export")
def stats(
    call: Invocation, category: Category = None, actor: Actor = None, fingerprint: Fingerprint = None
) -> None:
    """Count dead letters by category, region, actor and fingerprint: those that are open, and those replayed."""
    which = DeadLetterFilter(category=category, actor=actor, fingerprint=fingerprint)
    counts = call.control.dead_letters.stats(call.caller, which)
    if call.as_json:
        all_, open_, replayed = (
            {by: {value: of(each) for value, each in values.items()} for by, values in counts.items()}
            for of in (sum, lambda each: each[0], lambda each: each[1])
        )
        call.report({**all_, "open": open_, "replayed": replayed}, "")
        return
    call.rows(
        [
            {"by": by, "value": value, "open": each[0], "replayed": each[1] or None}
            for by, values in counts.items()
            for value, each in sorted(values.items(), key=lambda pair: -sum(pair[1]))
        ],
        title="Dead letters",
    )


@command(dlq, "count", example="dlq count --category network --org 7c9e6679-...")
def count(
    call: Invocation,
    category: Category = None,
    actor: Actor = None,
    fingerprint: Fingerprint = None,
    again: Again = False,
) -> None:
    """Count what `retry-matching` would send: messages that were not sent again yet, and need no edit."""
    which = DeadLetterFilter(category=category, actor=actor, fingerprint=fingerprint)
    found = call.control.dead_letters.count(call.caller, which, again=again)
    call.report({"would_send": found}, f"{found} messages would be sent again.")


@command(
    dlq,
    "retry-matching",
    changes=True,
    example='dlq retry-matching --category network --first 5 --all --org 7c9e6679-... --reason "they are back"',
)
def retry_matching(
    call: Invocation,
    category: Category = None,
    actor: Actor = None,
    fingerprint: Fingerprint = None,
    first: First = None,
    rest: Rest = False,
    watch_s: Watch = DEFAULT_WATCH_S,
    again: Again = False,
) -> None:
    """Send the messages that fit again: some first, then the rest; it stops when one fails again (exit code 1)."""
    if first is None and not rest:
        raise typer.BadParameter("say how many: --first N, --all, or both; `count` says how many there are")
    which = DeadLetterFilter(category=category, actor=actor, fingerprint=fingerprint)
    report = call.control.dead_letters.retry_matching(
        call.caller, which, first=first or DEFAULT_FIRST, rest=rest, watch_s=watch_s, again=again
    )
    ended = (
        f"Stopped: {len(report.failed_again)} failed again." if report.stopped else "None has failed again."
    )
    call.report(
        {
            "sent": report.sent,
            "failed_again": report.failed_again,
            "left_out": report.left_out,
            "stopped": report.stopped,
        },
        f"Sent {len(report.sent)} messages again. {ended} {report.left_out} need an edit or cannot be sent.",
    )
    if report.stopped:
        raise typer.Exit(1)


@command(dlq, "retry", example='dlq retry 0a4c... --org 7c9e6679-... --reason "ticket 4711"')
def retry(
    call: Invocation,
    letter_id: Annotated[
        str | None, typer.Argument(help="Id of the dead letter, as `list` shows it.", show_default=False)
    ] = None,
    again: Again = False,
    category: Annotated[str | None, typer.Option(hidden=True)] = None,
    actor: Annotated[str | None, typer.Option(hidden=True)] = None,
    fingerprint: Annotated[str | None, typer.Option(hidden=True)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", hidden=True)] = False,
    first: Annotated[int | None, typer.Option(min=1, hidden=True)] = None,
    rest: Annotated[bool, typer.Option("--all", hidden=True)] = False,
    watch_s: Annotated[float, typer.Option("--watch", min=0, hidden=True)] = DEFAULT_WATCH_S,
) -> None:
    """Send the message of one dead letter again; for many there is `retry-matching`."""
    old = dry_run or first is not None or rest
    if (letter_id is None) != old or (
        letter_id is not None and (category, actor, fingerprint) != (None,) * 3
    ):
        raise typer.BadParameter("name one dead letter; for many there are `retry-matching` and `count`")
    if dry_run and (first is not None or rest):
        raise typer.BadParameter("--dry-run sends nothing; leave out --first and --all")
    if dry_run:
        old_spelling("dlq retry --dry-run", "dlq count")
        count(call, category, actor, fingerprint, again)
        return
    call.require_reason()
    if letter_id is None:
        old_spelling("dlq retry --first N/--all", "dlq retry-matching")
        retry_matching(call, category, actor, fingerprint, first, rest, watch_s, again)
    else:
        _report_sent(call, letter_id, call.control.dead_letters.retry(call.caller, letter_id, again=again))


@command(
    dlq,
    "edit",
    changes=True,
    example='dlq edit 0a4c... payload.json --org 7c9e6679-... --reason "the address was wrong"',
)
def edit(
    call: Invocation,
    letter_id: LetterId,
    payload: Annotated[str, typer.Argument(help="File with the payload as JSON, or - for standard input.")],
    again: Again = False,
) -> None:
    """Send a message again with another payload, checked against the actor's contract; changes are kept."""
    try:
        data = json.loads(sys.stdin.read() if payload == "-" else Path(payload).read_text())
    except OSError as error:
        raise CommandError(f"{payload} cannot be read: {error.strerror}") from None
    except ValueError:
        raise CommandError(f"{payload} is not JSON; `show {letter_id} --json` prints what was sent") from None
    _report_sent(call, letter_id, call.control.dead_letters.edit(call.caller, letter_id, data, again=again))


@command(
    dlq,
    "delete",
    changes=True,
    example='dlq delete 0a4c... --org 7c9e6679-... --reason "not needed any more"',
)
def delete(call: Invocation, letter_id: LetterId) -> None:
    """Delete one dead letter for good."""
    call.control.dead_letters.delete(call.caller, letter_id)
    call.report({"deleted": letter_id}, f"Deleted {letter_id}.", names=LETTER)


@command(
    dlq, "purge", changes=True, example='dlq purge --older-than 30d --org 7c9e6679-... --reason "retention"'
)
def purge(
    call: Invocation, older_than: Annotated[str, typer.Option(help="Age like 30d, 12h or 45m.")]
) -> None:
    """Delete dead letters of a certain age for good."""
    before_ms = time.time_ns() // 1_000_000 - duration_s(older_than, "--older-than") * 1_000
    gone = call.control.dead_letters.purge(call.caller, before_ms=before_ms)
    call.report({"purged": gone}, f"Deleted {gone} dead letters older than {older_than}.")


def _summary(letter: DeadLetter) -> dict[str, object]:
    record = letter.as_record()
    shown = (
        "id",
        "org",
        "message_id",
        "actor",
        "category",
        "attempts",
        "fingerprint",
        "replayed_as",
        "message",
    )
    died_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(letter.died_at_ms / 1_000))
    state = "open" if letter.replayed_as is None else "replayed"
    return {**{name: record[name] for name in shown}, "died_at": died_at, "state": state}


def _row(letter: DeadLetter) -> dict[str, object]:
    died_at = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(letter.died_at_ms / 1_000))
    return {
        "id": letter.id,
        "state": "open" if letter.replayed_as is None else "replayed",
        "category": letter.category,
        "actor": letter.actor,
        "message": letter.message,
        "died_at": died_at,
        "attempts": letter.attempts,
        "fingerprint": letter.fingerprint,
        "replayed_as": letter.replayed_as,
        "org": letter.org,
    }


def _report_sent(call: Invocation, letter_id: str, message_id: str) -> None:
    answer = {"letter_id": letter_id, "message_id": message_id}
    call.report(answer, f"Sent the message of {letter_id} again, as {message_id}.", names=LETTER)
