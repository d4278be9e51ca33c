"""Records that no encoder of ours wrote, put where workers find them: each may hurt only itself."""

import json
from typing import Any

import redis

from broker.keys import base_key, lane_of, record_of
from broker.leasing.lease import Sent
from broker.sending import Bounds, Sender
from tests.broker.chaos.plan import NAMESPACE, OWN, QUEUE

#: Messages that cannot be run, and have to end as dead letters.
HOSTILE = f"{OWN}hostile"

_BASE = base_key(NAMESPACE)


def put_hostile_records(client: "redis.Redis", number: int) -> None:
    """Put one of each kind among the others.

    Parameters:
        client: of the primary, by its administrator's hand.
        number: of this time, from 1.
    """
    message = {"queue_name": QUEUE, "actor_name": "\ud800", "args": [], "kwargs": {}, "options": {}}
    bodies = {
        f"hostile-{number}-bytes": b"\xff\xfe no message",
        f"hostile-{number}-shape": b'{"queue_name": 7, "args": {}}',
        f"hostile-{number}-actor": json.dumps(
            {**message, "message_id": f"hostile-{number}-actor", "message_timestamp": 0}
        ).encode(),
    }
    lane = lane_of("job", 0)
    sent = [
        Sent(message_id, message_id, 0, "", record_of(QUEUE, "hostile", lane, message_id, body))
        for message_id, body in bodies.items()
    ]
    Sender(client, _BASE, Bounds(), "local").send(sent)
    client.sadd(HOSTILE, *bodies)
    client.lpushx(f"{_BASE}:l:{QUEUE}:org-1:job:0", "no entry")
    workers: Any = client.zrange(f"{_BASE}:workers", 0, 0)
    for worker_id in workers:
        client.hset(f"{_BASE}:lease:{worker_id}", f"hostile-{number}-lease", "no token")
