"""What is broken, one thing at a time, by invariant (see `tests/broker/model/structure.py`)."""

from collections.abc import Callable
from typing import Any

from broker import sending, server_check
from tests.broker import (
    test_scripts,
    test_sending,
    test_server_check,
)
from tests.broker.model import test_letting_in as two
from tests.broker.model import test_transitions as one
from tests.broker.mutants import connection_variants
from tests.broker.mutants.breaking import PythonVariant, Variant
from tests.broker.mutants.fair_variants import OF_FAIRNESS
from tests.broker.mutants.limits import OF_LIMITS


def _gate(gate: str) -> Callable[..., None]:
    return lambda fleet: two.test_a_gate_keeps_back_until_it_opens(fleet, gate)


def _evicting(quiet_server: Any) -> None:
    """Its server is nobody else's; it is put right again."""
    try:
        test_server_check.test_a_server_that_may_evict_is_refused(quiet_server, "allkeys-lru")
    finally:
        quiet_server.config_set("maxmemory-policy", "noeviction")


REPEATED = one.test_a_call_that_is_repeated_puts_nothing_twice
STALE = one.test_who_lost_a_lease_ends_nothing
DEAD_WORKER = one.test_what_a_dead_worker_held_comes_back_in_its_order
POISON = one.test_a_message_runs_isolated_after_two_deaths_and_not_at_all_after_four
SUSPECT = one.test_a_suspect_that_may_not_run_keeps_no_worker_idle
DUE = two.test_nothing_is_leased_before_it_is_due
TURNS = two.test_orgs_take_turns_and_lanes_keep_their_order
SLOT = two.test_a_slot_that_is_free_lets_in_who_waits_for_it
KEY = two.test_a_key_lets_in_so_many_and_keeps_no_other_lane_back
RATE = two.test_starts_over_the_rate_wait_for_their_time
BOUNDS = two.test_bounds_refuse_all_or_nothing
RETRY = one.test_a_retry_goes_with_the_end_of_its_message
FLUSH = two.test_a_flush_leaves_nothing_of_its_queue
RELEASE = two.test_a_release_makes_due_what_is_parked_under_a_key
NEEDS = test_scripts.test_a_file_needs_the_parts_whose_names_it_uses
TOKEN = two.test_a_fetch_that_leaves_work_passes_the_token_on

ENQUEUEING, PARKING, DELAYED = "parts/enqueueing.lua", "parts/parking.lua", "parts/delayed.lua"
LANES, VALUES, SLOTS = "parts/lanes.lua", "parts/values.lua", "parts/slots.lua"
SELECTION, LEASING, FINISH = "parts/selection.lua", "parts/leasing.lua", "parts/finish.lua"
LOST_LEASES, CRASHES, SUSPECTS = "parts/lost_leases.lua", "parts/crashes.lua", "parts/suspects.lua"
GATES, FAIR_SHARE, CLOCK = "parts/gates.lua", "parts/fair_share.lua", "parts/virtual_clock.lua"
DISPATCH = "parts/dispatch.lua"

