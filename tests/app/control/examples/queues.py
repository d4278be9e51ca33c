"""Examples of `control.queues`."""

from . import Example, World, new_id

SECTION = "queues"


def examples(world: World) -> dict[str, Example]:
    """By the name of the call."""
    mine = {"queue": "images", "org_id": world.owner}
    one = Example(mine=mine, nowhere=lambda: {"queue": "images", "org_id": new_id()})
    return {
        "list": Example(mine={"org_id": world.owner}, nowhere=lambda: {"org_id": new_id()}),
        "show": one,
        "lanes": one,
        "clean": one,
        "drain_dramatiq": Example(mine={"dry_run": True}, refused="operators_only"),
    }
