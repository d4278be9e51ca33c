"""What is broken of how foreign records, failed calls and repeated sends are met."""

from collections.abc import Callable
from typing import Any

import pytest
from dramatiq.errors import QueueJoinTimeout

from broker.leasing import culprits, delivery
from tests.broker import test_foreign_records, test_injected_errors, test_repeated_sends, workers
from tests.broker.leasing import test_culprits, test_shape
from tests.broker.mutants.breaking import PythonVariant, Variant
from tests.middleware import eventually


def _injected(name: str) -> Callable[..., None]:
    test = test_injected_errors.test_an_error_at_any_write_is_as_if_the_call_had_not_been_made
    return lambda quiet_server: test(quiet_server, name)


def _foreign(test: Any, **values: Any) -> Callable[..., None]:
    """One example, with as much patience as something needs that holds."""

    def found(quiet_server: Any) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(eventually, "PATIENCE_S", 6)
            test.hypothesis.inner_test(quiet_server, **values)

    return found


def _value(where: str, value: bytes) -> Callable[..., None]:
    test = test_foreign_records.test_a_value_that_is_none_hurts_nobody
    return _foreign(test, where=where, value=value, score=-1.0)


def _impatient(test: Callable[..., None], *values: str) -> Callable[..., None]:
    """A test that waits for a queue to be empty, with little patience."""

    def found(new_broker: Any, raw: Any) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(workers, "PATIENCE_MS", 6_000)
            try:
                test(new_broker if values else new_broker(), raw, *values)
            except QueueJoinTimeout as error:
                raise AssertionError("something never ends") from error

    return found


LEASING, FINISH = "parts/leasing.lua", "parts/finish.lua"
TRANSACTION, FOREIGN, SENDERS = "parts/transaction.lua", "parts/foreign.lua", "parts/senders.lua"
UNTOLD_END = _impatient(test_culprits.test_an_end_that_cannot_be_reported_loses_nobodys_retry, "evil")
WRONG_TYPE = test_foreign_records.test_a_key_of_another_type_hurts_nobody

FOREIGN_IN_LUA = [
    # As the scripts of 0.1.0 were: what a failed call has written stays, and its ends are lost.
    Variant(2, TRANSACTION, "for at = commands, 1, -1 do", "for at = 0, 1, -1 do", _injected("finish")),
    Variant(
        1, TRANSACTION, "LPUSH = function(at, entry)", "UNDONE = function(at, entry)", _injected("reconcile")
    ),
    Variant(
        1,
        TRANSACTION,
        "if has(entry, 'WITHSCORES') then\n      return in_pairs(entry, member)",
        "if has(entry, 'WITHSCORES') then\n      return false",
        _injected("clean_aside"),
    ),
    Variant(2, FINISH, "    redis.call('HMGET', MESSAGES, unpack(message_ids))\n", "", _injected("finish")),
    Variant(
        13,
        FOREIGN,
        "if type(value) == 'string' and not READABLE",
        "if false and not READABLE",
        _value("mean", b"nan"),
    ),
    Variant(
        13,
        FOREIGN,
        "redis.pcall('HSET', key, member, string.format('0|%.0f|0|0|%.0f|', now, now))",
        "redis.pcall('HDEL', key, member)",
        _value("token", b"garbage"),
    ),
    Variant(
        13,
        FOREIGN,
        "if redis.pcall('RENAME', key, kept).ok then",
        "if false then",
        _foreign(WRONG_TYPE, letters="seq", kind="list"),
    ),
    Variant(
        13,
        LEASING,
        "string.sub(record, 1, #header) == header",
        "true",
        _impatient(test_culprits.test_a_record_of_another_lane_takes_no_slot),
    ),
    Variant(
        13,
        LEASING,
        "  release_slot(message.org, message.lane)\n",
        "",
        _impatient(test_culprits.test_an_entry_without_a_message_takes_no_slot),
    ),
    Variant(
        1,
        SENDERS,
        "number <= highest and has_bit(bits, number) and 1 or 0",
        "0",
        test_repeated_sends.test_a_call_that_is_repeated_after_its_job_has_ended_runs_nothing,
    ),
    Variant(
        10,
        SENDERS,
        "if number <= highest - WINDOW then",
        "if false then",
        test_repeated_sends.test_a_sender_learns_that_a_repeat_came_too_late,
    ),
]

FOREIGN_IN_PYTHON = [
    PythonVariant(
        13, delivery, "fault_of", lambda *_: None, _impatient(test_shape.test_what_is_no_message_does_not_run)
    ),
    PythonVariant(2, culprits.Culprits, "end_each", lambda *_: None, UNTOLD_END),
]
