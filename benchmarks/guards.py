"""What each guard costs over bare Dramatiq, in one run, as ratios: `python -m benchmarks.guards`.

Every stack is drained in a process of its own, all stacks in turn, several rounds; the medians are shown.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from app.embedded import running
from app.output import err
from benchmarks.closed_calls import closed_calls, closed_calls_table
from benchmarks.stacks import BARE, NAMES
from benchmarks.systems import PREFETCH, PREFETCHED


def main(
    jobs: Annotated[int, typer.Option(min=100, help="Jobs of one measurement.")] = 2_000,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; medians are shown.")] = 3,
    write: Annotated[Path | None, typer.Option(help="Write the table to this file.")] = None,
) -> None:
    """Measure every guard and the whole stack against bare Dramatiq."""
    with tempfile.TemporaryDirectory(prefix="pressroom-bench-") as folder:
        Path(folder).chmod(0o711)
        with running(Path(folder), durable=False) as servers:
            rows = _rounds(jobs, rounds, servers.redis_url)
    table = _table(rows, jobs, rounds) + "\n" + closed_calls_table(closed_calls(rounds))
    sys.stdout.write(table)
    if write is not None:
        write.write_text(table)


def _rounds(jobs: int, rounds: int, url: str) -> dict[tuple[str, int], dict[str, float]]:
    plan = [(BARE, 0), *((name, PREFETCHED) for name in NAMES)]
    seen: dict[tuple[str, int], list[dict[str, float]]] = {each: [] for each in plan}
    for number in range(rounds):
        for each in plan:
            err.print(f"round {number + 1} of {rounds}: {each[0]}, prefetch {each[1] or 'default'}")
            seen[each].append(_one(*each, jobs, url))
    return {
        each: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        for each, runs in seen.items()
    }


def _one(name: str, prefetch: int, jobs: int, url: str) -> dict[str, float]:
    environment = {**os.environ, "REDIS_URL": url}
    if prefetch:
        environment[PREFETCH] = str(prefetch)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.measure", name, str(jobs)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def _table(rows: dict[tuple[str, int], dict[str, float]], jobs: int, rounds: int) -> str:
    default, bare = rows[BARE, 0], rows[BARE, PREFETCHED]
    lines = [
        f"{jobs:,} no-op jobs, medians of {rounds} interleaved rounds, {os.cpu_count()} cores, "
        f"CPython {platform.python_version()}, embedded Valkey without persistence.",
        "",
        f"Bare Dramatiq drains {jobs / default['drain_s']:,.0f} jobs/s at its default and "
        f"{jobs / bare['drain_s']:,.0f} with `{PREFETCH}={PREFETCHED}`, which every row below has too.",
        "",
        "| stack | CPU µs a job over bare | requests a job over bare | bytes a job over bare "
        "| drain, of bare | drain, of default | send, of bare |",
        "|---|---|---|---|---|---|---|",
    ]
    for (name, prefetch), row in rows.items():
        if prefetch:
            lines.append(
                f"| {name} | {1e6 * (row['cpu_s'] - bare['cpu_s']) / jobs:.0f} "
                f"| {(row['reads'] - bare['reads']) / jobs:.2f} "
                f"| {(row['net_bytes'] - bare['net_bytes']) / jobs:.0f} "
                f"| {bare['drain_s'] / row['drain_s']:.2f} | {default['drain_s'] / row['drain_s']:.2f} "
                f"| {bare['send_s'] / row['send_s']:.2f} |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    typer.run(main)
