"""What is broken of full servers, bounds in bytes, rates and clocks, one thing at a time."""

from collections.abc import Callable
from typing import Any

from tests.broker import test_byte_bounds, test_full_server, test_rate_changes
from tests.broker.leasing import test_poison
from tests.broker.model import test_clock_steps as clock
from tests.broker.model import test_converted as converted
from tests.broker.mutants.breaking import Variant

ENQUEUEING, DELAYED, FINISH = "parts/enqueueing.lua", "parts/delayed.lua", "parts/finish.lua"
LOST_LEASES, SUSPECTS = "parts/lost_leases.lua", "parts/suspects.lua"


def _delayed_over_a_step(fleet: Any) -> None:
    clock.test_what_is_delayed_is_due_as_long_after_as_it_was(fleet, "")


STEP = _delayed_over_a_step

#: Scripts that a full server has to let through, and who misses each.
WHEN_FULL: dict[str, Callable[..., None]] = {
    "fetch": test_full_server.test_a_server_full_of_what_waits_drains,
    "finish": test_full_server.test_a_message_dies_and_comes_back_on_a_full_server,
    "park": test_full_server.test_a_message_that_waits_for_something_is_taken_by_a_full_server,
    "pass_on": test_full_server.test_a_token_is_passed_on_by_a_full_server,
    "report_stop": test_full_server.test_a_worker_comes_and_goes_on_a_full_server,
}

OF_LIMITS = [
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
    Variant(
        6, DELAYED, "due_orgs(queue), '-inf', now + timer_lead_ms()", "due_orgs(queue), '-inf', now", STEP
    ),
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
        "    redis.call('SET', searched, start + number, 'PX', SEARCH_TTL_MS)\n",
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
        "lane.bytes = lane.bytes + bytes",
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
        converted.test_what_is_converted_is_counted_once,
    ),
    *(
        Variant(10, f"{name}.lua", "-- NEEDS:", "-- WHEN FULL: refused\n-- NEEDS:", promise)
        for name, promise in WHEN_FULL.items()
    ),
]
