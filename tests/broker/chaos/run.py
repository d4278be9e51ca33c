"""One storm from its beginning to the verdict."""

from pathlib import Path

from tests.broker.chaos.plan import Plan
from tests.broker.chaos.storm import Say, storm
from tests.broker.chaos.verdict import State, Verdict


def weather(plan: Plan, folder: Path, say: Say) -> Verdict:
    """Let it happen and judge what is left; the logs of the workers stay in the folder."""
    with storm(plan, folder, say) as under_way:
        state = State(plan, under_way.server.client)
        under_way.until_accounted_for(state)
        took_s = under_way.took_s()
        code = under_way.stop()
        verdict = state.judge()
    if code != 0:
        verdict.wrong.append(f"The fleet ended with code {code}.")
    verdict.wrong += [f"It was not the time for all {name}." for name in under_way.still_planned()]
    verdict.figures |= {
        "workers killed": under_way.killed,
        **dict(sorted(under_way.happened.items())),
        "ends of processes": dict(sorted(under_way.ends.items())),
        "seconds": round(took_s, 1),
    }
    return verdict
