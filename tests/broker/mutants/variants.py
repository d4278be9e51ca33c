"""What is broken, one thing at a time, by invariant (see `tests/broker/model/structure.py`)."""

from collections.abc import Callable
from typing import Any

from broker import sending, server_check
from tests.broker import test_scripts, test_sending, test_server_check
from tests.broker.model import test_letting_in as two
from tests.broker.model import test_transitions as one
from tests.broker.mutants.breaking import PythonVariant, Variant


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
TOKEN = two.test_a_fetch_that_leaves_work_passes_the_token_on

PUTTING, LANES, FINISH = "parts/putting.lua", "parts/lanes.lua", "parts/finish.lua"
LEASES, PICKING, DELAYED = "parts/leases.lua", "parts/picking.lua", "parts/delayed.lua"
SUSPECTS, GATES = "parts/suspects.lua", "parts/gates.lua"

IN_LUA = [
    Variant(
        1, PUTTING, "if uniq_of(redis.call('HGET', all, message_id)) == uniq then", "if false then", REPEATED
    ),
    Variant(1, PUTTING, "local copy = message_id .. '~' .. uniq", "local copy = message_id", REPEATED),
    Variant(1, DELAYED, "redis.call('ZREM', delayed, due[i])", "", DUE),
    Variant(1, PICKING, "redis.call('LPOP', lane.key, lane.taken)", "", TURNS),
    Variant(1, FINISH, "redis.call('HDEL', B .. ':m', unpack(mids))", "", RETRY),
    Variant(
        1,
        FINISH,
        "bury(queue, mid, dead_ttl_ms)\n        end",
        "end",
        two.test_a_dead_message_is_a_letter_and_counts_no_more,
    ),
    Variant(1, LANES, "count(B .. ':a', org, -leases)", "", SLOT),
    Variant(1, "parts/dropping.lua", "unpark(queue, mid)", "", FLUSH),
    Variant(1, "flush.lua", "or readmit_waiting() then", "then", FLUSH),
    Variant(1, "flush.lua", "readmit(queue, string.match(each, '^([^\\n]*)\\n(.*)$'))", "", FLUSH),
    Variant(2, FINISH, "    carry(each[1], each[2], each[4], each[5])\n", "", RETRY),
    Variant(2, FINISH, " and outcome ~= 'back'", "", one.test_what_comes_back_takes_nothing_along),
    Variant(
        2,
        FINISH,
        "stale = stale + 1",
        "stale = stale + 1 along[#along + 1] = {from + 10, carried, operations}",
        STALE,
    ),
    Variant(
        2,
        FINISH,
        "if redis.call('HGET', key, ARGV[at + 1]) == ARGV[at + 2] then",
        "if redis.call('HGET', key, ARGV[at + 1]) then",
        one.test_an_end_changes_a_hash_only_if_the_lease_is_still_there,
    ),
    Variant(3, FINISH, "tokens[i] ~= token", "not tokens[i]", STALE),
    Variant(3, PICKING, "number + i, each.since_ms", "number + 1, each.since_ms", TURNS),
    Variant(4, LEASES, "beat_ms < now - silent_ms", "beat_ms < 0", DEAD_WORKER),
    Variant(4, LEASES, "return a.number > b.number", "return a.number < b.number", DEAD_WORKER),
    Variant(
        4,
        "leave.lua",
        "if redis.call('EXISTS', B .. ':lease:' .. ARGV[1]) == 1 then",
        "if false then",
        one.test_no_worker_leaves_with_leases,
    ),
    Variant(
        4,
        "reconcile.lua",
        "known[held[i]] == held[i + 1]",
        "true",
        one.test_what_came_with_a_lost_answer_goes_back,
    ),
    Variant(
        4,
        "report_death.lua",
        "redis.call('ZADD', B .. ':workers', 'XX', 'CH', 0, ARGV[1])",
        "1",
        one.test_a_reported_death_is_believed_at_once,
    ),
    Variant(5, PUTTING, "tonumber(deaths) >= SUSPECT", "tonumber(deaths) > SUSPECT", POISON),
    Variant(5, LEASES, "(flags == 'a' and 1 or 0)", "1", POISON),
    Variant(
        5,
        LEASES,
        "said ~= 'stopped' and (said or 'silent') or nil",
        "said or 'silent'",
        one.test_a_worker_that_was_stopped_charges_nobody,
    ),
    Variant(5, PICKING, "lonely >= CONDEMNED and 'p' or flags", "flags", POISON),
    Variant(5, SUSPECTS, "if not (key and leased >= tonumber(most))", "if true", SUSPECT),
    Variant(5, SUSPECTS, " or not first_suspect(queue) then", " then", SUSPECT),
    Variant(6, DELAYED, "'-inf', now, 'WITHSCORES'", "'-inf', '+inf', 'WITHSCORES'", DUE),
    Variant(5, FINISH, "own and deaths or nil", "nil", one.test_a_suspect_that_is_parked_stays_one),
    Variant(6, DELAYED, "tonumber(first or NEVER_MS)", "NEVER_MS", DUE),
    Variant(7, PUTTING, "if redis.call('ZRANGE', delayed, 0, 0)[1] == mid then", "if false then", DUE),
    Variant(7, "fetch.lua", "redis.call('EXISTS', B .. ':qr:' .. queue) == 1 then", "false then", TOKEN),
    Variant(7, "fetch.lua", "  redis.call('DEL', B .. ':wake:' .. queue)\n", "", TOKEN),
    Variant(8, LANES, "redis.call('RPUSH', lane_key", "redis.call('LPUSH', lane_key", TURNS),
    Variant(
        8,
        LANES,
        "AGEING_MS * tonumber",
        "0 * tonumber",
        two.test_the_more_urgent_goes_first_until_the_other_has_waited,
    ),
    Variant(
        8,
        LANES,
        "math.max(start, tonumber(own or start))",
        "tonumber(own or 0)",
        two.test_an_org_that_was_away_saves_up_nothing,
    ),
    Variant(8, PICKING, "org.time = org.time + cost", "", TURNS),
    Variant(9, PICKING, "if leased >= tonumber(most) then", "if false then", KEY),
    Variant(9, PICKING, "if org.left <= 0 or (", "if (", SLOT),
    Variant(9, LANES, "readmit_all(B .. ':b:' .. org, org)", "", SLOT),
    Variant(9, LANES, "readmit_all(B .. ':bk:' .. org .. ':' .. key, org)", "", KEY),
    Variant(9, PICKING, "or (lane.rate and lane.rate.due - lane.rate.tolerance_ms > now)", "", RATE),
    Variant(9, FINISH, "if refund == '1' and interval_ms ~= '0' then", "if false then", RATE),
    Variant(9, GATES, "each[1] == 0 and NEVER_MS or each[1]", "each[1]", _gate("a:crop")),
    Variant(
        9,
        "shut.lua",
        "changed, opened = 1, true\n    sources[source] = nil",
        "changed = 1\n    sources[source] = nil",
        _gate("o:a"),
    ),
    Variant(
        9,
        PICKING,
        "shut_until({'a:' .. actor, 'x:' .. org.name .. ':' .. actor})",
        "shut_until({'a:' .. actor})",
        _gate("x:a:crop"),
    ),
    Variant(
        9,
        "release.lua",
        "redis.call('ZADD', B .. ':qd:' .. queue, 'XX', string.format('%.0f', now), mid)",
        "",
        RELEASE,
    ),
    Variant(
        9, PUTTING, "redis.call('SREM', B .. ':pk:' .. key, mid)", "", two.test_what_is_due_is_parked_no_more
    ),
    Variant(
        9, "fetch.lua", "if quiet == 0 and not shut", "if not shut", two.test_a_quiet_worker_fetches_nothing
    ),
    Variant(
        9,
        "configure.lua",
        "readmit_all(B .. ':b:' .. org, org)",
        "",
        two.test_a_limit_that_is_raised_counts_at_once,
    ),
    Variant(10, "enqueue.lua", "if depth + number > most then", "if depth > most then", BOUNDS),
    Variant(10, "enqueue.lua", "(queues[queue] or more)", "(queues[queue] or 0)", BOUNDS),
    Variant(10, "enqueue.lua", "if not is_here(ARGV[i], ARGV[i + 1]) then", "if true then", BOUNDS),
    Variant(
        10,
        "enqueue.lua",
        "    return {full[1], '', full[2]}",
        "    put(ARGV[4], ARGV[5], 0, ARGV[8], '') count_in()\n    return {full[1], '', full[2]}",
        BOUNDS,
    ),
]

#: Read, not run.
AS_FILES = [
    Variant(
        12,
        "finish.lua",
        "local fresh = beat(",
        "redis.call('KEYS', B .. '*')\nlocal fresh = beat(",
        test_scripts.test_no_script_looks_through_all_keys,
    ),
    Variant(
        12,
        LANES,
        "redis.call('SMEMBERS', waiting)",
        "redis.call('sscan', waiting, 0)",
        test_scripts.test_no_script_looks_through_all_keys,
    ),
    Variant(
        12,
        "release.lua",
        "-- DERIVED: base:m, base:qd:*, ",
        "-- DERIVED: base:m, ",
        test_scripts.test_every_derived_key_is_declared_and_in_the_schema,
    ),
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
]
