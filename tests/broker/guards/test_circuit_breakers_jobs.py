"""Jobs behind circuit breakers on the fair broker when the guard has to park them, as its own tests have it."""

import pytest

from tests.broker.guards.conftest import unhelpful_broker
from tests.middleware.circuit_breakers.test_jobs import *  # noqa: F403  # the same tests, another `bare_broker`

pytestmark = pytest.mark.slow
bare_broker = unhelpful_broker
