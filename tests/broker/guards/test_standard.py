"""The standard stack on the fair broker, as its own tests have it."""

import pytest

from tests.middleware.test_standard import *  # noqa: F403  # the same tests, another `bare_broker`

pytestmark = pytest.mark.slow
