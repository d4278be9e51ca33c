"""The tree keeps its shape: what a reader may count on in every folder."""

import ast
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("actors", "adapters", "app", "benchmarks", "broker", "domain", "middleware", "migrations", "tests")
MODULES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def test_every_folder_of_tests_is_a_package() -> None:
    """Without it a test folder would shadow the package of the same name."""
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py")}

    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_a_module_is_short() -> None:
    """No file is over 400 lines."""
    sizes = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in MODULES}

    assert {path: size for path, size in sizes.items() if size > 400} == {}


def test_a_module_says_why_it_exists() -> None:
    """Each begins with a docstring."""
    assert [path for path in MODULES if path.stat().st_size and not path.read_text().startswith('"""')] == []


def test_the_mission_is_shown_from_outside() -> None:
    """Its tests know of ours what a sender knows, `actors` and `domain`, so that they outlive what is inside."""
    ours = {folder for folder in FOLDERS if folder not in ("actors", "domain")}
    known = {
        name
        for path in (ROOT / "tests" / "mission").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
        )
    }

    assert {
        name for name in known if name.split(".")[0] in ours and not name.startswith("tests.mission")
    } == set()


def test_there_is_no_drawer_for_odds_and_ends() -> None:
    """A module is named after its one concern."""
    assert [path for path in MODULES if path.stem in {"utils", "util", "common", "helpers", "misc"}] == []


def test_nothing_that_is_ignored_is_tracked() -> None:
    """What the tools write stays out of the history."""
    tracked = subprocess.run(
        ["git", "ls-files", "-ci", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert tracked.stdout == ""
