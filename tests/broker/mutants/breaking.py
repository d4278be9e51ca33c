"""Puts a broken script, or a broken piece of Python, in the place of the real one."""

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from broker import scripts
from broker.scripts import Script

FOLDER = Path(scripts.__file__).parent / "lua"


@dataclass(frozen=True)
class Variant:
    """One thing that is broken.

    Parameters:
        invariant: which one no longer holds.
        file: of `broker/lua`.
        old: a text that stands in it once.
        new: what stands there instead.
        promise: a test that has to fail then; its parameters are fixtures.
    """

    invariant: int
    file: str
    old: str
    new: str
    promise: Callable[..., None]

    def __str__(self) -> str:
        first = " ".join(self.old.split())[:40]
        return f"{self.invariant}-{Path(self.file).stem}-{first}"

    def text(self) -> str:
        """The whole broken file."""
        return (FOLDER / self.file).read_text().replace(self.old, self.new)

    def put(self, patch: pytest.MonkeyPatch) -> None:
        """All operations that need it are the broken ones, loaded already or not."""

        def source(name: str) -> str:
            return scripts.framed(name, self._read)

        patch.setattr(scripts, "source", source)
        for module in [each for name, each in sys.modules.items() if name.startswith("broker.")]:
            for script in [each for each in vars(module).values() if isinstance(each, Script)]:
                broken = source(script.name)
                patch.setattr(script, "_source", broken)
                patch.setattr(script, "_sha", hashlib.sha1(broken.encode()).hexdigest())  # noqa: S324

    def _read(self, file: str) -> str:
        return self.text() if file == self.file else (FOLDER / file).read_text()


@dataclass(frozen=True)
class PythonVariant:
    """One piece of Python that is broken.

    Parameters:
        invariant: which one no longer holds.
        owner: a module or class.
        name: what is replaced in it.
        new: what stands there instead.
        promise: a test that has to fail then; its parameters are fixtures.
    """

    invariant: int
    owner: Any
    name: str
    new: Any
    promise: Callable[..., None]

    def __str__(self) -> str:
        return f"{self.invariant}-{self.owner.__name__}-{self.name}"

    def put(self, patch: pytest.MonkeyPatch) -> None:
        """Until the end of the test."""
        patch.setattr(self.owner, self.name, self.new)
