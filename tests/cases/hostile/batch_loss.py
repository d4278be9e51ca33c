"""Messages with an absurd delay beside the retries of others: an error half-way through an end loses nobody's retry.

`option`: the option `held_until` on a message of an unknown actor. `guard`: `Parked` with a delay of 10**20 ms.
Arguments: option, guard; default both.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import threading

import dramatiq
from dramatiq import Message

from middleware import Parked, Retries
from tests.cases.kit import all_of, broker_on, own_server, verdict, working

#: Jobs of other orgs that fail twice and then succeed: all of them do.
VICTIMS, TRIES = 400, 3
#: Seconds without another one done after which the rest will never be; far more than a retry waits.
STALLED_S = 12.0


def main() -> list[str]:
    """What is wrong."""
    return [fault for variant in sys.argv[1:] or ["option", "guard"] for fault in _lost(variant)]


def _lost(variant: str) -> list[str]:
    ran: dict[int, int] = {}
    counting = threading.Lock()
    retries = Retries(min_backoff=300, max_backoff=600)
    with own_server() as url, broker_on(url, middleware=[retries]) as broker:

        @dramatiq.actor(broker=broker, max_retries=50)
        def flaky(number: int) -> None:
            with counting:
                ran[number] = ran.get(number, 0) + 1
            if ran[number] < TRIES:
                raise ValueError("again, please")

        @dramatiq.actor(broker=broker)
        def parks() -> None:
            raise Parked("maintenance", delay_ms=10**20, key="door")

        def done() -> int:
            return sum(each >= TRIES for each in list(ran.values()))

        for number in range(VICTIMS):
            broker.enqueue(flaky.message_with_options(args=(number,), org=f"victim{number % 4}"))
            if number % 20 == 5:
                broker.enqueue(_evil() if variant == "option" else parks.message_with_options(org="evil"))
        with working(broker, threads=8):
            all_of(done, VICTIMS, STALLED_S)
        count = done()
    print(f"{variant}: {count} of {VICTIMS} done")
    return [] if count == VICTIMS else [f"{variant}: {VICTIMS - count} of {VICTIMS} jobs are never done"]


def _evil() -> "Message[object]":
    options: dict[str, object] = {"org": "evil", "held_until": 10**30}
    return Message(queue_name="default", actor_name="nobody_knows", args=(), kwargs={}, options=options)


if __name__ == "__main__":
    verdict(main)
