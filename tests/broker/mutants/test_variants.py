"""Tests are known to bite: each of these breaks one thing, and its test finds it."""

import inspect
from pathlib import Path

import pytest

from tests.broker.mutants import bounded, variants
from tests.broker.mutants.breaking import FOLDER, PythonVariant, Variant
from tests.broker.mutants.foreign_variants import FOREIGN_IN_LUA, FOREIGN_IN_PYTHON

pytestmark = pytest.mark.slow

AS_FILES = variants.AS_FILES
IN_LUA = [*variants.IN_LUA, *bounded.IN_LUA, *FOREIGN_IN_LUA]
IN_PYTHON = [*variants.IN_PYTHON, *bounded.IN_PYTHON, *FOREIGN_IN_PYTHON]

#: How a test fails. Anything else would be an error of the variant's own, such as Lua that does not compile.
RED = (AssertionError, pytest.fail.Exception)


@pytest.mark.parametrize("variant", [*IN_LUA, *IN_PYTHON], ids=str)
def test_what_is_broken_is_found(
    variant: Variant | PythonVariant, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the very test that asks for it when nothing is broken."""
    arguments = {
        name: request.getfixturevalue(name) for name in inspect.signature(variant.promise).parameters
    }
    variant.put(monkeypatch)

    with pytest.raises(RED):
        variant.promise(**arguments)


@pytest.mark.parametrize("variant", AS_FILES, ids=str)
def test_what_may_not_be_written_is_found(variant: Variant, tmp_path: Path) -> None:
    """By the tests that read the scripts."""
    path = tmp_path / Path(variant.file).name
    path.write_text(variant.text())

    with pytest.raises(RED):
        variant.promise(path)


@pytest.mark.parametrize("variant", [*IN_LUA, *AS_FILES], ids=str)
def test_what_is_replaced_is_still_there(variant: Variant) -> None:
    """Once; so that no variant breaks nothing without anybody's noticing."""
    assert (FOLDER / variant.file).read_text().count(variant.old) == 1


def test_every_invariant_is_broken_in_some_way() -> None:
    """All thirteen, and every script that moves messages."""
    broken: list[Variant | PythonVariant] = [*IN_LUA, *AS_FILES, *IN_PYTHON]

    assert {variant.invariant for variant in broken} == set(range(1, 14))
    assert len(broken) >= 25
