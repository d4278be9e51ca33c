"""An org's caller enqueues with an absurd delay: it is refused at the door, and everybody's views work.

A job that nobody can cancel, and a list that breaks for operators, would be the price of taking it.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from collections.abc import Callable
from uuid import uuid4

from app.control import Operator, OrgCaller, build_control
from app.control.build import Control
from app.settings import load_settings
from domain.errors import JobError
from tests.cases.kit import in_short, outcome, verdict
from tests.cases.platforms import servers_up

#: What is further ahead than ten years is refused.
MOST_MS = 10 * 366 * 86_400_000

DELAYS_MS = {
    "now": 0,
    "10**13": 10**13,
    "10**15": 10**15,
    "10**18": 10**18,
    "10**30": 10**30,
    "10**400": 10**400,
}


def main() -> list[str]:
    """What is wrong."""
    faults = []
    with servers_up() as platform, build_control(load_settings(run_file=False)) as control:
        org = OrgCaller(org_id=platform.new_tenant().org_id, who="ann", reason="a case")
        operator = Operator(who="op", reason="a case")
        for name, delay_ms in DELAYS_MS.items():
            payload = {"experiment_id": str(uuid4()), "triggered_by": "x"}
            job = outcome(
                lambda payload=payload, delay_ms=delay_ms: control.jobs.enqueue(  # type: ignore[misc]
                    org, "experiment_start", payload, delay_ms=delay_ms
                )
            )
            print(f"{name}: {in_short(job)}")
            if delay_ms > MOST_MS and not isinstance(job, JobError | ValueError):
                faults.append(f"{name} is no refusal: {type(job).__name__}")
            if isinstance(job, Exception):
                continue
            for view, call in _views(control, org, operator, job).items():
                answer = outcome(call)
                if isinstance(answer, Exception):
                    print(f"  {view}: {in_short(answer)}")
                    faults.append(f"{view} after {name}")
            control.queues.clean(org, "experiments")
    return faults


def _views(control: Control, org: OrgCaller, operator: Operator, job: str) -> dict[str, Callable[[], object]]:
    return {
        "why": lambda: control.jobs.why(operator, job),
        "show": lambda: control.jobs.show(operator, job),
        "waiting": lambda: len(control.jobs.waiting(operator)),
        "queues": lambda: len(control.queues.list(operator)),
        "lanes": lambda: len(control.queues.lanes(operator, "experiments")),
        "cancel": lambda: control.jobs.cancel(org, job),
    }


if __name__ == "__main__":
    verdict(main)
