"""Examples of `control.breakers`."""

from . import Example, World, new_id

SECTION = "breakers"


def examples(world: World) -> dict[str, Example]:
    """By the name of the call."""
    one = Example(mine=lambda: {"key": f"test:{new_id()}"}, refused="operators_only")
    return {
        "list": Example(mine={}, refused="operators_only"),
        "show": one,
        "force_open": one,
        "force_closed": one,
        "reset": one,
    }
