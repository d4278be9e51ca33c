"""The whole files of `examples/` run as their docstrings say, and pages show them as they are."""

import pytest

from tests.docs.blocks import ROOT
from tests.docs.fair_broker import run_fair_broker
from tests.middleware.own_server import own_valkey

pytestmark = pytest.mark.slow


def test_a_small_org_passes_a_flood() -> None:
    """`fair_broker.py` with a worker beside it: the small org is done before half of the flood is, and it says why."""
    with own_valkey() as server:
        printed = run_fair_broker(server.url)

    assert "why does small's last one wait? " in printed
    (done,) = [row for row in printed.splitlines() if row.startswith("small was done after ")]
    assert int(done.split()[4]) < 150, printed
    assert "delayed: 1" in printed


def test_the_page_shows_the_file_that_runs() -> None:
    """What a reader copies from the page is the file."""
    source = (ROOT / "examples/fair_broker.py").read_text()

    assert f"```python\n{source}```" in (ROOT / "docs/ten-minutes-with-the-broker.md").read_text()
