"""A dead letter of the fair broker's, sent again, begins another life."""

import threading
from typing import Any
from uuid import uuid4

import dramatiq
import pytest
from dramatiq import Message

from broker import FairRedisBroker
from middleware import DeadLetterReplayer, DeadLetters
from middleware.dead_letters.letter import DeadLetter
from middleware.dead_letters.memory import MemoryDeadLetterStore
from tests.broker.conftest import MakeBroker
from tests.broker.workers import folders, run_all, started
from tests.middleware.brokers import replace_stack, stored
from tests.middleware.eventually import eventually

pytestmark = pytest.mark.slow

ORG = "acme"


def test_the_replay_of_what_no_worker_knew_is_held_again(new_broker: MakeBroker, raw: Any) -> None:
    """Until a worker comes that knows its actor, as any message that is new; its first wait is over and forgotten."""
    store = MemoryDeadLetterStore()
    letter, namespace = _letter_of_what_nobody_knew(new_broker, store, "newer")
    new, ran = new_broker(namespace=namespace), threading.Event()
    dramatiq.actor(broker=new, actor_name="newer")(lambda *_args: ran.set())

    DeadLetterReplayer(new, store.of_org(ORG)).retry(letter.id)

    old = new_broker(namespace=namespace)
    old.declare_queue("default")
    with started(old):
        assert eventually(lambda: folders(raw, old).get("delayed") == 1)
    run_all(new)
    assert ran.is_set()


def test_what_strangers_put_into_a_message_is_in_its_replay(new_broker: MakeBroker) -> None:
    """Nobody declares it, so it is the caller's."""
    store = MemoryDeadLetterStore()
    letter, namespace = _letter_of_what_nobody_knew(new_broker, store, "newer", shoe_size=43)
    new = new_broker(namespace=namespace)
    dramatiq.actor(broker=new, actor_name="newer")(print)

    DeadLetterReplayer(new, store.of_org(ORG)).retry(letter.id)

    (message,) = stored(new, "default")
    assert message.options == {
        "org": ORG,
        "shoe_size": 43,
        "admitted": True,
        "replay_of": letter.id,
    }


def _letter_of_what_nobody_knew(
    new_broker: MakeBroker, store: MemoryDeadLetterStore, actor_name: str, **options: Any
) -> tuple[DeadLetter, str]:
    """Its letter, after it was held for a moment and rejected; and the namespace it was in."""
    broker: FairRedisBroker = new_broker(hold_unknown=1, namespace=uuid4().hex)
    replace_stack(broker, DeadLetters(store))
    broker.declare_queue("default")
    broker.enqueue(Message("default", actor_name, (), {}, {"org": ORG, **options}))
    run_all(broker)
    (letter,) = store.of_org(ORG).list()
    return letter, broker.namespace
