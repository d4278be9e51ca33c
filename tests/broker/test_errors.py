"""The drawing of the broker's errors is complete."""

import importlib
import inspect
import pkgutil
import re

import broker
from broker import errors


def test_every_error_stands_in_the_drawing_below_what_it_is() -> None:
    """Whichever module of the package declares it."""
    drawn = _drawn(errors.__doc__ or "")

    assert {name: drawn.get(name) for name in _declared()} == _declared()


def test_whatever_stands_in_the_drawing_is_there() -> None:
    """Nothing is left over from a rename."""
    ours = {name for name in _drawn(errors.__doc__ or "") if "." not in name}

    assert ours == set(_declared())


def _declared() -> dict[str, str]:
    """Every exception class of the package, with the name of its base."""
    found = {}
    for module in pkgutil.walk_packages(broker.__path__, "broker."):
        if module.name.endswith("__main__"):
            continue
        for name, value in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(value, BaseException) and value.__module__.startswith("broker."):
                found[name] = value.__bases__[0].__name__
    return found


def _drawn(text: str) -> dict[str, str]:
    """Name and base of each error in the drawing."""
    found, base = {}, ""
    for row in text.splitlines():
        if branch := re.match(r"    [├└]── (\S+)", row):
            found[branch[1]] = base
        elif root := re.match(r"    ([\w.]+)", row):
            base = root[1].rpartition(".")[2]
    return found
