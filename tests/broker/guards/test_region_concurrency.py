"""Concurrency of a region on the fair broker, as the guard's own tests have it."""

import pytest

from tests.middleware.region_concurrency.test_guard import *  # noqa: F403  # the same tests, another `bare_broker`

pytestmark = pytest.mark.slow
