"""Sinks that notice how they are written to."""

from adapters.exports import WRITERS
from domain.domain_export import Format

from .samples import HEADER, row


class LargestPiece:
    """A sink that keeps the size of the largest piece."""

    def __init__(self) -> None:
        self.piece_bytes = 0

    def write(self, data: bytes, /) -> None:
        self.piece_bytes = max(self.piece_bytes, len(data))

    @classmethod
    def of_rows(cls, kind: Format, *, rows: int, body_bytes: int) -> int:
        """The largest piece of an export of `rows` rows, in bytes."""
        sink = cls()
        writer = WRITERS[kind](sink)
        writer.begin(HEADER)
        writer.content(row(number, "x" * (body_bytes // 2)) for number in range(rows))
        writer.finish()
        return sink.piece_bytes
