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
from tests.e2e.platform import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    run("-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
    (built,) = folder.glob("*.whl")
    return built


def test_the_example_runs_on_the_wheel_and_redis_only(wheel: Path, servers: Servers, tmp_path: Path) -> None:
    """Three guards, no other extra: one of three equal invoices is sent, the bad one is refused."""
    run("-m", "venv", str(tmp_path / "env"))
    python = str(tmp_path / "env" / "bin" / "python")
    run("-m", "pip", "install", "--quiet", f"{wheel}[redis]", python=python)

    example = str(ROOT / "examples" / "middleware_only.py")
    url = servers.redis_url.replace("db=0", "db=9")  # a database of its own: the example uses plain names
    printed = run(example, python=python, cwd=tmp_path, REDIS_URL=url)

    assert printed.count("invoice 7 of acme is sent") == 1
    assert "send_invoice refuses this payload: number: Input should be a valid integer" in printed


def test_the_command_of_the_wheel_offers_what_the_library_has(wheel: Path, tmp_path: Path) -> None:
    """Help that teaches, the version, and the broker's commands; a project's own package `app` is none of ours."""
    run("-m", "venv", str(tmp_path / "env"))
    python, pressroom = (str(tmp_path / "env" / "bin" / name) for name in ("python", "pressroom"))
    run("-m", "pip", "install", "--quiet", str(wheel), python=python)
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
    run("-m", "pip", "install", "--quiet", f"{wheel}[redis]", python=python)
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
    run("-m", "venv", str(tmp_path / "env"))
    python = str(tmp_path / "env" / "bin" / "python")
    run("-m", "pip", "install", "--quiet", str(wheel), python=python)

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
        """),
        python=python,
        cwd=tmp_path,
    )

    assert printed.startswith("resize refuses this payload: image_id: Input should be a valid integer")
