"""The runner reads a program's verdict, and takes nothing else for one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cases.running import Ended, run

pytestmark = pytest.mark.slow  # each starts a program

PREAMBLE = f"import sys\nsys.path.insert(0, {str(Path(__file__).resolve().parents[2])!r})\n"


@pytest.fixture
def ended(tmp_path: Path) -> Callable[[str], Ended]:
    """How a program of these statements ends."""

    def end(statements: str) -> Ended:
        (tmp_path / "case.py").write_text(PREAMBLE + statements)
        return run("case", limit_s=20, folder=tmp_path)

    return end


def _main(body: str) -> str:
    return f"from tests.cases.kit import Missing, verdict\ndef main():\n    {body}\nverdict(main)\n"


def test_a_case_without_faults_holds(ended: Callable[[str], Ended]) -> None:
    """Nothing wrong is HOLDS."""
    assert ended(_main("return []")).verdict == "HOLDS"


def test_a_case_says_why_it_fails(ended: Callable[[str], Ended]) -> None:
    """What is wrong comes with the verdict."""
    found = ended(_main("return ['one is lost']"))

    assert (found.verdict, found.why) == ("FAILS", "['one is lost']")


def test_a_traceback_is_no_verdict(ended: Callable[[str], Ended]) -> None:
    """A case that raises has not tried anything."""
    found = ended(_main("raise ValueError('broken')"))

    assert found.verdict == "error"
    assert "ValueError: broken" in found.output


def test_what_is_missing_is_an_error_that_says_so(ended: Callable[[str], Ended]) -> None:
    """A case whose tools are not installed neither holds nor fails."""
    found = ended(_main("raise Missing('apt-get install it')"))

    assert found.verdict == "error"
    assert "apt-get install it" in found.why


def test_an_exit_code_is_no_verdict(ended: Callable[[str], Ended]) -> None:
    """A program that ends well and says nothing has not held."""
    assert ended("print('fine')\n").verdict == "error"


def test_the_word_is_no_verdict(ended: Callable[[str], Ended]) -> None:
    """A program that says HOLDS and ends with an error has not held."""
    assert ended("print('HOLDS')\nsys.exit(1)\n").verdict == "error"


def test_a_program_that_stands_still_is_ended(tmp_path: Path) -> None:
    """Its time is bounded, and what it printed is kept."""
    (tmp_path / "case.py").write_text(
        "import threading\nprint('waiting', flush=True)\nthreading.Event().wait()\n"
    )

    found = run("case", limit_s=1, folder=tmp_path)

    assert found.verdict == "error"
    assert "waiting" in found.output
