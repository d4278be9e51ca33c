"""In multiprocess mode the number of metrics files depends on living processes alone, and no total goes back.

`--max-jobs` and `--max-rss-mb` make new processes by design; if each left its files behind, the folder and each scrape
would grow for ever.

Right: what the dead have counted is merged into one file a kind, and their files are removed.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import os
import subprocess
import tempfile

from middleware import add_metric_handler, emit_counter, emit_gauge, emit_timer
from middleware.metrics.prometheus import PrometheusHandler
from tests.cases.kit import verdict

#: Workers that come and go, one after the other, and the files that may be left of them all: one a kind, and those of
#: the process that merged them.
WORKERS, MOST_FILES = 12, 6


def main() -> list[str]:
    """What is wrong."""
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": folder}
        for _ in range(WORKERS):
            subprocess.run([sys.executable, __file__, "work"], env=environment, check=True)
        scraped = subprocess.run(
            [sys.executable, __file__, "scrape"], env=environment, check=True, capture_output=True, text=True
        )
        files = list(Path(folder).glob("*.db"))
    totals = [row for row in scraped.stdout.splitlines() if "jobs_total{" in row]
    print(f"{len(files)} files after {WORKERS} workers that are all dead; {totals}")
    if len(files) > MOST_FILES:
        faults.append(f"{len(files)} files")
    if not any(row.endswith(f" {WORKERS}.0") for row in totals):
        faults.append("the total is lost")
    return faults


def _work() -> None:
    add_metric_handler(PrometheusHandler())
    emit_counter("jobs_total", {"actor": "a"})
    emit_gauge("attempts_in_flight", 1, {"actor": "a"})
    with emit_timer("attempt_seconds", {"actor": "a"}):
        pass


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["work"]:
            _work()
        case ["scrape"]:
            print(PrometheusHandler().exposition().decode())
        case _:
            verdict(main)
