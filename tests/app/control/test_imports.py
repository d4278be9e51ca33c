"""What the control API loads, and when."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

#: Says which of the heavy libraries are there.
LOADED = "import sys; print(*sorted({'sqlalchemy', 'alembic', 'httpx', 'actors'} & set(sys.modules)))"


def test_naming_a_caller_loads_neither_database_nor_jobs() -> None:
    """They are loaded where the API is built, so that a process that only sends stays small."""
    code = f"import app.control, app.cli.commands, app.control.jobs, app.control.live; {LOADED}"

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.split() == []
