"""The end of the demo: what each job left, and where to look."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from app.presentation import fail, out
from app.settings import Settings

from .check import Result

_NUMBERS = ("rows", "bytes", "seconds")


def show_results(results: Sequence[Result], settings: Settings, took_s: float) -> None:
    """Print the table, the totals, every fault, and what to do next.

    Parameters:
        results: one for each job.
        settings: of the platform.
        took_s: seconds since the demo began.
    """
    table = Table(title="Results", title_justify="left")
    for column in ("org", "domain", "job", *_NUMBERS, "where"):
        table.add_column(column, justify="right" if column in _NUMBERS else "left", overflow="fold")
    for result in results:
        table.add_row(*_row(result))
    out.print(table)

    files = [result for result in results if result.size_bytes]
    ideas = sum(result.count for result in results if not result.size_bytes)
    total_bytes = sum(result.size_bytes for result in files)
    out.print(f"{ideas:,} ideas and {len(files)} files ({total_bytes:,} bytes) in {took_s:.1f} s.")
    for result in results:
        if result.fault:
            fail(f"{result.sent.site.host}, {result.sent.what} ({result.sent.job_id}): {result.fault}")
    out.print(
        f"Files: {settings.home / 'exports'}. Logs: {settings.home / 'logs'}.\n"
        "Next: `python -m app up` keeps the platform running on this data (with --keep the demo itself stays up, and "
        "its links work)."
    )


def _row(result: Result) -> tuple[str | Text, ...]:
    where = Text(result.fault or result.where, style="red" if result.fault else "")
    if result.link:
        where.stylize(f"link {result.link}")
    site = result.sent.site
    return (
        site.org,
        site.host,
        result.sent.what,
        f"{result.count:,}",
        f"{result.size_bytes:,}" if result.size_bytes else "",
        f"{result.took_s:.2f}" if result.took_s else "",
        where,
    )
