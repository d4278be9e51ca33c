"""Who may see every org: a list in one file."""

import ast
from collections.abc import Iterator
from pathlib import Path

from adapters.database.system_role import USERS

ROOT = Path(__file__).resolve().parents[3]
#: What opens transactions of the system role.
DOORS = {"SystemUnitOfWork", "SqlSystemTransactions"}
#: Where the doors themselves are made.
HINGES = {"adapters.database.unit_of_work", "adapters.database.transactions"}


def test_the_system_role_has_the_users_on_its_list_and_no_other() -> None:
    """Whatever imports a door to all orgs is on the list with its reason, and nothing on the list is idle."""
    found = {
        module
        for folder in ("adapters", "app")
        for module, opened in _imports(ROOT / folder)
        if module not in HINGES and opened & DOORS
    }

    assert found == USERS.keys()


def test_no_statement_takes_the_role_past_the_doors() -> None:
    """The role's name stands in one place of the code that runs, and in migrations."""
    sources = [
        path for folder in ("adapters", "app", "actors", "domain") for path in (ROOT / folder).rglob("*.py")
    ]
    named = {
        path.relative_to(ROOT).as_posix() for path in sources if '"pressroom_system"' in path.read_text()
    }

    assert named <= {"adapters/database/unit_of_work.py", "app/embedded/postgres.py", "app/run/doctor.py"}


def test_every_user_has_a_reason() -> None:
    """A line that says why the work is the platform's and no org's."""
    assert all(reason.strip() for reason in USERS.values())


def _imports(folder: Path) -> Iterator[tuple[str, set[str]]]:
    for path in folder.rglob("*.py"):
        names = {
            alias.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        yield ".".join(path.relative_to(ROOT).with_suffix("").parts), names
