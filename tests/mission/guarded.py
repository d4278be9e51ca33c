"""What a program beside the platform may do with the library that its actors' broker is guarded by.

The package is the one that the broker's own guards come from, whatever it is called and however it is laid out within.
"""

from pathlib import Path
from textwrap import dedent

#: Begins a program: `library` is the package, `find("Name")` a class of it, wherever it stands.
BEGINNING = """
import importlib, json, pkgutil, sys
import actors

broker = actors.domain_export.broker
(metrics,) = [each for each in broker.middleware if type(each).__name__ == "Metrics"]
library = sys.modules[type(metrics).__module__.partition(".")[0]]

def find(name):
    if hasattr(library, name):
        return getattr(library, name)
    for module in pkgutil.walk_packages(library.__path__, f"{library.__name__}."):
        found = getattr(importlib.import_module(module.name), name, None)
        if found is not None:
            return found
    raise LookupError(name)
"""


def write_program(folder: Path, name: str, code: str) -> None:
    """Write a module that a worker or a shell may run.

    Parameters:
        folder: where; it has to be on the path of whoever runs it.
        name: the module's.
        code: what follows the beginning.
    """
    (folder / f"{name}.py").write_text(BEGINNING + dedent(code))
