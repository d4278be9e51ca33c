"""Shares, ages and turns that are broken, one thing at a time."""

from typing import Any

from tests.broker import test_age_share, test_fair_oracle, test_newcomers
from tests.broker.model import test_due as due
from tests.broker.mutants.breaking import Variant

DELAYED, FINISH, DISPATCH = "parts/delayed.lua", "parts/finish.lua", "parts/dispatch.lua"
FAIR_SHARE, CLOCK = "parts/fair_share.lua", "parts/virtual_clock.lua"


def _by_age(fair: Any) -> None:
    """Of jobs twenty times as long as the others'."""
    test_age_share.test_a_tenth_of_the_work_goes_by_age(fair, 200.0)


OF_FAIRNESS = [
    Variant(
        8,
        CLOCK,
        "time = time_after(queue, time, work_ms, waiting, extra)",
        "",
        test_newcomers.test_a_refund_does_not_move_the_queues_time,
    ),
    Variant(
        8,
        FAIR_SHARE,
        "set_queue_time(queue, math.max(time, start) + STEP_MS)",
        "set_queue_time(queue, math.max(time, start))",
        test_newcomers.test_orgs_that_come_together_go_in_the_order_of_their_coming,
    ),
    Variant(
        8,
        FAIR_SHARE,
        "return had_to_wait and first and math.min(start, first - STEP_MS) or start",
        "return start",
        test_newcomers.test_an_org_at_its_limit_is_next_when_its_job_has_ended,
    ),
    Variant(
        8,
        FAIR_SHARE,
        "or charged_at > 0 and charged_at or queue_time(queue)",
        "or queue_time(queue)",
        test_newcomers.test_time_that_the_clock_has_passed_is_charged_once,
    ),
    Variant(
        8,
        FINISH,
        "correct_virtual_time(queue, org, delta, totals.charged_at[queue_and_org])",
        "correct_virtual_time(queue, org, delta, totals.charged_at[queue_and_org])\n"
        "    set_queue_time(queue, queue_time(queue) + delta)",
        test_newcomers.test_a_refund_does_not_move_the_queues_time,
    ),
    Variant(
        8,
        CLOCK,
        "waiting + redis.call('ZCOUNT', ahead, later, '+inf')",
        "waiting",
        test_newcomers.test_who_was_served_ahead_competes_until_the_others_have_caught_up,
    ),
    Variant(
        8,
        "configure.lua",
        "weigh_anew(org, share, wanted[org])",
        "",
        test_newcomers.test_weights_that_compete_are_counted_while_they_do,
    ),
    Variant(
        8,
        CLOCK,
        "gone = gone + extra_weight_of(passed[i])",
        "gone = 0",
        test_newcomers.test_weights_that_cancel_out_are_counted_all_the_same,
    ),
    # As release 0.1.0 had it: whoever comes goes before all who wait.
    Variant(
        8,
        FAIR_SHARE,
        "local start = start_in(queue, first, had_to_wait)",
        "local start = (first or queue_time(queue)) - outstanding_ms(queue)",
        test_fair_oracle.test_an_org_that_waits_is_not_behind_the_ideal_while_others_keep_coming,
    ),
    Variant(
        8,
        FAIR_SHARE,
        "local start = start_in(queue, first, had_to_wait)\n  local own",
        "local start = (first or queue_time(queue)) - outstanding_ms(queue)\n  local own",
        test_fair_oracle.test_newcomers_run_in_the_order_of_their_coming,
    ),
    Variant(
        8,
        CLOCK,
        "time = time_after(queue, time, work_ms, waiting, extra)\n  if",
        "if",
        test_fair_oracle.test_an_org_that_waits_is_not_behind_the_ideal_while_others_keep_coming,
    ),
    Variant(
        8, DISPATCH, "while credit_ms > 0 and #taken < room and in_vain", "while false and in_vain", _by_age
    ),
    Variant(8, FINISH, "correct_work(queue, totals.more[queue], totals.more_by_age[queue])", "", _by_age),
    Variant(8, FINISH, "(record.flag == BY_AGE and more_ms or 0)", "0", _by_age),
    Variant(
        8,
        DISPATCH,
        "message.by_age = true",
        "message.by_age = true\n    org.time = org.time - message.cost_ms",
        test_age_share.test_who_is_served_by_age_pays_for_it,
    ),
    Variant(
        8,
        DISPATCH,
        "admit_org(queue, oldest[1], tonumber(time), rules)",
        "admit_org(queue, oldest[1], tonumber(time), {})",
        test_age_share.test_an_org_that_may_not_run_is_not_the_oldest,
    ),
    Variant(
        8,
        "parts/age.lua",
        "joined = joined + 1",
        "",
        test_age_share.test_orgs_of_one_call_are_as_old_as_they_stand_in_it,
    ),
    Variant(
        8,
        "parts/age.lua",
        "redis.call('ZADD', waiting_since(queue), 'LT', since_ms, org)",
        "",
        test_age_share.test_what_comes_back_is_as_old_as_it_was,
    ),
    Variant(
        8,
        DELAYED,
        "local orgs = find_due_orgs(queue)\n",
        "local orgs, first = {}, redis.call('ZRANGE', delayed_messages(queue), 0, 0)[1]\n"
        "    orgs[1] = first and string.match(redis.call('HGET', MESSAGES, first), '^[^\\n]*\\n([^\\n]*)')\n",
        due.test_a_storm_of_one_org_does_not_stand_before_what_is_due_of_another,
    ),
    Variant(
        8,
        DELAYED,
        "return math.max(1, math.min(of_each, most, elements))",
        "return 1000000",
        due.test_one_call_makes_a_batch_ready,
    ),
    Variant(
        6,
        "finish.lua",
        "  promote_without_fetch(ARGV[at])\n",
        "",
        due.test_a_beat_makes_ready_what_is_due_while_all_threads_are_busy,
    ),
    Variant(
        6,
        DELAYED,
        "if #orgs == 0 and index_due(queue) then",
        "if false then",
        due.test_what_release_0_1_0_has_delayed_is_found_by_a_fetch,
    ),
    Variant(
        1,
        DELAYED,
        "if standing[i] then",
        "if true then",
        due.test_what_a_process_of_release_0_1_0_made_ready_is_made_ready_once,
    ),
    Variant(
        12,
        DELAYED,
        "readable(message_ids, RESERVED_BYTES)",
        "#message_ids",
        due.test_one_call_reads_only_so_many_bytes,
    ),
]
