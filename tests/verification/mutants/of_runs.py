"""Mutants of one invocation: scheduler, report, store, the hold, clocks, slots and venue queues."""

from __future__ import annotations

from tests.verification.mutants.mutant import Mutant, mutants

OF_SLOTS = mutants(
    "prebooking/run/slots.py",
    ("CONNECT_EARLY = 0.6", "CONNECT_EARLY = 0.0", "attempt::a_call_is_connected_before_its_opening"),
    (
        "CONNECTING = 4",
        "CONNECTING = 1",
        "firing::forty_leave_within_two_seconds_although_every_connection_takes_a_while",
    ),
    (
        "        await queue.time.sleep_until(self._row.available_at)\n",
        "",
        "firing::rows_within_the_lead_are_held_and_leave_at_their_opening",
    ),
    (
        "while (ahead := queue.ahead_of(self)) is not None:",
        "while (ahead := None) is not None:",
        "firing::calls_on_cold_connections_do_not_overtake_each_other",
    ),
    (
        "        await queue.clock.sleep_until(queue.sent_at + queue.stagger)\n",
        "",
        "firing::due_rows_leave_in_order_fifty_milliseconds_apart_without_drifting",
    ),
    (
        "self._queue.sent_at = self._queue.clock.monotonic()",
        "self._queue.sent_at += self._queue.stagger",
        "firing::the_instants_in_the_rows_are_fifty_milliseconds_apart_however_busy_the_machine_is",
        "firing",
    ),
    (
        "other.order < slot.order and other.opens_at <= now",
        "other.order < slot.order",
        "attempt::what_could_not_get_on_before_leaves_before_what_is_held",
    ),
    (
        "other.order < slot.order and other.opens_at <= now",
        "False",
        "firing::calls_on_cold_connections_do_not_overtake_each_other",
    ),
)

OF_QUEUES = [
    *mutants(
        "prebooking/run/venue_queue.py",
        ("await asyncio.wait([closing], timeout=CLOSING_TIME)", "await asyncio.wait([closing])", "containment"),
        ("        self.failed = True\n", "", "containment"),
    ),
    *mutants(
        "prebooking/run/venue_context.py",
        (
            "        self.slots.close()\n",
            "",
            "firing::a_venue_that_blocks_us_is_left_alone_and_the_rest_goes_back_unsent",
            "firing",
        ),
        (
            "        self.release(pause)\n",
            "",
            "firing::a_venue_that_blocks_us_is_left_alone_and_the_rest_goes_back_unsent",
            "progress",
        ),
        (
            "UNREACHABLE_PAUSE = 60.0",
            "UNREACHABLE_PAUSE = 300.0",
            "progress::a_venue_that_cannot_be_reached_is_left_alone_for_a_minute_and_then_booked",
        ),
    ),
]

OF_THE_SCHEDULER = mutants(
    "prebooking/run/scheduler.py",
    (
        "                self._hold(new)\n",
        "",
        "attempt::a_slow_answer_of_the_claim_does_not_make_the_first_byte_late",
    ),
    (
        "async with asyncio.timeout(planned + DISPATCH_TIME):",
        "async with asyncio.timeout(None):",
        "containment::a_venue_whose_connections_hang_holds_up_no_later_claim",
    ),
    (
        "await self._stagger_over(max((queue.slots.sent_at for queue in self._queues.values()), default=None))",
        "pass",
        "attempt::the_end_of_a_run_lets_no_other_invocation_call_within_the_stagger",
    ),
    (
        "had_rows, self._holds_rows = self._holds_rows, True",
        "had_rows = self._holds_rows",
        "guard::a_claim_whose_answer_was_lost_is_given_back_although_all_later_tries_were_busy",
    ),
    (
        " if row.id not in self._report.results]",
        "]",
        "firing::due_rows_leave_in_order_fifty_milliseconds_apart_without_drifting",
    ),
    (
        "elif not await self._more_settled(settled):",
        "else:",
        "standing_behind::all_rows_of_a_gym_that_opens_late_are_booked_in_one_run",
    ),
    ("writes = guard.by_monotonic_clock()", "writes = guard", "wrong_clocks"),
    ("        self._report.failed |= any(queue.failed for queue in self._queues.values())\n", "", "containment"),
    (
        "if self._report.results or not isinstance(exc, StoreBusy):",
        "if True:",
        "guard::while_another_invocation_claims_the_answer_is_that_it_does",
    ),
    (
        "CLAIMS_MISSED = timedelta(seconds=90)",
        "CLAIMS_MISSED = timedelta(hours=9)",
        "progress::a_run_without_time_to_claim_says_so_and_is_an_error_when_it_repeats",
    ),
    (
        "CLAIMS_MISSED = timedelta(seconds=90)",
        "CLAIMS_MISSED = timedelta(seconds=9)",
        "progress::a_run_without_time_to_claim_says_so_and_is_an_error_when_it_repeats",
    ),
    (
        "writes.later(WRITES - END_OF_RUN), writes.later(WRITES)",
        "guard, guard",
        "guard::no_outcome_is_lost_at_the_guard",
    ),
    (
        "            self._report.timed_out = True\n",
        "            pass\n",
        "guard::a_hundred_calls_that_hang_are_cut_at_the_guard_and_none_is_wrongly_failed",
    ),
)

