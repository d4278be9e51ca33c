"""Shows every job live: queue, org, progress. On a terminal as a table that moves, elsewhere a line a change."""

import time
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from middleware import JobProgress, ProgressReader

from .sent import Sent

#: How long all jobs together may take.
TIMEOUT_S = 180.0

_LOOK_S = 0.1
_STYLES = {"running": "cyan", "done": "green", "failed": "red", "cancelled": "yellow"}

Lines = Mapping[UUID, JobProgress]


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
    found_progress: Lines = {}
    with Live(console=console, refresh_per_second=10, transient=True) as live:
        while time.monotonic() < deadline and still_working():
            jobs = list(known.values())
            before, found_progress = found_progress, _read(jobs, board)
            if console.is_terminal:
                live.update(jobs_table(jobs, found_progress))
            else:
                _print_changes(console, jobs, before, found_progress)
            if sum(progress.state == "done" for progress in found_progress.values()) == len(jobs):
                known |= {each.job_id: each for each in follow()}
                if len(known) == len(jobs):
                    break
            time.sleep(_LOOK_S)
    return list(known.values()), found_progress


def jobs_table(sent: Sequence[Sent], found_progress: Lines) -> Table:
    """Every job with its queue, org and progress."""
    table = Table(title="Jobs", title_justify="left")
    for column in ("queue", "org", "domain", "job", "progress", "", "note"):
        table.add_column(column, no_wrap=column != "note")
    for each in sent:
        progress = found_progress.get(each.job_id)
        percent, state, note = (
            (progress.percent, progress.state, progress.note) if progress else (0, "queued", "")
        )
        bar = ProgressBar(total=100, completed=percent, width=20)
        style = _STYLES.get(state, "dim")
        table.add_row(each.queue, each.org, each.host, each.what, bar, f"[{style}]{state}[/]", note)
    return table


def _read(sent: Sequence[Sent], board: ProgressReader) -> Lines:
    found = ((each.job_id, board.read(str(each.job_id))) for each in sent)
    return {job_id: progress for job_id, progress in found if progress is not None}


def _print_changes(console: Console, sent: Sequence[Sent], before: Lines, now: Lines) -> None:
    for each in sent:
        progress = now.get(each.job_id)
        if progress is not None and progress != before.get(each.job_id):
            console.print(
                f"{each.queue:11} {each.org:9} {each.host:25} {each.what:32} "
                f"{progress.percent:3d} % {progress.state:9} {progress.note}",
                highlight=False,
                soft_wrap=True,
            )
