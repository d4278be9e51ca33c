"""Examples of `control.pauses`."""

from . import Example, World, new_id

SECTION = "pauses"


def examples(world: World) -> dict[str, Example]:
    """By the name of the call."""

    def paused() -> dict[str, object]:
        owner = world.caller(world.owner)
        world.control.pauses.pause(owner, actor="resize", for_ms=60_000)
        return {"actor": "resize", "org_id": world.owner}

    return {
        "list": Example(mine={"org_id": world.owner}, nowhere=lambda: {"org_id": new_id()}),
        "pause": Example(
            mine={"org_id": world.owner, "for_ms": 60_000},
            nowhere=lambda: {"org_id": new_id(), "for_ms": 60_000},
        ),
        "resume": Example(mine=paused, nowhere=lambda: {"actor": "resize", "org_id": new_id()}),
    }
