"""A message may be due any time ahead, and waits in the server: no worker has it until then."""

import dramatiq

from tests.broker.promises.scenario import Stage

#: Nine years, in milliseconds.
DELAY_MS = 9 * 365 * 24 * 60 * 60 * 1_000


def test_vanilla_holds_it_in_a_worker(vanilla: Stage) -> None:
    """Its documentation says less than seven days, which nothing checks; a worker has it in its memory until then."""
    assert _held_while_it_waits(vanilla) == 1


def test_ours_keeps_it_in_the_server(ours: Stage) -> None:
    """It stands in a sorted set by the time when it is due, to the millisecond, and no worker has fetched it."""
    before_ms = ours.now_ms()
    assert _held_while_it_waits(ours) == 0

    ((_, due_ms),) = ours.client.zrange(f"{ours.namespace}:{{0}}:qd:default", 0, -1, withscores=True)
    assert before_ms + DELAY_MS <= due_ms <= ours.now_ms() + DELAY_MS


def _held_while_it_waits(stage: Stage) -> int:
    """How many messages workers have, once they have looked after it was sent."""
    broker = stage.broker()
    ran: list[str] = []
    actor = dramatiq.actor(broker=broker, actor_name="note")(ran.append)
    actor.send_with_options(args=("far",), delay=DELAY_MS)
    actor.send_with_options(args=("due",), delay=50)
    stage.worker(broker)
    stage.wait_until(lambda: ran == ["due"] and stage.unfinished() == 1)
    return stage.held()
