"""A remote service answers 503 with `Retry-After: 6` for ever: the publish ends, within a bound that is a setting.

A park that the remote service asks for is not charged; together they are bounded, and what comes after is charged.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import time

from domain.publish_execution import PublishExecution
from tests.cases.http_servers import Reply, Request, http_server
from tests.cases.kit import eventually, verdict
from tests.cases.platforms import ON_LOOPBACK, DoesNotStart, platform_up

#: What `PRESSROOM_MAX_PARKED_S` is set to.
MAX_PARKED_S = 10
#: The publish has ended by then: its parks, then four charged attempts that each wait as long as they are asked to.
ENDS_WITHIN_S = MAX_PARKED_S + 4 * 12.0

RETRY_AFTER_S = 6


def main() -> list[str]:
    """What is wrong."""
    asked: list[float] = []

    def answer(_request: Request) -> Reply:
        asked.append(time.monotonic())
        return Reply(503, headers={"Retry-After": str(RETRY_AFTER_S)})

    try:
        with (
            http_server(answer) as address,
            platform_up(**ON_LOOPBACK, max_parked_s=MAX_PARKED_S) as platform,
        ):
            tenant = platform.new_tenant(contents=1)
            (intent,) = platform.new_intents(tenant, platform.new_webhook(tenant, address))
            from actors import publish_execution  # they find their broker by the settings

            publish_execution.send(PublishExecution(org_id=tenant.org_id, intent_id=intent))
            ended = eventually(lambda: platform.status_of(intent) == "failed", ENDS_WITHIN_S)
            print(f"asked {len(asked)} times; {platform.status_of(intent)}")
    except DoesNotStart as error:
        print(error)
        return [f"parks have no bound that could be set: {str(error).splitlines()[0]}"]
    return [] if ended else [f"it has not ended after {ENDS_WITHIN_S:.0f} s"]


if __name__ == "__main__":
    verdict(main)
