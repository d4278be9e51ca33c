"""Examples of `control.jobs`."""

from tests.app.control.attempts import put_attempt

from . import Example, World, new_id

SECTION = "jobs"


def examples(world: World) -> dict[str, Example]:
    """By the name of the call."""

    def job() -> dict[str, object]:
        return {"job_id": put_attempt(world.engine, world.owner, outcome="retried").message_id}

    def sent() -> dict[str, object]:
        owner = world.caller(world.owner)
        return {"job_id": world.control.jobs.enqueue(owner, "resize", {"image_id": 7})}

    def request() -> dict[str, object]:
        owner = world.caller(world.owner)
        return {"request_id": world.control.jobs.cancel_all(owner, actor=new_id())}

    of_owner, of_nobody = {"org_id": world.owner}, lambda: {"org_id": new_id()}
    return {
        "enqueue": Example(
            mine={"actor": "resize", "payload": {"org_id": str(world.owner), "image_id": 7}},
            nowhere=lambda: {"actor": "resize", "payload": {"org_id": new_id(), "image_id": 7}},
        ),
        "list": Example(mine=of_owner, nowhere=of_nobody),
        "show": Example(mine=job, nowhere=lambda: {"job_id": new_id()}),
        "why": Example(mine=sent, nowhere=lambda: {"job_id": new_id()}),
        "waiting": Example(mine=of_owner, nowhere=of_nobody),
        "set_priority": Example(
            mine=lambda: {**sent(), "priority": 700},
            nowhere=lambda: {"job_id": new_id(), "priority": 700},
        ),
        "cancel": Example(mine=job, nowhere=lambda: {"job_id": new_id()}),
        "cancel_all": Example(mine=of_owner, nowhere=of_nobody),
        "withdraw": Example(mine=request, nowhere=lambda: {"request_id": new_id()}),
        "requests": Example(mine=of_owner, nowhere=of_nobody),
    }
