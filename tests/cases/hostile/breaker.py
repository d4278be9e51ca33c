"""Two orgs publish to the same host, as all users of a hosted webhook service do; one of them lets its own path fail.

A breaker for an address that a tenant chooses is that tenant's: the other one's publishes go on.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import time
from uuid import UUID

from domain.publish_execution import PublishExecution
from domain.publishing import RetryOptions
from tests.cases.http_servers import Reply, Request, http_server
from tests.cases.kit import eventually, verdict
from tests.cases.platforms import ON_LOOPBACK, Platform, Tenant, platform_up

#: The other org's publish is done so soon: at once, with room for a busy machine.
AT_ONCE_S = 5.0

#: Publishes that fail, enough to open any breaker, each quickly. And how long they may take.
FAILURES, FAILING_S = 8, 40.0
QUICKLY = RetryOptions(retries=0, backoff_ms=100)


def main() -> list[str]:
    """What is wrong."""
    failed: list[str] = []

    def answer(request: Request) -> Reply:
        if request.path.startswith("/evil"):
            failed.append(request.path)
            return Reply(503)
        return Reply(body=b"{}")

    with http_server(answer) as address, platform_up(**ON_LOOPBACK, drain_s=1) as platform:
        evil, victim = platform.new_tenant(contents=FAILURES), platform.new_tenant(contents=2)
        evil_target = platform.new_webhook(evil, f"{address}/evil")
        intents = platform.new_intents(victim, platform.new_webhook(victim, f"{address}/good"))
        before = _published(platform, victim, intents[0], FAILING_S)
        from actors import publish_execution  # they find their broker by the settings

        for intent in platform.new_intents(evil, evil_target):
            publish_execution.send(PublishExecution(org_id=evil.org_id, intent_id=intent, retry=QUICKLY))
        if not eventually(lambda: _ended_attempts(platform, evil) >= FAILURES, FAILING_S):
            raise RuntimeError(f"{len(failed)} requests, and the publishes do not fail")
        after = _published(platform, victim, intents[1], AT_ONCE_S)
        if after is None:
            listed = platform.app("breakers", "list", "--operator", "--reason", "a case")
            print(listed.stdout)
    print(f"{len(failed)} failures of the one; the other published after {before} s, then after {after} s")
    if before is None:
        raise RuntimeError("nothing is published at all")
    return [] if after is not None else [f"the other org's publish is not done after {AT_ONCE_S:.0f} s"]


def _ended_attempts(platform: Platform, tenant: Tenant) -> int:
    query = "SELECT count(DISTINCT message_id) FROM job_attempts WHERE org_id = %s AND outcome <> 'running'"
    found = platform.one(query, tenant.org_id)
    return found if isinstance(found, int) else 0


def _published(platform: Platform, tenant: Tenant, intent: UUID, within_s: float) -> float | None:
    from actors import publish_execution

    began_s = time.monotonic()
    publish_execution.send(PublishExecution(org_id=tenant.org_id, intent_id=intent))
    if not eventually(lambda: platform.status_of(intent) == "published", within_s):
        return None
    return round(time.monotonic() - began_s, 1)


if __name__ == "__main__":
    verdict(main)
