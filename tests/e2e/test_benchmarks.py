"""The broker's benchmark runs from end to end; what it measures is nobody's promise."""

import json
import socket
import subprocess
import sys
from pathlib import Path

from benchmarks.figures import FIGURES
from benchmarks.systems import OURS, SYSTEMS, VANILLA, VANILLA_PREFETCH, absent

ROOT = Path(__file__).resolve().parents[2]

#: Bulk enqueue depends on the broker; whether a timer fires or a killed job is back in a second, on the machine.
MAY_BE_MISSING = {
    "bulk_per_s",
    "checked_bulk_per_s",
    "timer_late_ms",
    "killed_traffic_s",
    "killed_quiet_s",
}


def _benchmark(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.broker", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_quick_run_measures_every_broker(folder: Path) -> None:
    """Every figure comes out for every broker that there is, in JSON and in the table."""
    table = folder / "table.md"

    ran = _benchmark("--quick", "--json", "--markdown", str(table))

    assert ran.returncode == 0, ran.stderr
    figures = json.loads(ran.stdout)["figures"]
    there = {key for key, system in SYSTEMS.items() if absent(system) is None}
    assert there >= {VANILLA, VANILLA_PREFETCH}
    for figure in FIGURES:
        if figure.key in MAY_BE_MISSING:
            continue
        assert set(figures[figure.title]) == there
        assert None not in figures[figure.title].values(), figure.title
    text = table.read_text()
    assert all(SYSTEMS[key].title in text.splitlines()[2] for key in there)
    assert socket.gethostname() not in text
    assert (SYSTEMS[OURS].title in ran.stderr) or OURS not in there


def test_an_unknown_measure_is_refused() -> None:
    """It names those that there are, before anything is started."""
    ran = _benchmark("--only", "speed")

    assert ran.returncode == 2
    assert "drain" in ran.stderr
