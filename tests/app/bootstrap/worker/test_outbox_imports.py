"""The outbox in processes that have no use for it."""

import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]


def test_a_process_that_only_sends_loads_no_database_library(tmp_path: Path) -> None:
    """Importing the actors where a database is named puts the duties into the stack, and makes none of them."""
    script = textwrap.dedent("""
        import sys
        from actors import domain_export
        from app.broker import broker

        duties = [each for each in broker.middleware if type(each).__name__ == "BackgroundTasks"]
        print(len(duties), sorted({"sqlalchemy", "psycopg"} & set(sys.modules)))
    """)
    outcomes = []
    for url in ({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}, {}):
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", **url},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        outcomes.append(done.stdout.strip())
    assert outcomes == ["1 []", "0 []"]
