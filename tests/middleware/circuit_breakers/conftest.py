"""What the tests of breakers share."""

import pytest

from tests.middleware.circuit_breakers.subjects import Subject, Theirs, in_memory, on_server


@pytest.fixture(params=["pybreaker", "memory", "redis"])
def subject(request: pytest.FixtureRequest) -> Subject:
    """pybreaker's own class, and ours in memory and on a real server."""
    if request.param == "pybreaker":
        return Theirs()
    return in_memory() if request.param == "memory" else on_server(request.getfixturevalue("redis_client"))
