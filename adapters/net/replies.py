"""What comes back from a remote service: a whole reply, or the part of one that there was."""

from dataclasses import dataclass

import httpx

from domain.errors import InvalidReply, ProviderUnavailable


@dataclass(frozen=True, kw_only=True)
class HttpReply:
    """A reply that was read to its end."""

    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def is_success(self) -> bool:
        """True for every 2xx."""
        return 200 <= self.status < 300


class PassingRefusal(ProviderUnavailable):
    """A status that passes by itself.

    Parameters:
        message: what happened and what to do.
        status: which it was.
        retry_after_s: seconds after which the remote service asked to be tried again.
    """

    def __init__(self, message: str, *, status: int, retry_after_s: float | None = None) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.status = status


class UnreadBody(InvalidReply):
    """A reply whose body is too large, or compressed.

    Parameters:
        message: what happened and what to do.
        reply: the reply without its body, for whom the status is enough.
    """

    def __init__(self, message: str, reply: HttpReply) -> None:
        super().__init__(message)
        self.reply = reply


class CutShort(ProviderUnavailable):
    """A reply that ended or stood still before its body was whole. Parameters as for `UnreadBody`."""

    def __init__(self, message: str, reply: HttpReply) -> None:
        super().__init__(message)
        self.reply = reply
