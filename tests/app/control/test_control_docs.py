"""The docs of the control API name whatever it may answer and whatever may be asked."""

import re
from pathlib import Path
from typing import get_args

import pytest

from app.control.inspector import JobCause
from broker.inspection.why import Cause
from tests.app.control.test_every_call import CALLS

DOCS = Path(__file__).resolve().parents[3] / "docs"
CAUSES = {each for some in get_args(JobCause) for each in (get_args(some) or [some])}


def test_every_cause_has_its_remedy() -> None:
    """Whoever asks why a job does not run reads on in the docs of operations."""
    rows = re.findall(r"^\| `(\w+)` \| ", (DOCS / "operations.md").read_text(), re.MULTILINE)

    assert set(get_args(Cause)) < CAUSES
    assert set(rows) >= CAUSES


@pytest.mark.parametrize(("section", "name"), CALLS, ids=[".".join(each) for each in CALLS])
def test_who_may_make_a_call_is_written_down(section: str, name: str) -> None:
    """In the table of who may what."""
    (row,) = [
        row
        for row in (DOCS / "control.md").read_text().splitlines()
        if row.startswith(f"| `{section}.") and f"`{section}.{name}`" in row.replace(", `", f", `{section}.")
    ]

    assert row.count("|") == 5
