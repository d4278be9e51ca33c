"""The import contracts bite: each is broken once in a copy, and `lint-imports` says so."""

import os
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("actors", "adapters", "app", "broker", "domain", "middleware")
PREFIX = "importlinter:contract:"

#: For each contract, a module and the statement that breaks it there.
FORBIDDEN = {
    "rings": [
        ("domain/errors.py", "import app.settings"),
        ("app/run/up.py", "import app.dev.demo"),
        ("app/control/jobs.py", "import app.cli.jobs"),
        ("app/bootstrap/redis.py", "import app.control"),
    ],
    "adapters-inward": [("adapters/ids.py", "import middleware")],
    "domain-pure": [("domain/ideas.py", "import sqlalchemy")],
    "library-alone": [("middleware/retries.py", "import broker")],
    "broker-alone": [("broker/keys.py", "import middleware")],
    "actors-thin": [("actors/domain_export.py", "import redis")],
    "guards-apart": [
        ("middleware/idempotency/guard.py", "import middleware.org_limits.guard"),
        ("middleware/tracing.py", "import middleware.metrics.guard"),
        ("middleware/base/messages.py", "import middleware.retries"),
        ("middleware/deadlines/guard.py", "import middleware.cancellation.guard"),
        ("middleware/pauses/guard.py", "import middleware.redis"),
    ],
    "redis-only-in-stores": [
        ("middleware/pauses/guard.py", "import redis"),
        ("middleware/circuit_breakers/state.py", "import redis"),
    ],
    "broker-rooms": [
        ("broker/keys.py", "import broker.scripts"),
        ("broker/leasing/lease.py", "import broker.sending"),
        ("broker/inspection/why.py", "import broker.drain.drain"),
    ],
    "control-without-terminal": [("app/control/queues.py", "import rich")],
    "adapters-rooms": [
        ("adapters/net/http.py", "import adapters.publishing.webhook"),
        ("adapters/storage/object_store.py", "import adapters.net.links"),
    ],
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The product's code and its contracts, to be broken."""
    folder = tmp_path_factory.mktemp("copy")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.cfg", folder)
    return folder


def test_every_contract_has_a_counterexample() -> None:
    """A contract that is added needs its counterexample."""
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")

    assert {name.removeprefix(PREFIX) for name in config.sections() if name.startswith(PREFIX)} == set(
        FORBIDDEN
    )


@pytest.mark.parametrize(
    ("contract", "module", "statement"),
    [(contract, *each) for contract, breaks in FORBIDDEN.items() for each in breaks],
)
def test_a_forbidden_import_breaks_its_contract(
    copy: Path, contract: str, module: str, statement: str
) -> None:
    """`make check` would go red, and name the contract."""
    path = copy / module
    text = path.read_text()
    try:
        path.write_text(f"{text}\n{statement}\n")
        code, printed = lint_imports(copy, contract)
    finally:
        path.write_text(text)

    assert (code, "1 broken" in printed) == (1, True), printed


def test_the_copy_as_it_is_keeps_every_contract(copy: Path) -> None:
    """What breaks a contract above is the added import and nothing else."""
    code, printed = lint_imports(copy, *FORBIDDEN)

    assert (code, "0 broken" in printed) == (0, True), printed


def lint_imports(folder: Path, *contracts: str) -> tuple[int, str]:
    """Run `lint-imports` in a folder; its exit code, and what it printed."""
    command = [str(Path(sys.executable).with_name("lint-imports"))]
    for contract in contracts:
        command += ["--contract", contract]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr
