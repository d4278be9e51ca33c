"""Examples of `control.workers`."""

from tests.broker.inspection.inspection_helpers import serving

from . import Example, World

SECTION = "workers"


def examples(world: World) -> dict[str, Example]:
    """By the name of the call."""
    one = Example(mine=lambda: {"worker": serving(world.broker, "images")}, refused="operators_only")
    return {"list": Example(mine={}, refused="operators_only"), "quiet": one, "resume": one}
