"""The size rule of exports, to the byte."""

import io

import pytest

from domain.errors import SizeLimitExceeded
from domain.export_size import SizeLimit


@pytest.mark.parametrize("pieces", [[11], [10, 1], [4, 7], [1] * 11], ids=str)
def test_one_byte_over_the_limit_is_refused_and_not_passed_on(pieces: list[int]) -> None:
    """However the bytes come, what went through is at most the limit."""
    sink = io.BytesIO()
    limited = SizeLimit(sink, 10)

    with pytest.raises(SizeLimitExceeded, match="larger than 10 bytes"):  # noqa: PT012  # any of the writes
        for size_bytes in pieces:
            limited.write(b"x" * size_bytes)

    assert len(sink.getvalue()) == limited.size_bytes <= 10
