"""Examples of `control.targets`."""

import json

from sqlalchemy import select

from adapters.database.tables import domain_registry
from adapters.database.unit_of_work import UnitOfWork

from . import Example, World, new_id

SECTION = "targets"


def examples(world: World) -> dict[str, Example]:
    """By the name of the call."""

    def domain() -> object:
        with UnitOfWork(world.engine, world.owner) as unit:
            return unit.connection.execute(select(domain_registry.c.id)).scalars().first()

    def new(name: str) -> dict[str, object]:
        return {
            "domain_id": domain(),
            "name": name,
            "adapter": "webhook",
            "address": "https://blog.example",
            "credentials": lambda: json.dumps({"secret": "whsec planted 0123456789"}),
            "org_id": world.owner,
        }

    def stored() -> dict[str, object]:
        owner, given = world.caller(world.owner), new(new_id())
        return {"target_id": world.control.targets.add(owner, **given)}  # type: ignore[arg-type]

    storing = Example(mine=lambda: new(new_id()), nowhere=lambda: {**new(new_id()), "org_id": new_id()})
    one = Example(mine=stored, nowhere=lambda: {"target_id": new_id()})
    return {
        "add": storing,
        "replace": storing,
        "list": Example(mine={"org_id": world.owner}, nowhere=lambda: {"org_id": new_id()}),
        "check": one,
        "enable": one,
        "disable": one,
        "rotate": Example(mine={}, refused="operators_only"),
    }
