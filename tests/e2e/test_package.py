"""The wheel: the library alone, under one name, usable without the platform."""

import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from app.embedded import Servers
from middleware import __version__
from tests.docs.fair_broker import run_fair_broker
from tests.e2e.platform import ROOT

pytestmark = pytest.mark.slow

EXAMPLES = ROOT / "examples"
DOORS = ("pressroom", "pressroom.broker", "pressroom.redis", "pressroom.memory")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    run("-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Python of an environment that has the wheel with its extra for Redis, and nothing else."""
    return environment(tmp_path_factory.mktemp("with_redis"), f"{wheel}[redis]")


def test_the_example_runs_on_the_wheel_and_redis_only(python: str, servers: Servers, tmp_path: Path) -> None:
    """Three guards, no other extra: one of three equal invoices is sent, the bad one is refused."""
    printed = run(
        str(EXAMPLES / "middleware_only.py"), python=python, cwd=tmp_path, REDIS_URL=database(servers, 9)
    )

    assert printed.count("invoice 7 of acme is sent") == 1
    assert "send_invoice refuses this payload: number: Input should be a valid integer" in printed


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda example: example.stem)
def test_every_example_runs_on_the_wheel_and_redis_only(
    python: str, servers: Servers, tmp_path: Path, example: Path
) -> None:
    """To its end, without the checkout and without a warning of ours."""
    if example.stem == "fair_broker":  # has a worker beside it
        assert "small was done after " in run_fair_broker(database(servers, 10), python)
        return
    run(
        "-W",
        "error::DeprecationWarning:pressroom",
        str(example),
        python=python,
        cwd=tmp_path,
        REDIS_URL=database(servers, 10),
    )


def test_what_stands_in_a_public_signature_is_public_in_the_wheel(python: str, tmp_path: Path) -> None:
    """By the names and modules that a stranger has; see `tests/middleware/public_signatures.py`."""
    walk = ROOT / "tests" / "middleware" / "public_signatures.py"

    assert run(str(walk), *DOORS, python=python, cwd=tmp_path) == ""


def test_an_error_is_named_in_letters_as_one_imports_it(python: str, tmp_path: Path) -> None:
    """`pressroom.StoreUnavailable`, wherever its module lies."""
    program = """
        import pressroom, pressroom.broker
        from pressroom.base.classification import class_name

        print(class_name(pressroom.StoreUnavailable()), class_name(pressroom.broker.PoisonMessage(4, "SIGKILL")))
    """
    printed = run("-c", textwrap.dedent(program), python=python, cwd=tmp_path)

    assert printed.split() == ["pressroom.StoreUnavailable", "pressroom.broker.PoisonMessage"]


def test_the_command_of_the_wheel_offers_what_the_library_has(wheel: Path, tmp_path: Path) -> None:
    """Help that teaches, the version, and the broker's commands; a project's own package `app` is none of ours."""
    python = environment(tmp_path, str(wheel))
    pressroom = str(Path(python).with_name("pressroom"))
    foreign = tmp_path / "project" / "app" / "cli"
    foreign.mkdir(parents=True)
    for module in (foreign.parent / "__init__.py", foreign / "__init__.py", foreign / "root.py"):
        module.write_text("raise SystemExit('not ours')\n")

    def said(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [pressroom, *arguments],
            cwd=tmp_path / "project",
            env={**os.environ, "PYTHONPATH": str(tmp_path / "project")},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.returncode, done.stdout + done.stderr

    assert said("--version") == (0, f"pressroom {__version__}\n")
    for asking in ((), ("--help",)):
        code, text = said(*asking)
        assert (code, "$ pressroom worker jobs --processes 4" in text) == (0, True), text
    assert said("jobs") == (2, "pressroom: no command jobs; there are: worker, drain-dramatiq\n")
    code, text = said("worker", "jobs")
    assert (code, "pip install 'pressroom[redis]'" in text) == (2, True), text
    install(python, f"{wheel}[redis]")
    for command in ("worker", "drain-dramatiq"):
        code, text = said(command, "--help")
        assert (code, "usage: " in text, "--help" in text) == (0, True, True), text


def run(*arguments: str, python: str = sys.executable, cwd: Path | None = None, **variables: str) -> str:
    """Run Python; what it printed."""
    done = subprocess.run(
        [python, *arguments],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def environment(folder: Path, package: str) -> str:
    """A fresh environment that has one package with what it needs; its Python."""
    # Our own pip installs into it: to give it one takes longer than all the rest.
    run("-m", "venv", "--without-pip", str(folder / "env"))
    python = str(folder / "env" / "bin" / "python")
    install(python, package)
    return python


def install(python: str, package: str) -> None:
    """Install a package with what it needs into the environment of a Python."""
    run("-m", "pip", "--python", python, "install", "--quiet", package)


def database(servers: Servers, number: int) -> str:
    """A database of its own: the examples use plain names."""
    return servers.redis_url.replace("db=0", f"db={number}")


def test_the_wheel_holds_the_library_and_nothing_else(wheel: Path) -> None:
    """No `actors`, `domain` or `tests` ever lands in somebody's site-packages."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (top_level,) = [name for name in names if name.endswith("top_level.txt")]
        assert archive.read(top_level).decode().split() == ["pressroom"]

    with_code = {path.parent.relative_to(ROOT / "middleware") for path in (ROOT / "middleware").rglob("*.py")}
    with_code |= {
        Path("broker") / path.parent.relative_to(ROOT / "broker") for path in (ROOT / "broker").rglob("*.py")
    }
    missing = [folder for folder in with_code if f"{Path('pressroom') / folder / '__init__.py'}" not in names]
    assert missing == []
    for library in ("middleware", "broker"):
        inside = Path("pressroom") if library == "middleware" else Path("pressroom") / library
        scripts = [str(inside / path.relative_to(ROOT / library)) for path in (ROOT / library).rglob("*.lua")]
        assert [each for each in scripts if each not in names] == []
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"pressroom"}
    assert "pressroom/py.typed" in names


def test_a_stranger_uses_a_guard_from_the_wheel_only(wheel: Path, tmp_path: Path) -> None:
    """In a clean environment without any extra."""
    python = environment(tmp_path, str(wheel))

    printed = run(
        "-c",
        textwrap.dedent("""
            import dramatiq
            from dramatiq.brokers.stub import StubBroker
            from pydantic import BaseModel
            from pressroom import Contracts, InvalidPayload

            broker = StubBroker()
            broker.add_middleware(Contracts())

            class Resize(BaseModel):
                image_id: int

            @dramatiq.actor(broker=broker)
            def resize(job: Resize) -> None: ...

            resize.send(Resize(image_id=7))
            try:
                resize.send({"image_id": "seven"})
            except InvalidPayload as error:
                print(error)

            import pressroom.memory
            try:
                import pressroom.redis
            except ImportError as error:
                print(error)
        """),
        python=python,
        cwd=tmp_path,
    )

    assert printed.startswith("resize refuses this payload: image_id: Input should be a valid integer")
    assert printed.endswith("the stores on Redis need the package redis: pip install 'pressroom[redis]'\n")
