"""Which server the suites run on: the embedded Valkey, or the one that `make test-redis7` names."""

import os
from pathlib import Path

#: The environment variable that names the program. It is no setting, as those are taken away from tests.
VARIABLE = "TEST_REDIS_SERVER"


def other_server() -> Path | None:
    """The program; None for the embedded Valkey."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else None
