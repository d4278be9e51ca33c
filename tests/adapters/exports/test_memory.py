"""Memory stays flat, however large the export."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.embedded.s3 import EmbeddedS3

ROOT = Path(__file__).resolve().parents[3]
#: `ru_maxrss` counts KiB on Linux and bytes on macOS.
UNITS_IN_A_MIB = 1024 if sys.platform == "linux" else 1024 * 1024


@pytest.mark.slow
def test_a_hundred_megabytes_cost_no_more_memory_than_one(s3: EmbeddedS3) -> None:
    """10,000 rows of 10 KB go to a bucket with at most 64 MiB more than 100 rows need."""
    small_bytes, small_peak = _measured(s3, rows=100)
    large_bytes, large_peak = _measured(s3, rows=10_000)
    assert small_bytes < 2_000_000
    assert large_bytes > 100_000_000
    assert (large_peak - small_peak) / UNITS_IN_A_MIB <= 64


def _measured(s3: EmbeddedS3, *, rows: int) -> tuple[int, int]:
    """Bytes of the export, and the peak memory of a fresh process that makes it."""
    probe = [
        sys.executable,
        "-m",
        "tests.adapters.exports.memory_probe",
        s3.endpoint_url,
        s3.bucket,
        str(rows),
    ]
    # A process inherits the peak of the one it is started from. The shell between has next to none.
    shell = ["/bin/sh", "-c", '"$0" "$@"; exit $?', *probe]
    done = subprocess.run(shell, cwd=ROOT, check=True, capture_output=True, text=True)
    size_bytes, peak = done.stdout.split()
    return int(size_bytes), int(peak)
