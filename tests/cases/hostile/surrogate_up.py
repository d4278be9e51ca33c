"""A message whose actor's name is half a surrogate pair, which JSON can hold, beside others' on a running platform.

The neighbours run, on its queue and on others, and the culprit is a dead letter.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from dramatiq import Message

from broker import Inspector
from tests.cases.kit import eventually, verdict
from tests.cases.platforms import platform_up

#: A neighbour's job is done so soon, with room for a busy machine: the maintenance itself takes a second.
DONE_WITHIN_S = 10.0
#: Dead letters afterwards, the broker's or the platform's: nothing else fails.
LETTERS = 1


def main() -> list[str]:
    """What is wrong."""
    faults = []
    with platform_up(drain_s=1) as platform:
        from actors import database_maintenance, media_cleanup  # they find their broker by the settings
        from app.broker import broker

        if not platform.succeeded(database_maintenance.send().message_id, 2 * DONE_WITHIN_S):
            raise RuntimeError("nothing runs at all")
        broker.enqueue(
            Message(queue_name="maintenance", actor_name="\ud800", args=(1,), kwargs={}, options={})
        )
        look = Inspector(broker.client, broker.base)

        def letters() -> int:
            kept = platform.one("SELECT count(*) FROM publishing_dlq")
            return (look.depth("maintenance")[0].dead or 0) + (kept if isinstance(kept, int) else 0)

        if not eventually(lambda: letters() >= LETTERS, DONE_WITHIN_S):
            faults.append("the culprit is no dead letter")
        if not platform.succeeded(database_maintenance.send().message_id, DONE_WITHIN_S):
            faults.append("a neighbour on the same queue does not run")
        if not platform.succeeded(media_cleanup.send().message_id, DONE_WITHIN_S):
            faults.append("a neighbour on another queue does not run")
        print(f"neighbours and culprit: {faults or 'as they should be'}")
        for probe in ("--liveness", "--readiness"):
            ended = platform.app("probe", probe)
            print(f"probe {probe}: {ended.returncode} {(ended.stdout + ended.stderr).strip()[:100]}")
    return faults


if __name__ == "__main__":
    verdict(main)
