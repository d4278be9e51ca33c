"""What one attempt at a job has around it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from uuid import UUID, uuid4

import dramatiq
from dramatiq.middleware import CurrentMessage

from adapters.job_board import BoardRun, JobBoard

#: The surroundings of one attempt, for the org it works for; None for the platform's own jobs.
Surroundings = Callable[[UUID | None], AbstractContextManager[BoardRun]]


def surroundings_of(board: JobBoard) -> Surroundings:
    """Attempts whose progress is on the board, and whose id and deadline are the message's.

    Called outside a worker, as tests and shells do, an attempt has an id of its own and no deadline.
    """

    @contextmanager
    def attempt(org_id: UUID | None) -> Iterator[BoardRun]:
        message = CurrentMessage.get_current_message()
        if message is None:
            name, job_id, time_limit_ms = "direct call", uuid4(), None
        else:
            actor = dramatiq.get_broker().get_actor(message.actor_name)
            name, job_id = message.actor_name, UUID(message.message_id)
            time_limit_ms = message.options.get("time_limit") or actor.options.get("time_limit")
        with board.run(job_id=job_id, org_id=org_id, actor=name, time_limit_ms=time_limit_ms) as run:
            yield run

    return attempt