OF_REPORTS = mutants(
    "prebooking/run/report.py",
    ('status == "released" and self.not_given_back', 'status == "never"', "unit/report"),
    ("max(result.row.available_at, result.row.created_at)", "result.row.available_at", "unit/report"),
    ("late[-(-len(late) * percent // 100) - 1]", "late[len(late) * percent // 100 - 1]", "unit/report"),
    ("ERRORS_SHOWN = 10", "ERRORS_SHOWN = 11", "unit/report"),
    (
        "timed_out=self.timed_out or self.no_claim is NoClaim.NO_TIME",
        "timed_out=self.timed_out",
        "unit/report",
        "progress::a_run_without_time_to_claim_says_so_and_is_an_error_when_it_repeats",
    ),
    ('        statuses["failed"] += self.expired + self.unknown\n', "", "unit/report"),
    ("Kind.UNSURE if is_in_doubt(result) else result.outcome.kind", "result.outcome.kind", "unit/report"),
)

OF_THE_STORE = mutants(
    "prebooking/database/prebookings.py",
    (" or self.tries > 1", "", "attempt::a_delayed_first_try_of_a_claim_leases_nothing_to_a_run_that_is_over"),
    (
        "_claim(answer.value, time, tries + answer.tries)",
        "_claim(answer.value, time, tries)",
        "attempt::a_delayed_first_try_of_a_claim_leases_nothing_to_a_run_that_is_over",
    ),
    (
        'if not raw["maybe_sent"]:',
        "if True:",
        "doubt::a_doubtful_row_that_became_unreadable_is_not_said_to_have_failed",
    ),
    ("if not answer.value.locked or", "if True or", "store::the_end_of_a_run_asks_again_for_rows_that_are_locked"),
    (
        '"p_pause_seconds": round(pause)',
        '"p_pause_seconds": 300',
        "store::a_venue_is_left_alone_for_as_long_as_it_is_told",
    ),
    (
        "if fire_within.remaining() <= _BUSY_PAUSE + LOCK_WAIT:",
        "if True:",
        "guard::a_claim_is_asked_for_again_until_the_other_invocation_is_done",
    ),
    (
        '"p_answered_at": _instant(result.answered_at)',
        '"p_answered_at": None',
        "attempt::a_row_says_when_it_was_sent_and_when_the_venue_answered",
    ),
)

OF_TIME = [
    *mutants(
        "prebooking/run/hold.py",
        (
            "if shortest <= SHORTEST_HOLD:",
            "if shortest <= 0:",
            "hold::nothing_is_asked_in_a_short_hold_or_after_the_opening",
        ),
        ("QUESTIONS = 5", "QUESTIONS = 1", "hold"),
        (
            "            time.tighten(answer.value, asked, Reading.of(clock))\n",
            "            pass\n",
            "hold::with_a_network_of_20_ms_the_first_byte_leaves_within_12_ms",
        ),
        (
            "with suppress(StoreError):",
            "with suppress(ValueError):",
            "hold::on_a_network_that_loses_most_answers_one_is_enough",
        ),
    ),
    *mutants(
        "prebooking/clock.py",
        (
            "max(clock.monotonic() - self.monotonic, (clock.now() - self.wall).total_seconds())",
            "clock.monotonic() - self.monotonic",
            "unit/clock",
        ),
        (
            "max(clock.monotonic() - self.monotonic, (clock.now() - self.wall).total_seconds())",
            "(clock.now() - self.wall).total_seconds()",
            "unit/clock",
        ),
        ("clock.monotonic() - self.received.monotonic", "clock.monotonic() - self.asked.monotonic", "unit/clock"),
        (
            "timedelta(seconds=self.asked.elapsed(clock))",
            "timedelta(seconds=self.received.elapsed(clock))",
            "unit/clock",
        ),
        ("return max(reading.at_least(self.clock)", "return min(reading.at_least(self.clock)", "unit/clock"),
        ("return min(reading.at_most(self.clock)", "return max(reading.at_most(self.clock)", "unit/clock"),
        ("        if agrees:\n", "        if True:\n", "unit/clock"),
        ("reading.asked.monotonic <= asked.monotonic", "True", "unit/clock"),
        ("        if self.monotonic_only:\n", "        if False:\n", "unit/clock"),
        ("        self._tightened.set()\n", "", "unit/clock"),
        ("return self.received.monotonic + (instant", "return self.asked.monotonic + (instant", "unit/clock"),
    ),
]

OF_RUNS: list[Mutant] = [*OF_SLOTS, *OF_QUEUES, *OF_THE_SCHEDULER, *OF_REPORTS, *OF_THE_STORE, *OF_TIME]
