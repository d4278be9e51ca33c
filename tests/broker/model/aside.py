"""What stands aside, and whether anything still keeps it there."""

from collections.abc import Collection, Mapping

from tests.broker.model.state import State
from tests.broker.model.structure import NEVER_MS


def waits_for_nothing(
    state: State,
    gates: Mapping[str, Mapping[str, int]],
    rates: Mapping[str, Collection[float]],
    now_ms: float,
    lead_ms: float,
) -> list[str]:
    """Look for lanes and orgs that wait for longer than what keeps them. Returns what is wrong.

    Parameters:
        state: what the server holds.
        gates: by source, what it has shut, and until when.
        rates: by actor, interval and tolerance in milliseconds.
        now_ms: the time.
        lead_ms: by which timers are ahead of it.
    """
    faults = []
    for queue, entries in state.aside.items():
        for (org, lane), score in entries.items():
            at_ms = score if score == NEVER_MS else score - lead_ms
            actor = lane.partition(":")[0]
            names = [f"a:{actor}", f"x:{org}:{actor}"] if lane else [f"o:{org}"]
            untils: list[float] = [
                each[gate] or NEVER_MS for each in gates.values() for gate in names if gate in each
            ]
            if lane and actor in rates:
                untils.append(now_ms + sum(rates[actor]) + 1)
            if at_ms > now_ms and not any(until >= at_ms for until in untils):
                faults.append(f"9: {(org, lane)} waits in {queue} until {at_ms:.0f}, and nothing shuts it")
    return faults
