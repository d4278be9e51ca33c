"""How a rate is changed: it is set, and then what may wait for the old one is looked at again, in batches."""

from typing import Any

from tests.broker.model.scripted import Shard
from tests.broker.model.structure import Broken


def change_rate(shard: Shard, actor: str, rate: tuple[float, float] | None) -> None:
    """Set an actor's start rate: interval and tolerance in milliseconds; None for no rate.

    Raises:
        Broken: all was looked at, and the actor is still marked.
    """
    queues = shard.run("set_rates", actor, *(("", "") if rate is None else (str(rate[0]), str(rate[1]))))
    for queue in queues:
        looked_at, from_ms, skip = 1, "0", 0
        while looked_at:
            looked_at, from_ms, skip = shard.run("free_lanes", actor, queue, from_ms, skip, 2)
    if queues:
        shard.run("free_lanes", actor, "", 0, 0, 0)
    fields: Any = shard.client.hkeys(shard.key("r"))
    if marked := [field for field in fields if field.startswith(b"\n")]:
        raise Broken(f"9: the rates of {marked} are as they should be, and marked as changed")