IN_LUA = [
    Variant(1, ENQUEUEING, "if enqueue_id_of(first) == enqueue_id then", "if false then", REPEATED),
    Variant(
        1, ENQUEUEING, "local copy = copy_name(message_id, enqueue_id)", "local copy = message_id", REPEATED
    ),
    Variant(1, DELAYED, "redis.call('ZREM', all, unpack(message_ids))", "", DUE),
    Variant(1, SELECTION, "redis.call('LPOP', lane.key, lane.taken)", "", TURNS),
    Variant(1, FINISH, "redis.call('HDEL', MESSAGES, unpack(message_ids))", "", RETRY),
    Variant(
        1,
        FINISH,
        "dead_letter(lane.queue, record.message_id, batch.dead_ttl_ms)\n",
        "",
        two.test_a_dead_message_is_a_letter_and_counts_no_more,
    ),
    Variant(1, SLOTS, "count_down(LEASED_BY_ORG, org, leases)", "", SLOT),
    Variant(1, "parts/removal.lua", "unpark(queue, message_id)", "", FLUSH),
    Variant(1, "flush.lua", "count_down(LEASED_BY_QUEUE, queue, 1)", "", FLUSH),
    Variant(1, "parts/lane_index.lua", "forget_actor(queue, org, actor)", "", FLUSH),
    Variant(2, FINISH, "    enqueue_along(record)\n", "", RETRY),
    Variant(
        2,
        FINISH,
        "if record.along and record.outcome ~= BACK then",
        "if record.along then",
        one.test_what_comes_back_takes_nothing_along,
    ),
    Variant(
        2,
        FINISH,
        "batch.refused = batch.refused + 1",
        "batch.refused = batch.refused + 1 batch.along[#batch.along + 1] = record",
        STALE,
    ),
    Variant(
        2,
        FINISH,
        "if field_of(key, field, new_field == '') == expected then",
        "if field_of(key, field, new_field == '') then",
        one.test_an_end_changes_a_hash_only_if_the_lease_is_still_there,
    ),
    Variant(3, FINISH, "token ~= record.token", "not token", STALE),
    Variant(3, LEASING, "first + i, message.since_ms", "first + 1, message.since_ms", TURNS),
    Variant(4, LOST_LEASES, "heartbeat_ms >= now - silent_ms", "heartbeat_ms >= 0", DEAD_WORKER),
    Variant(4, LOST_LEASES, "return a.number > b.number", "return a.number < b.number", DEAD_WORKER),
    Variant(
        4,
        "leave.lua",
        "if redis.call('EXISTS', lease_key(ARGV[1])) == 1 then",
        "if false then",
        one.test_no_worker_leaves_with_leases,
    ),
    Variant(
        4,
        "reconcile.lua",
        "known[message_id] == token",
        "true",
        one.test_what_came_with_a_lost_answer_goes_back,
    ),
    Variant(
        4,
        "report_death.lua",
        "redis.call('ZADD', WORKERS, 'XX', 'CH', 0, worker_id)",
        "1",
        one.test_a_reported_death_is_believed_at_once,
    ),
    Variant(
        5, CRASHES, "tonumber(crashes) >= SUSPECT_CRASHES", "tonumber(crashes) > SUSPECT_CRASHES", POISON
    ),
    Variant(5, CRASHES, "(flag == ISOLATED and 1 or 0)", "1", POISON),
    Variant(
        5,
        LOST_LEASES,
        "reported ~= 'stopped' and (reported or 'silent') or nil",
        "reported or 'silent'",
        one.test_a_worker_that_was_stopped_charges_nobody,
    ),
    Variant(5, LEASING, "crashes[i] and is_poison(crashes[i]) and POISON or own_flag", "own_flag", POISON),
    Variant(5, SUSPECTS, "if not is_full", "if true", SUSPECT),
    Variant(5, SUSPECTS, " or not first_suspect(queue) then", " then", SUSPECT),
    Variant(6, DELAYED, "own, '-inf', now + lead_ms, 'WITHSCORES'", "own, '-inf', '+inf', 'WITHSCORES'", DUE),
    Variant(
        5, FINISH, "is_own and record.crashes or nil", "nil", one.test_a_suspect_that_is_parked_stays_one
    ),
    Variant(6, DELAYED, "tonumber(message_ms or NEVER_MS)", "NEVER_MS", DUE),
    Variant(
        7, ENQUEUEING, "if redis.call('ZRANGE', delayed, 0, 0)[1] == message_id then", "if false then", DUE
    ),
    Variant(7, "fetch.lua", "redis.call('EXISTS', ready_orgs(queue)) == 1 then", "false then", TOKEN),
    Variant(7, "fetch.lua", "  redis.call('DEL', wake_tokens(queue))\n", "", TOKEN),
    Variant(
        8,
        LANES,
        "if redis.call('RPUSH', lane_key(queue, org, lane), s",
        "if redis.call('LPUSH', lane_key(queue, org, lane), s",
        TURNS,
    ),
    Variant(
        8,
        VALUES,
        "AGEING_MS * tonumber",
        "0 * tonumber",
        two.test_the_more_urgent_goes_first_until_the_other_has_waited,
    ),
    Variant(
        8,
        FAIR_SHARE,
        "math.max(start, tonumber(own or start))",
        "tonumber(own or 0)",
        two.test_an_org_that_was_away_saves_up_nothing,
    ),
    *OF_FAIRNESS,
    Variant(8, SELECTION, "org.time = org.time + cost_ms", "", TURNS),
    Variant(9, SELECTION, "if free <= 0 then", "if false then", KEY),
    Variant(9, SELECTION, "if org.slots <= 0 or (", "if (", SLOT),
    Variant(9, SLOTS, "readmit_org(org)", "", SLOT),
    Variant(9, SLOTS, "admit_key_waiters(org, key)", "", KEY),
    Variant(9, SELECTION, "or (lane.rate and lane.rate.due_ms - lane.rate.tolerance_ms > now)", "", RATE),
    Variant(9, FINISH, "if record.refund then", "if false then", RATE),
    Variant(9, GATES, "block[1] == 0 and NEVER_MS or block[1]", "block[1]", _gate("a:crop")),
    Variant(
        9,
        "set_gates.lua",
        "return old ~= nil or until_ms ~= '', old ~= nil",
        "return old ~= nil or until_ms ~= '', false",
        _gate("o:a"),
    ),
    Variant(
        9,
        SELECTION,
        "blocked_until({'a:' .. actor, 'x:' .. org.name .. ':' .. actor})",
        "blocked_until({'a:' .. actor})",
        _gate("x:a:crop"),
    ),
    Variant(
        9,
        "release.lua",
        "index_delay(queue, org, message_id, due_ms)",
        "",
        RELEASE,
    ),
    Variant(
        9,
        PARKING,
        "redis.call('SREM', parked_under(key), message_id)",
        "",
        two.test_what_is_due_is_parked_no_more,
    ),
    Variant(
        9,
        "fetch.lua",
        "if quiet == 0 and not until_ms",
        "if not until_ms",
        two.test_a_quiet_worker_fetches_nothing,
    ),
    Variant(
        9,
        "configure.lua",
        "readmit_org(org)",
        "",
        two.test_a_limit_that_is_raised_counts_at_once,
    ),
    Variant(10, "enqueue.lua", "if depth + number > max then", "if depth > max then", BOUNDS),
    Variant(10, "enqueue.lua", "(in_queues[queue] or more)", "(in_queues[queue] or 0)", BOUNDS),
    Variant(10, "enqueue.lua", "if not has_arrived(message_id, enqueue_id) then", "if true then", BOUNDS),
    Variant(
        10,
        "enqueue.lua",
        "    return {full, '', depth, 'messages'}",
        "    enqueue(read_enqueue(FIRST)) count_arrivals()\n    return {full, '', depth, 'messages'}",
        BOUNDS,
    ),
    *OF_LIMITS,
]

