"""Dead letters in outages, on the fair broker: of the guard's own tests those in which the broker's server is away."""

import pytest

from tests.middleware.dead_letters.test_outage import (
    own,
    test_a_letter_is_in_the_table_once_spool_and_postgres_are_back,
    test_whatever_is_given_up_during_the_outage_is_there_whole,
)

__all__ = [
    "own",
    "test_a_letter_is_in_the_table_once_spool_and_postgres_are_back",
    "test_whatever_is_given_up_during_the_outage_is_there_whole",
]

pytestmark = pytest.mark.slow
