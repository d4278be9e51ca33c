"""What actors call: every job's handler, wired once per process and only when first needed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.bootstrap.jobs.services import Services

_built: "tuple[int, Services] | None" = None
_replacement: "Services | None" = None


def services() -> "Services":
    """The handlers of this process.

    Connections are never shared over a fork: a child builds its own.

    Example:
        >>> services().domain_export(job)
    """
    global _built
    if _replacement is not None:
        return _replacement
    if _built is None or _built[0] != os.getpid():
        # Only now: a process that only sends loads no database, HTTP or PDF library.
        from app.bootstrap.jobs.services import build_services
        from app.settings import load_settings

        _built = os.getpid(), build_services(load_settings())
    return _built[1]


@contextmanager
def replaced_services(replacement: "Services") -> Iterator[None]:
    """Handlers of a test's own, for every thread of the process.

    Example:
        >>> with replaced_services(fakes):
        ...     domain_export.fn(job)
    """
    global _replacement
    before, _replacement = _replacement, replacement
    try:
        yield
    finally:
        _replacement = before
