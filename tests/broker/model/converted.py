"""What a release finds that counts bytes, where one was that counted none."""

from broker.keys import COUNTED
from tests.broker.model.fleet import Fleet


def count_bytes(fleet: Fleet) -> None:
    """Convert all messages without the mark, two at a time."""
    for header in fleet.state.records.values():
        if not header.enqueue_id.startswith(COUNTED):
            life = fleet.truth.lives.pop(header.enqueue_id)
            life.header = life.header._replace(enqueue_id=f"{COUNTED}{header.enqueue_id}")
            fleet.truth.lives[life.header.enqueue_id] = life
    cursor = b""
    while cursor := fleet.shard.run("count_bytes", cursor, 2):
        pass
    fleet.run("count_bytes", "", 2)
