"""Versions of contracts on the fair broker, as the guard's own tests have it."""

import pytest

from tests.middleware.contracts.test_versions import *  # noqa: F403  # the same tests, another `bare_broker`

pytestmark = pytest.mark.slow
