"""Examples of `control.queues`."""

from . import Example, World, new_id

SECTION = "queues"


def examples(world: World) -> dict[str, Example]:
    """By the name of the call."""
    return {"list": Example(mine={"org_id": world.owner}, nowhere=lambda: {"org_id": new_id()})}
