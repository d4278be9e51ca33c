"""The size rule of exports: stop the moment the limit is passed, not when the file is complete."""

from typing import Protocol

from .errors import SizeLimitExceeded


class Sink(Protocol):
    """Takes bytes."""

    def write(self, data: bytes, /) -> object: ...


class SizeLimit:
    """A sink that passes bytes on until there are too many.

    Parameters:
        sink: where the bytes go.
        limit_bytes: how many may pass in all.
    """

    def __init__(self, sink: Sink, limit_bytes: int) -> None:
        self._sink = sink
        self._limit_bytes = limit_bytes
        self.size_bytes = 0

    def write(self, data: bytes, /) -> int:
        """Pass `data` on.

        Raises:
            SizeLimitExceeded: it would pass the limit; none of it was passed on.
        """
        if self.size_bytes + len(data) > self._limit_bytes:
            raise SizeLimitExceeded(
                f"the export is larger than {self._limit_bytes} bytes; narrow the date range, leave parts out, "
                "or send it to s3 or a path, where the limit is higher"
            )
        self._sink.write(data)
        self.size_bytes += len(data)
        return len(data)
