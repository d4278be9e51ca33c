"""Missed ticks on the fair broker, as the guard's own tests have it."""

import pytest

from tests.middleware.cron.test_missed_ticks import *  # noqa: F403  # the same tests, another `bare_broker`

pytestmark = pytest.mark.slow
