"""The end of the demo: what each job left, and where to look."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from app.output import fail, out
from app.settings import Settings

from .sent import Left, Sent

_NUMBERS = ("rows", "bytes", "seconds")


def look(jobs: Sequence[Sent]) -> list[tuple[Sent, Left]]:
    """Look at what each job really left: rows in the database, files, objects, posts, links that work."""
    return [(each, _looked_at(each)) for each in jobs]


def show_results(results: Sequence[tuple[Sent, Left]], settings: Settings, took_s: float) -> None:
    """Print the table, the totals, every fault, and what to do next.

    Parameters:
        results: one for each job.
        settings: of the platform.
        took_s: seconds since the demo began.
    """
    table = Table(title="Results", title_justify="left")
    for column in ("org", "domain", "job", *_NUMBERS, "where"):
        table.add_column(column, justify="right" if column in _NUMBERS else "left", overflow="fold")
    alike: dict[str, list[tuple[Sent, Left]]] = {}
    for job, left in results:
        alike.setdefault(job.what, []).append((job, left))
    for group in alike.values():
        table.add_row(*_row(group))
    out.print(table)

    def total(where: str) -> int:
        return sum(left.count for _, left in results if left.where.startswith(where))

    files = [left.size_bytes for _, left in results if left.size_bytes]
    out.print(
        f"{len(results)} jobs in {took_s:.1f} s: {total('content_ideas'):,} ideas, {len(files)} files "
        f"({sum(files):,} bytes), {total('post ')} posts, {total('feedback')} feedback windows."
    )
    for job, left in results:
        if left.fault:
            fail(f"{job.host}, {job.what} ({job.job_id}): {left.fault}")
    out.print(
        f"Files: {settings.home / 'exports'}. Logs: {settings.home / 'logs'}.\n"
        "Next: `make up`, or `.venv/bin/pressroom up`, keeps the platform running on this data (with --keep the demo "
        "itself stays up, and its links work)."
    )


def _looked_at(job: Sent) -> Left:
    try:
        return job.look()
    except Exception as error:  # noqa: BLE001  # told in the table, beside what the other jobs left
        return Left(fault=f"cannot be looked at: {error}")


def _row(group: Sequence[tuple[Sent, Left]]) -> tuple[str | Text, ...]:
    """Jobs that did the same, each for another domain."""
    jobs, lefts = zip(*group, strict=True)
    faults = [left.fault for left in lefts if left.fault]
    where = Text(faults[0] if faults else lefts[0].where, style="red" if faults else "")
    if lefts[0].link:
        where.stylize(f"link {lefts[0].link}")
    size_bytes, took_s = sum(left.size_bytes for left in lefts), max(left.took_s for left in lefts)
    return (
        _one_or_many([job.org for job in jobs], "orgs"),
        _one_or_many([job.host for job in jobs], "domains"),
        jobs[0].what if len(jobs) == 1 else f"{jobs[0].what} ({len(jobs)} jobs)",
        f"{sum(left.count for left in lefts):,}",
        f"{size_bytes:,}" if size_bytes else "",
        f"{took_s:.2f}" if took_s else "",
        where,
    )


def _one_or_many(names: Sequence[str], word: str) -> str:
    different = set(names)
    return names[0] if len(different) == 1 else f"{len(different)} {word}"
