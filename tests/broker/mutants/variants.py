"""What is broken, one thing at a time, by invariant (see `tests/broker/model/structure.py`)."""

from collections.abc import Callable
from typing import Any

from broker import sending, server_check
from tests.broker import (
    test_byte_bounds,
    test_full_server,
    test_injected_errors,
    test_rate_changes,
    test_scripts,
    test_sending,
    test_server_check,
)
from tests.broker.leasing import test_poison
from tests.broker.model import test_clock_steps as clock
from tests.broker.model import test_letting_in as two
from tests.broker.model import test_transitions as one
from tests.broker.mutants import connection_variants
from tests.broker.mutants.breaking import PythonVariant, Variant


def _gate(gate: str) -> Callable[..., None]:
    return lambda fleet: two.test_a_gate_keeps_back_until_it_opens(fleet, gate)


def _delayed_over_a_step(fleet: Any) -> None:
    clock.test_what_is_delayed_is_due_as_long_after_as_it_was(fleet, "")


def _injected(name: str) -> Callable[..., None]:
    return lambda quiet_server: (
        test_injected_errors.test_an_error_at_any_write_is_as_if_the_call_had_not_been_made(
            quiet_server, name
        )
    )


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
STEP = _delayed_over_a_step
TOKEN = two.test_a_fetch_that_leaves_work_passes_the_token_on

#: Scripts that a full server has to let through, and who misses each.
WHEN_FULL: dict[str, Callable[..., None]] = {
    "fetch": test_full_server.test_a_server_full_of_what_waits_drains,
    "finish": test_full_server.test_a_message_dies_and_comes_back_on_a_full_server,
    "park": test_full_server.test_a_message_that_waits_for_something_is_taken_by_a_full_server,
    "pass_on": test_full_server.test_a_token_is_passed_on_by_a_full_server,
    "report_stop": test_full_server.test_a_worker_comes_and_goes_on_a_full_server,
}

ENQUEUEING, PARKING, DELAYED = "parts/enqueueing.lua", "parts/parking.lua", "parts/delayed.lua"
LANES, VALUES, SLOTS = "parts/lanes.lua", "parts/values.lua", "parts/slots.lua"
SELECTION, LEASING, FINISH = "parts/selection.lua", "parts/leasing.lua", "parts/finish.lua"
LOST_LEASES, CRASHES, SUSPECTS = "parts/lost_leases.lua", "parts/crashes.lua", "parts/suspects.lua"
GATES, FAIR_SHARE = "parts/gates.lua", "parts/fair_share.lua"
TRANSACTION = "parts/transaction.lua"

