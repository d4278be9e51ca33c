"""Bytes that are no message, on the fair broker, which hands them to the guard itself."""

import pytest

from tests.middleware.dead_letters.test_undecodable import (
    test_a_delay_queue_is_looked_after_too,
    test_they_are_kept_as_they_came,
    test_they_are_rejected_like_any_other,
)

__all__ = [
    "test_a_delay_queue_is_looked_after_too",
    "test_they_are_kept_as_they_came",
    "test_they_are_rejected_like_any_other",
]

pytestmark = pytest.mark.slow
