"""In which order several processes work the tests, and what each of them gets whole: a file, or a test."""

import pytest

#: Files that take half a minute and more. They are begun before all others, in this order: what is begun last is what
#: everybody waits for. Some mostly wait, and stand among those that work.
LONGEST = (
    "tests/crash/test_publish_killed.py",
    "tests/e2e/test_demo.py",
    "tests/middleware/cron/test_processes.py",
    "tests/cases/test_cases.py",
    "tests/e2e/test_benchmarks.py",
    "tests/e2e/test_up.py",
    "tests/docs/test_blocks.py",
    "tests/e2e/test_package.py",
    "tests/app/bootstrap/worker/orgs/test_two_regions.py",
)

#: Those of them whose tests share nothing that takes long to make: each test may go to another process.
APART = (
    "tests/e2e/test_demo.py",
    "tests/middleware/cron/test_processes.py",
    "tests/cases/test_cases.py",
    "tests/e2e/test_benchmarks.py",
)


def turn(test_id: str) -> int:
    """When a test is begun: those with a lower number first."""
    file = _file(test_id)
    return LONGEST.index(file) if file in LONGEST else len(LONGEST)


def unit(test_id: str) -> str:
    """What one process works together: a file, since its tests share servers, or the test by itself."""
    return test_id if _file(test_id) in APART else _file(test_id)


def scheduler(config: pytest.Config, log: object) -> object:
    """Make what deals the units out to processes, for `--dist loadfile`."""
    from xdist.scheduler import LoadFileScheduling

    made = LoadFileScheduling(config, log)
    made._split_scope = unit
    return made


def _file(test_id: str) -> str:
    return test_id.split("::", 1)[0]