IN_LUA = [
    Variant(1, ENQUEUEING, "if enqueue_id_of(first) == enqueue_id then", "if false then", REPEATED),
    Variant(
        1, ENQUEUEING, "local copy = copy_name(message_id, enqueue_id)", "local copy = message_id", REPEATED
    ),
    Variant(1, DELAYED, "redis.call('ZREM', delayed, message_id)", "", DUE),
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
    Variant(5, LEASING, "crashes[i] and is_poison(crashes[i]) and POISON or flag", "flag", POISON),
    Variant(5, SUSPECTS, "if not is_full", "if true", SUSPECT),
    Variant(5, SUSPECTS, " or not first_suspect(queue) then", " then", SUSPECT),
    Variant(6, DELAYED, "'-inf', now + lead_ms, 'WITHSCORES'", "'-inf', '+inf', 'WITHSCORES'", DUE),
    Variant(
        5, FINISH, "is_own and record.crashes or nil", "nil", one.test_a_suspect_that_is_parked_stays_one
    ),
    Variant(6, DELAYED, "tonumber(message_ms or NEVER_MS)", "NEVER_MS", DUE),
    Variant(
        7, ENQUEUEING, "if redis.call('ZRANGE', delayed, 0, 0)[1] == message_id then", "if false then", DUE
    ),
    Variant(7, "fetch.lua", "redis.call('EXISTS', ready_orgs(queue)) == 1 then", "false then", TOKEN),
    Variant(7, "fetch.lua", "  redis.call('DEL', wake_tokens(queue))\n", "", TOKEN),
    Variant(8, LANES, "redis.call('RPUSH', lane_key", "redis.call('LPUSH', lane_key", TURNS),
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
        "redis.call('ZADD', delayed_messages(queue), 'XX', string.format('%.0f', now), message_id)",
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
        "    return {full_queue, '', queue_depth}",
        "    enqueue(read_enqueue(4)) count_arrivals()\n    return {full_queue, '', queue_depth}",
        BOUNDS,
    ),
    Variant(
        4, LOST_LEASES, "  clamp_heartbeats(silent_ms)\n", "", clock.test_a_dead_workers_messages_come_back
    ),
    Variant(
        4,
        LOST_LEASES,
        "return back_ms and tonumber(back_ms) <= now + silent_ms",
        "return back_ms",
        clock.test_a_server_that_is_back_holds_nobody_up_for_a_step,
    ),
    Variant(6, "parts/workers.lua", "advance_timers(tonumber(heard_ms) - now)", "", STEP),
    Variant(6, DELAYED, "delayed, '-inf', now + lead_ms", "delayed, '-inf', now", STEP),
    Variant(6, DELAYED, "at - timer_lead_ms() - now", "at - now", STEP),
    Variant(
        6,
        ENQUEUEING,
        "now + timer_lead_ms() + delay_ms",
        "now + delay_ms",
        clock.test_what_is_delayed_after_a_step_waits_its_time,
    ),
    Variant(
        9,
        "parts/rates.lua",
        "or '0') - timer_lead_ms(), now)",
        "or '0'), now)",
        clock.test_a_rate_lets_the_next_start_as_long_after_as_it_would_have,
    ),
    Variant(
        9,
        "parts/rates.lua",
        "    return now + rate.tolerance_ms\n",
        "",
        test_rate_changes.test_a_rate_that_is_raised_lets_go_at_once,
    ),
    Variant(
        9,
        "set_rates.lua",
        "return changed and queues or {}",
        "return {}",
        test_rate_changes.test_a_rate_that_is_removed_lets_go_at_once,
    ),
    Variant(
        9,
        "set_rates.lua",
        "redis.call('HEXISTS', START_RATES, changed_rate(actor)) == 1",
        "old ~= new",
        test_rate_changes.test_a_change_that_was_cut_off_is_finished_by_the_next,
    ),
    Variant(
        12,
        "free_lanes.lua",
        "skip = skip + 1",
        "skip = skip + 2",
        test_rate_changes.test_lanes_are_looked_at_in_batches,
    ),
    Variant(
        5,
        SUSPECTS,
        "    redis.call('SET', searched, start + MAX_SEARCHED, 'PX', SEARCH_TTL_MS)\n",
        "",
        test_poison.test_a_suspect_is_found_behind_any_number_that_may_not_run,
    ),
    Variant(
        10,
        "enqueue.lua",
        "(bytes_in_queues[queue] or more_bytes)",
        "(bytes_in_queues[queue] or 0)",
        test_byte_bounds.test_a_queue_that_holds_too_much_refuses_all_or_nothing,
    ),
    Variant(
        10,
        "enqueue.lua",
        "too_full(BYTES, 'o:', bytes_in_orgs, max_bytes_of_org)",
        "nil",
        test_byte_bounds.test_an_org_that_holds_too_much_keeps_no_other_out,
    ),
    Variant(
        10,
        FINISH,
        "tally_bytes(batch.bytes, lane.queue, lane.org, -bytes)",
        "",
        test_byte_bounds.test_what_is_in_comes_back_into_what_is_full,
    ),
    Variant(
        10,
        FINISH,
        "    bytes = counted_bytes(stored)\n",
        "",
        test_byte_bounds.test_what_was_converted_while_it_ran_is_not_held,
    ),
    Variant(
        10,
        "parts/removal.lua",
        "tally_bytes(held, queue, orgs[places[i]], -counted_bytes(record))",
        "",
        test_byte_bounds.test_what_is_dead_or_dropped_is_not_held,
    ),
    Variant(
        10,
        "reprioritise.lua",
        "counted_bytes(new_record) - counted_bytes(old_record)",
        "0",
        test_byte_bounds.test_what_is_dead_or_dropped_is_not_held,
    ),
    Variant(
        10,
        "parts/sizes.lua",
        "was_empty[field] and 0 or ",
        "",
        test_byte_bounds.test_what_an_older_release_ended_is_made_good,
    ),
    Variant(
        10,
        "count_bytes.lua",
        "tally_bytes(bytes, queue, org, #record + 1)",
        "tally_bytes(bytes, queue, org, #record)",
        test_byte_bounds.test_what_an_older_release_left_is_counted_once,
    ),
    *(
        Variant(10, f"{name}.lua", "-- NEEDS:", "-- WHEN FULL: refused\n-- NEEDS:", promise)
        for name, promise in WHEN_FULL.items()
    ),
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
    Variant(12, DELAYED, " parking enqueueing gates", " parking gates", NEEDS),
    Variant(12, DELAYED, " parking enqueueing gates", " parking enqueueing gates shares", NEEDS),
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
