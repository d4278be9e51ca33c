"""What is broken of what is set aside as a whole, and of the bounds that every script keeps."""

from broker import sending
from broker.leasing import prefetch
from tests.broker import test_script_bounds as bounds
from tests.broker.leasing import test_prefetch
from tests.broker.model import test_held_lanes as held
from tests.broker.mutants.breaking import PythonVariant, Variant

ORDER, WAITING = "parts/lane_order.lua", "parts/waiting.lua"

AS_A_WHOLE = held.test_an_actor_is_held_as_a_whole
ONE_GATE = held.test_a_gate_that_changes_lets_in_nobody_else
KEY_ORDER = held.test_lanes_that_wait_for_a_key_are_let_in_by_their_age
KEY_FREE = held.test_a_key_that_nobody_holds_lets_in_who_waits


def _due_at_once(played: bounds.Play) -> None:
    bounds.test_very_many_delayed_that_are_due_at_once(played, "")


IN_LUA = [
    Variant(
        9, ORDER, "score < HELD and actor_of(lane) == actor", "score < HELD and lane == actor", AS_A_WHOLE
    ),
    Variant(9, WAITING, "redis.call('ZADD', gate_waiters(queue, actor), 'NX', now, org)", "", AS_A_WHOLE),
    Variant(
        9,
        WAITING,
        "redis.call('ZPOPMIN', waiters, MAX_FOR_SLOT)",
        "redis.call('ZPOPMAX', waiters, MAX_FOR_SLOT)",
        KEY_ORDER,
    ),
    Variant(9, WAITING, "if #first == 2 * MAX_FOR_SLOT and", "if false and", KEY_FREE),
    Variant(
        9,
        "set_gates.lua",
        "if redis.call('ZSCORE', blocked_actors(queue), name) then",
        "if true then",
        ONE_GATE,
    ),
    Variant(
        12,
        "parts/budget.lua",
        "commands_left, bytes_left, elements_left = 940, 4 * 1024 * 1024, 980",
        "commands_left, bytes_left, elements_left = 9e6, 4 * 1024 * 1024, 9e6",
        _due_at_once,
    ),
    Variant(
        12,
        "parts/large_messages.lua",
        "if #record > LARGE_BYTES then",
        "if false then",
        bounds.test_messages_of_a_mebibyte,
    ),
]

IN_PYTHON = [
    PythonVariant(12, sending, "BATCH_BYTES", 2**40, bounds.test_messages_of_a_mebibyte),
    PythonVariant(
        12,
        prefetch,
        "MAX_AHEAD_BYTES",
        2**40,
        test_prefetch.test_no_more_is_fetched_than_bytes_may_wait,
    ),
]
