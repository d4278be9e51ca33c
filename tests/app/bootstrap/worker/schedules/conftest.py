"""A database whose schedules nobody else fires."""

from tests.adapters.outbox.conftest import _outbox_is_empty, _retries_do_not_wait, database

__all__ = ["_outbox_is_empty", "_retries_do_not_wait", "database"]