#: Read, not run.
AS_FILES = [
    Variant(
        12,
        "finish.lua",
        "local is_new = record_heartbeat(",
        "redis.call('KEYS', '*')\nlocal is_new = record_heartbeat(",
        test_scripts.test_no_script_looks_through_all_keys,
    ),
    Variant(
        12,
        LANES,
        "redis.call('SMEMBERS', waiters)",
        "redis.call('sscan', waiters, 0)",
        test_scripts.test_no_script_looks_through_all_keys,
    ),
    Variant(
        12,
        "release.lua",
        "-- DERIVED: base:m, base:mb, ",
        "-- DERIVED: base:m, ",
        test_scripts.test_every_derived_key_is_declared_and_in_the_schema,
    ),
    Variant(
        12,
        LANES,
        "lane_key(queue, org, name), 0)",
        "B .. ':l:' .. name, 0)",
        test_scripts.test_keys_are_spelt_in_one_place,
    ),
    Variant(12, DELAYED, " parking delays crashes gates", " parking crashes gates", NEEDS),
    Variant(12, DELAYED, " parking delays crashes gates", " parking delays crashes gates shares", NEEDS),
    Variant(12, "finish.lua", "reclaim(silent_ms)", "reclaimed(silent_ms)", NEEDS),
]

IN_PYTHON = [
    PythonVariant(
        10,
        sending.Sender,
        "check_size",
        lambda *_: None,
        test_sending.test_a_message_that_is_too_large_is_refused,
    ),
    PythonVariant(11, server_check, "SAFE_POLICY", "allkeys-lru", _evicting),
    PythonVariant(
        11,
        sending.Sender,
        "_wait_for_replica",
        lambda *_: None,
        test_sending.test_a_message_without_its_replica_says_so,
    ),
    *connection_variants.IN_PYTHON,
]
