"""DeadLetterReplayer of dead letters on the fair broker, as the guard's own tests have it."""

import pytest

from tests.middleware.dead_letters.test_replay import *  # noqa: F403  # the same tests, another `bare_broker`

pytestmark = pytest.mark.slow
