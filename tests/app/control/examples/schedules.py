"""Examples of `control.schedules`."""

from uuid import uuid4

from . import Example, World, new_id

SECTION = "schedules"


def examples(world: World) -> dict[str, Example]:
    """By the name of the call."""

    def new() -> dict[str, object]:
        return {
            "name": new_id(),
            "actor": "resize",
            "expression": "@hourly",
            "payload": {"image_id": 700_000_000_000},  # in no UUID, so that texts can be compared
            "org_id": world.owner,
        }

    def added() -> dict[str, object]:
        owner = world.caller(world.owner)
        made = world.control.schedules.add(owner, new_id(), "resize", "@hourly", {"image_id": 7})
        return {"schedule_id": made.id}

    one = Example(mine=added, nowhere=lambda: {"schedule_id": uuid4()})
    return {
        "add": Example(mine=new, nowhere=lambda: {**new(), "org_id": uuid4()}),
        "list": Example(mine={"org_id": world.owner}, nowhere=lambda: {"org_id": new_id()}),
        "built_in": Example(mine={}, refused="operators_only"),
        "show": one,
        "pause": one,
        "resume": one,
        "remove": one,
    }
