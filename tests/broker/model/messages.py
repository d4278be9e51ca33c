"""Messages as scripts take them, numbered."""

from itertools import count

from broker.keys import COUNTED, record_of
from broker.leasing.lease import Sent


class Messages:
    """Makes messages m1, m2, ...; each enqueue of one has a mark of its own."""

    def __init__(self) -> None:
        self._ids = count(1)
        self._uniqs = count(1)

    def __call__(
        self,
        queue: str = "q",
        org: str = "a",
        lane: str = "crop:0",
        *,
        delay_ms: int = 0,
        parked: str = "",
        message_id: str | None = None,
    ) -> Sent:
        """A new message or, with an id, another copy of one."""
        number = next(self._uniqs)
        # Some are of a release that counted no bytes.
        enqueue_id = f"u{number}" if number % 4 == 0 else f"{COUNTED}u{number}"
        record = record_of(queue, org, lane, enqueue_id, b"{}")
        return Sent(message_id or f"m{next(self._ids)}", enqueue_id, delay_ms, parked, record)
