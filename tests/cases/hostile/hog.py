"""An org publishes ten posts to a remote service that drips bytes; another org asks for a small job.

At the defaults: 8 threads, 10 running jobs an org. An org never holds all threads while another one waits.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import socket
import time
from uuid import uuid4

from domain.experiment_start import ExperimentStart
from domain.publish_execution import PublishExecution
from tests.cases.http_servers import raw_server
from tests.cases.kit import pause, verdict
from tests.cases.platforms import ON_LOOPBACK, Platform, Tenant, platform_up

#: The other org's job begins so soon, on 8 threads.
BEGINS_WITHIN_S = 2.0

PUBLISHES = 10


def main() -> list[str]:
    """What is wrong."""
    # What drips is not waited for at the end.
    with raw_server(_drip) as address, platform_up(**ON_LOOPBACK, drain_s=1) as platform:
        evil, victim = platform.new_tenant(contents=PUBLISHES), platform.new_tenant()
        target = platform.new_webhook(evil, address)
        before_s = _begins_after(platform, victim, 20.0)
        from actors import publish_execution  # they find their broker by the settings

        for intent in platform.new_intents(evil, target):
            publish_execution.send(PublishExecution(org_id=evil.org_id, intent_id=intent))
        pause(4)
        after_s = _begins_after(platform, victim, 5 * BEGINS_WITHIN_S)
    print(f"the other org's job began after {before_s:.1f} s, beside the drip after {after_s:.1f} s")
    if before_s == float("inf"):
        raise RuntimeError("nothing begins at all")
    return (
        [] if after_s <= BEGINS_WITHIN_S else [f"the other org's job began after {after_s:.1f} s (inf: not)"]
    )


def _begins_after(platform: Platform, tenant: Tenant, patience_s: float) -> float:
    from actors import experiment_start

    began_s = time.monotonic()
    message = experiment_start.send(
        ExperimentStart(org_id=tenant.org_id, experiment_id=uuid4(), triggered_by="a case")
    )
    begun = platform.begun(message.message_id, patience_s)
    return time.monotonic() - began_s if begun else float("inf")


def _drip(connection: socket.socket) -> None:
    connection.recv(65_536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        pause(5)
        connection.sendall(b"a")


if __name__ == "__main__":
    verdict(main)
