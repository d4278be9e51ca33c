"""What the library offers: complete, named by its public names, and found where the pages say."""

import importlib
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import broker
import middleware
from middleware.base.classification import class_name
from tests.middleware.public_signatures import hidden_types, missing_names

ROOT = Path(__file__).resolve().parent.parent.parent
OFFERED = ["middleware", "middleware.redis", "middleware.memory", "broker"]


def test_every_offered_name_exists_in_order() -> None:
    """`__all__` is sorted and promises nothing that is not there."""
    assert missing_names(OFFERED) == []


def test_what_stands_in_a_public_signature_is_public() -> None:
    """Nobody has to import a type from a place that may move, to annotate what they got or have to give."""
    assert hidden_types(OFFERED) == []


def test_a_type_that_is_taken_out_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The walk itself sees a store's protocol, a `Literal` and a class that a method returns."""
    offered = [each for each in middleware.__all__ if each not in ("OnError", "CronStore", "ReplayReport")]
    monkeypatch.setattr(middleware, "__all__", offered)

    hidden = {each.split(": ")[1] for each in hidden_types(["middleware"])}

    assert hidden == {
        "CronStore of middleware.cron.store",
        "OnError of middleware.base.guard",
        "ReplayReport of middleware.dead_letters.replay",
    }


@pytest.mark.parametrize("package", [middleware, broker], ids=lambda package: package.__name__)
def test_a_public_class_goes_by_its_public_name(package: object) -> None:
    """Stored letters and tracebacks name it as one imports it, and a module may move without their noticing."""
    name = getattr(package, "__name__", "")
    public = {each: getattr(package, each) for each in getattr(package, "__all__", ())}

    assert [
        each
        for each, value in public.items()
        if isinstance(value, type)
        and value.__module__.split(".")[0] == name
        and value.__name__ == each
        and value.__module__ != name
    ] == []


def test_a_stored_error_is_named_as_one_imports_it() -> None:
    """`error_class` of a letter, which people filter and alert by, is no path through our folders."""
    assert class_name(middleware.StoreUnavailable("away")) == "middleware.StoreUnavailable"
    assert class_name(broker.PoisonMessage(4, "SIGKILL")) == "broker.PoisonMessage"


def test_without_redis_the_facade_says_which_extra() -> None:
    """The line to run, not the name of a module in a traceback."""
    program = """
        import sys
        sys.modules["redis"] = None
        import middleware.memory
        try:
            import middleware.redis
        except ImportError as error:
            print(error)
    """
    printed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    assert printed == "the stores on Redis need the package redis: pip install 'pressroom[redis]'\n"


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("*"))]
IMPORT = re.compile(
    r"^\W*(?:from|import) ((?:pressroom|middleware|broker)[\w.]*)( import [\w, ()]+)?", re.MULTILINE
)
DOORS = {"pressroom", "pressroom.broker", "pressroom.redis", "pressroom.memory"}


@pytest.mark.parametrize("page", [page for page in PAGES if page.is_file()], ids=lambda page: page.name)
def test_a_page_imports_from_the_four_doors(page: Path) -> None:
    """`pressroom`, `pressroom.broker`, `pressroom.redis` and `pressroom.memory`, each name where it is offered."""
    for found in IMPORT.finditer(page.read_text()):
        door, names = found[1], re.findall(r"\w+", found[2] or "")[1:]
        assert door in DOORS, found[0]
        module = importlib.import_module(
            door.replace("pressroom.broker", "broker").replace("pressroom", "middleware")
        )
        assert [name for name in names if name not in module.__all__] == [], found[0]


@pytest.mark.parametrize("page", [page for page in PAGES if page.is_file()], ids=lambda page: page.name)
def test_no_page_names_a_module_behind_the_doors(page: Path) -> None:
    """Not in prose either: what stands there is a path that moves."""
    named = re.findall(r"\bpressroom\.(\w+)", page.read_text())

    assert set(named) - {"broker", "redis", "memory", *middleware.__all__} == set()
