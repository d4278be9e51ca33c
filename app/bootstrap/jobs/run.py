"""What one attempt at a job has around it: the domain's `Run` on the guards."""

from uuid import UUID, uuid4

from dramatiq.middleware import CurrentMessage

import middleware
from domain.errors import Cancelled, DeadlineExceeded


class GuardedRun:
    """`domain.ports.Run`: the message's id, and what `Deadlines`, `Progress` and `Cancellation` know of it.

    Called outside a worker, as tests and shells do, an attempt has an id of its own and no deadline.
    """

    def __init__(self) -> None:
        message = CurrentMessage.get_current_message()
        self._job_id = uuid4() if message is None else UUID(message.message_id)

    @property
    def job_id(self) -> UUID:
        return self._job_id

    def remaining_s(self) -> float | None:
        return middleware.remaining()

    def progress(self, percent: int, note: str) -> None:
        middleware.progress(percent, note)

    def checkpoint(self) -> None:
        try:
            middleware.checkpoint()
        except middleware.Cancelled:
            raise Cancelled("the job was cancelled on request") from None
        except middleware.DeadlineExceeded:
            raise DeadlineExceeded(
                "the job's time limit is used up; the attempt ends between two steps"
            ) from None
