"""Waiting for slots on the fair broker when it leaves them to the guard, as the guard's own tests have it."""

import pytest

from tests.broker.guards.conftest import unhelpful_broker
from tests.middleware.org_limits.test_waiting import *  # noqa: F403  # the same tests, another `bare_broker`

pytestmark = pytest.mark.slow
bare_broker = unhelpful_broker
