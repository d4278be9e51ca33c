"""Shows every job live: queue, org, progress. On a terminal as a table that moves, elsewhere a line a change."""

import time
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from middleware import ProgressLine, ProgressReader

from .sent import Sent

#: How long all jobs together may take.
TIMEOUT_S = 180.0

_LOOK_S = 0.1
_STYLES = {"running": "cyan", "done": "green", "failed": "red", "cancelled": "yellow"}

Lines = Mapping[UUID, ProgressLine]


def watch(
    sent: Sequence[Sent],
    follow: Callable[[], list[Sent]],
    board: ProgressReader,
    console: Console,
    still_working: Callable[[], bool],
) -> tuple[list[Sent], Lines]:
    """Show the jobs until all are done, the time is up, or nobody works any more; all jobs, and their last lines.

    Parameters:
        sent: the jobs.
        follow: finds those that they have sent by now; asked whenever all that are known are done.
        board: reads their lines.
        console: where to show them.
        still_working: whether the workers live.
    """
    deadline = time.monotonic() + TIMEOUT_S
    known = {each.job_id: each for each in sent}
    lines: Lines = {}
    with Live(console=console, refresh_per_second=10, transient=True) as live:
        while time.monotonic() < deadline and still_working():
            jobs = list(known.values())
            before, lines = lines, _read(jobs, board)
            if console.is_terminal:
                live.update(jobs_table(jobs, lines))
            else:
                _print_changes(console, jobs, before, lines)
            if sum(line.state == "done" for line in lines.values()) == len(jobs):
                known |= {each.job_id: each for each in follow()}
                if len(known) == len(jobs):
                    break
            time.sleep(_LOOK_S)
    return list(known.values()), lines


def jobs_table(sent: Sequence[Sent], lines: Lines) -> Table:
    """Every job with its queue, org and progress."""
    table = Table(title="Jobs", title_justify="left")
    for column in ("queue", "org", "domain", "job", "progress", "", "note"):
        table.add_column(column, no_wrap=column != "note")
    for each in sent:
        line = lines.get(each.job_id)
        percent, state, note = (line.percent, line.state, line.note) if line else (0, "queued", "")
        bar = ProgressBar(total=100, completed=percent, width=20)
        style = _STYLES.get(state, "dim")
        table.add_row(each.queue, each.org, each.host, each.what, bar, f"[{style}]{state}[/]", note)
    return table


def _read(sent: Sequence[Sent], board: ProgressReader) -> Lines:
    found = ((each.job_id, board.read(str(each.job_id))) for each in sent)
    return {job_id: line for job_id, line in found if line is not None}


def _print_changes(console: Console, sent: Sequence[Sent], before: Lines, now: Lines) -> None:
    for each in sent:
        line = now.get(each.job_id)
        if line is not None and line != before.get(each.job_id):
            console.print(
                f"{each.queue:11} {each.org:9} {each.host:25} {each.what:32} "
                f"{line.percent:3d} % {line.state:9} {line.note}",
                highlight=False,
                soft_wrap=True,
            )
