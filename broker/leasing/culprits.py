"""Ends messages one by one whose ends cannot be told together: what cannot be told at all becomes a dead letter."""

import logging
from collections.abc import Callable

import redis
from dramatiq.errors import ConnectionClosed

from ..bounds import printable, to_wire
from ..scripts import Argument, Script
from .lease import DEAD, Lease, Sent

_ENQUEUE = Script("enqueue")
_KEEP_LETTER = Script("keep_letter")
#: No bounds, nothing still to come, and no number: it is not repeated.
_UNBOUNDED = (0, 0, 0, 0, 0, 0, "", 0)
#: What a record has before its message.
_HEADER_LINES = 4

logger = logging.getLogger(__name__)


class Culprits:
    """Ends the leases of a batch whose call failed, though the server answers.

    Parameters:
        client: a client that never sends a command twice by itself.
        base: the shard's base key.
        dead_ttl_ms: how long dead letters are kept.
        end: ends these leases, or raises; with none it only asks whether the server takes such calls at all.
    """

    def __init__(
        self, client: "redis.Redis", base: str, dead_ttl_ms: int, end: Callable[[list[Lease]], object]
    ) -> None:
        self._client = client
        self._base = base
        self._dead_ttl_ms = dead_ttl_ms
        self._end = end

    def end_each(self, batch: list[Lease]) -> None:
        """End leases one by one, and remove them from the list; those stay that no call can end now, whoever made it.

        Raises:
            ConnectionClosed: the server does not answer.
        """
        while batch:
            lease = batch[0]
            try:
                self._end([lease])
            except ConnectionClosed:
                raise
            except Exception as error:  # noqa: BLE001  # whatever it is, it is this message's or everybody's
                if not self._is_answered():
                    return
                self._end_culprit(lease, error)
            del batch[0]

    def _is_answered(self) -> bool:
        try:
            self._end([])
        except ConnectionClosed:
            raise
        except Exception:  # noqa: BLE001  # then nobody's end can be told
            return False
        return True

    def _end_culprit(self, lease: Lease, error: Exception) -> None:
        logger.error(
            "The end of a message of queue %s cannot be told (%s); what goes along with it is sent piece by piece.",
            lease.queue,
            error,
        )
        # Before its end: a process that is killed now sends something twice, and loses nothing.
        for sent in lease.carried:
            self._send(lease, sent)
        lease.carried, lease.operations = [], []
        for outcome in (lease.outcome, DEAD):
            lease.outcome = outcome
            try:
                self._end([lease])
            except ConnectionClosed:
                raise
            except Exception:
                logger.exception("It cannot be ended as %s either.", outcome)
            else:
                return

    def _send(self, lease: Lease, sent: Sent) -> None:
        try:
            fields: list[Argument] = [to_wire(value) for value in sent[:4]]
            _ENQUEUE(self._client, self._base, [*_UNBOUNDED, *fields, sent.record])
        except ConnectionClosed:
            raise
        except Exception:
            logger.exception("It takes along what cannot be sent, which is a dead letter now.")
            self._keep(lease, sent)

    def _keep(self, lease: Lease, sent: Sent) -> None:
        queue, record = lease.queue, sent.record
        if record.count(b"\n") < _HEADER_LINES:
            record = f"{queue}\n{lease.org}\n{lease.lane}\n\n".encode("utf-8", "surrogateescape") + record
        names: tuple[str, ...] = (queue, printable(sent.message_id), sent.enqueue_id)
        _KEEP_LETTER(self._client, self._base, [*map(to_wire, names), record, self._dead_ttl_ms])
