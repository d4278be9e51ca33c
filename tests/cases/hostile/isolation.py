"""An org's caller asks the control API for what is another org's, and for nonsense: refused, never by a traceback.

What is another org's does not exist for it; what no one can mean is refused by an error of ours that says so.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from collections.abc import Callable
from uuid import uuid4

from pydantic import JsonValue

from app.control import OrgCaller, build_control
from app.control.build import Control
from app.settings import load_settings
from domain.errors import JobError
from middleware import GuardError
from tests.cases.kit import in_short, outcome, verdict
from tests.cases.platforms import servers_up

#: What a caller may be told; anything else is a traceback.
REFUSALS = (JobError, GuardError)

Calls = dict[str, Callable[[], object]]


def main() -> list[str]:
    """What is wrong."""
    faults = []
    with servers_up() as platform, build_control(load_settings(run_file=False)) as control:
        mine, theirs = (
            OrgCaller(org_id=platform.new_tenant().org_id, who=who, reason="a case") for who in ("ann", "bob")
        )
        their_job = control.jobs.enqueue(
            theirs, "experiment_start", {"experiment_id": str(uuid4()), "triggered_by": "x"}
        )
        groups = {
            "refused": _foreign(control, mine, theirs, their_job),
            "answered or refused": _nonsense(control, mine, their_job),
        }
        for expected, calls in groups.items():
            for name, call in calls.items():
                answer = outcome(call)
                print(f"{name}: {in_short(answer)[:110]}")
                if isinstance(answer, Exception) and not isinstance(answer, REFUSALS):
                    faults.append(f"{name}: a traceback, {type(answer).__name__}")
                elif expected == "refused" and not isinstance(answer, Exception):
                    faults.append(f"{name}: not refused")
        if control.jobs.why(theirs, their_job) is None:
            faults.append("their job is gone")
    return faults


def _foreign(control: Control, mine: OrgCaller, theirs: OrgCaller, job: str) -> Calls:
    other = theirs.org_id
    export = _export()
    jobs, schedules = control.jobs, control.schedules
    return {
        "show theirs": lambda: jobs.show(mine, job),
        "why theirs": lambda: jobs.why(mine, job),
        "cancel theirs": lambda: jobs.cancel(mine, job),
        "priority of theirs": lambda: jobs.set_priority(mine, job, 1),
        "list theirs": lambda: jobs.list(mine, org_id=other),
        "waiting of theirs": lambda: jobs.waiting(mine, org_id=other),
        "enqueue for them": lambda: jobs.enqueue(mine, "domain_export", {"org_id": str(other), **export}),
        "enqueue for a list": lambda: jobs.enqueue(mine, "domain_export", {"org_id": [str(other)], **export}),
        "enqueue maintenance": lambda: jobs.enqueue(mine, "database_maintenance", {}),
        "list their schedules": lambda: schedules.list(mine, org_id=other),
        "a schedule for them": lambda: schedules.add(
            mine, "n", "domain_export", "* * * * *", export, org_id=other
        ),
        "a schedule whose payload is theirs": lambda: schedules.add(
            mine, "n2", "domain_export", "* * * * *", {"org_id": str(other), **export}
        ),
        "a schedule of the platform's": lambda: schedules.add(
            mine, "n6", "database_maintenance", "* * * * *", {}
        ),
        "a time zone as a path": lambda: schedules.add(
            mine, "n4", "domain_export", "* * * * *", export, tz="../../../etc/passwd"
        ),
        "pause a queue": lambda: control.pauses.pause(mine, queue="publishing"),
        "pause them": lambda: control.pauses.pause(mine, org_id=other),
        "weight of itself": lambda: control.orgs.set(mine, mine.org_id, weight=1_000),
        "workers": lambda: control.workers.list(mine),
        "breakers": lambda: control.breakers.list(mine),
    }


def _nonsense(control: Control, mine: OrgCaller, job: str) -> Calls:
    export = _export()
    jobs, schedules = control.jobs, control.schedules
    start: dict[str, JsonValue] = {"experiment_id": str(uuid4()), "triggered_by": "x"}
    return {
        "a delay of 10**30": lambda: jobs.enqueue(mine, "experiment_start", start, delay_ms=10**30),
        "a delay of -5": lambda: jobs.enqueue(mine, "experiment_start", start, delay_ms=-5),
        "show a path": lambda: jobs.show(mine, "../" + job),
        "show nothing": lambda: jobs.show(mine, ""),
        "show a surrogate": lambda: jobs.show(mine, "\ud800"),
        "show NUL": lambda: jobs.show(mine, "a\x00b"),
        "show a megabyte": lambda: jobs.show(mine, "x" * 1_000_000),
        "why, a surrogate": lambda: jobs.why(mine, "\ud800"),
        "why, a line feed": lambda: jobs.why(mine, "a\nb|c"),
        "a cursor of junk": lambda: jobs.list(mine, after="99999999999999999999999.x"),
        "an actor of SQL": lambda: jobs.list(mine, actor="x' or 1=1 --"),
        "an actor of NUL": lambda: jobs.list(mine, actor="\x00"),
        "a day that never comes": lambda: schedules.add(mine, "n3", "domain_export", "0 0 30 2 *", export),
        "a long list": lambda: schedules.add(
            mine, "n5", "domain_export", ",".join(["*/1"] * 60) + " * * * *", export
        ),
        "pause an actor of its own": lambda: control.pauses.pause(mine, actor="domain_export"),
        "resume it": lambda: control.pauses.resume(mine, actor="domain_export"),
        "queues": lambda: control.queues.list(mine),
        "clean its own": lambda: control.queues.clean(mine, "publishing"),
    }


def _export() -> dict[str, JsonValue]:
    return {"domain_id": str(uuid4()), "format": "csv"}


if __name__ == "__main__":
    verdict(main)
