"""Examples of `control.orgs`."""

from . import Example, World, new_id

SECTION = "orgs"


def examples(world: World) -> dict[str, Example]:
    """By the name of the call."""
    return {
        "list": Example(mine={}, refused="operators_only"),
        "set": Example(mine={"org_id": world.owner, "weight": 1}, refused="operators_only"),
        "show": Example(mine={"org_id": world.owner}, nowhere=lambda: {"org_id": new_id()}),
    }
