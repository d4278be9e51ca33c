"""What guards take and get back on the fair broker, as the base's own tests have it."""

import pytest

from tests.middleware.base.test_delivery import *  # noqa: F403  # the same tests, another `bare_broker`

pytestmark = pytest.mark.slow
