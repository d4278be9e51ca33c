"""Identifiers that sort by time."""

from hypothesis import given
from hypothesis import strategies as st

from adapters.ids import uuid7

MOMENTS = st.integers(min_value=0, max_value=2**48 - 1)


@given(earlier=MOMENTS, later=MOMENTS)
def test_identifiers_sort_by_the_time_they_were_made(earlier: int, later: int) -> None:
    """A later millisecond gives the greater identifier."""
    first, second = uuid7(lambda: earlier), uuid7(lambda: later)

    if earlier != later:
        assert (first < second) == (earlier < later)


@given(now_ms=MOMENTS)
def test_an_identifier_is_a_version_7_uuid_that_holds_its_time(now_ms: int) -> None:
    """Version and variant are those of RFC 9562, the first 48 bits the milliseconds."""
    made = uuid7(lambda: now_ms)

    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == now_ms


def test_identifiers_of_one_millisecond_differ() -> None:
    """74 random bits tell them apart."""
    assert len({uuid7(lambda: 5) for _ in range(1_000)}) == 1_000
