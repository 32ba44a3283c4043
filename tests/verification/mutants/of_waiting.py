"""More mutants of what waits, and for how long: a row for its slot, a run for its next claim and its end."""

from __future__ import annotations

from tests.verification.mutants.mutant import Mutant, mutants, noticed_by

_LATE_TIMERS = "unit/clock::the_real_clock_wakes_in_time_despite_late_timers"

OF_WAITING: list[Mutant] = [
    *mutants(
        "prebooking/run/scheduler.py",
        *noticed_by(
            "claims_of_a_run::a_locked_row_is_claimed_by_the_same_run_later",
            ("pause = next(pauses, None) if self._report.locked else None", "pause = None"),
            ("LOCKED_PAUSES = (0.1, 0.2, 0.4, 0.8)", "LOCKED_PAUSES = (0.1,)"),
        ),
        *noticed_by(
            "claims_of_a_run::a_claim_without_time_for_its_answer_is_not_started",
            ("(MIN_CLAIM_TIME if self._time else 0)", "0"),
            ("= None if self._time else NoClaim.NO_TIME", "= NoClaim.NO_TIME"),
            ("                await self._wait_for_answers()\n", "                pass\n"),
        ),
        ("self._time.merge(time)\n", "pass\n", "claims_of_a_run::a_faster_later_claim_corrects_the_database_clock"),
        ("        if openings:\n", "        if False:\n", "attempt::a_slow_claim_does_not_delay_the_first_byte"),
        (
            "            self._report.finish_failed = True\n",
            "",
            "wrong_clocks::a_summary_counts_rows_as_released_only_if_written",
        ),
        (
            "asyncio.timeout(planned + DISPATCH_MARGIN)",
            "asyncio.timeout(DISPATCH_MARGIN)",
            "claims_of_a_run::nothing_is_claimed_while_claimed_rows_wait_for_slots",
        ),
        ("time, min(openings))", "time, max(openings))", "claims_of_a_run::the_first_of_two_openings_is_met_exactly"),
        (
            "self._holds_rows = had_rows or claim.needs_finish",
            "self._holds_rows = claim.needs_finish",
            "ends_of_a_run::a_run_is_recorded_although_its_last_claim_was_empty",
        ),
        (
            "DISPATCH_MARGIN = 0.25",
            "DISPATCH_MARGIN = 25",
            "containment::a_venue_with_hanging_connections_does_not_delay_a_later_claim",
        ),
        ("reading.cancel()\n", "pass\n", "wrong_clocks::a_clock_change_in_a_run_leaves_no_unsent_row_in_doubt"),
        *noticed_by(
            "guard::a_request_with_no_time_left_claims_nothing",
            ("        if not self._holds_rows:\n", "        if False:\n"),
            ("last.last_claim_at is not None and", "last.last_claim_at is None or"),
        ),
        ("WRITE_TIME = 1.0", "WRITE_TIME = 10.0", "guard::a_database_that_hangs_after_the_claim_costs_no_booking"),
        ("= guard.before(LAST_START)", "= guard", "ends_of_a_run::no_connection_is_opened_after_the_last_start"),
        (
            "execution_time=self._guard.start.elapsed(self._clock)",
            "execution_time=0.0",
            "preparing::a_hanging_confirmation_takes_two_seconds",
        ),
        ("if row_id not in self._report.results:", "if True:", "claims_of_a_run::an_unreadable_row_is_settled_once"),
        (
            "self._report.no_claim = None if self._time else NoClaim.BUSY",
            "self._report.no_claim = NoClaim.BUSY",
            "claims_of_a_run::a_later_claim_that_times_out_does_not_fail_the_run",
        ),
        (
            '"turn": settings.execution_timeout_seconds',
            '"turn": settings.lease_seconds',
            "claims_of_a_run::a_run_that_could_not_end_frees_its_opening_at_its_guard",
        ),
        ("CLAIM_LIMIT = 500", "CLAIM_LIMIT = 100", "firing::four_gyms_with_forty_members_each_are_served_side_by_side"),
        (
            "FINISH_TIME = 0.3",
            "FINISH_TIME = 0.0",
            "guard::outcomes_that_cannot_be_written_leave_time_for_the_end_of_the_run",
        ),
    ),
    *mutants(
        "prebooking/database/prebookings.py",
        (
            "UNREACHABLE_PAUSE = 60.0",
            "UNREACHABLE_PAUSE = 300.0",
            "progress::an_unreachable_venue_is_paused_for_a_minute_and_then_booked",
        ),
        ("self.held or self.expired", "self.expired", "attempt::a_retry_that_was_not_sent_keeps_the_clear_answer"),
        ('"p_by_hand": self._by_hand', '"p_by_hand": False', "heartbeat::a_manual_run_does_not_update_the_heartbeat"),
        ('"attempts": result.calls', '"attempts": 1', "attempt::lateness_is_that_of_the_first_call"),
        (
            "_LOCKED_TRIES = 5",
            "_LOCKED_TRIES = 500",
            "ends_of_a_run::a_row_that_stays_locked_does_not_keep_the_run_from_ending",
        ),
        *noticed_by(
            "ends_of_a_run::a_run_that_only_expires_rows_is_recorded",
            ("self.expired or self.unknown) or", "self.expired) or"),
            ("self.expired or self.unknown) or", "self.unknown) or"),
        ),
        (
            "                tries += 1\n",
            "",
            "ends_of_a_run::a_run_whose_first_claim_was_lost_is_closed_although_later_tries_were_busy",
        ),
        ("_ms(stagger)", "50", "claims_of_a_run::no_more_rows_are_held_than_the_stagger_allows"),
        (
            "_BUSY_PAUSE = 0.1",
            "_BUSY_PAUSE = 1.0",
            "claims_of_a_run::a_run_repeats_its_claim_soon_while_another_one_claims",
        ),
        (
            "or until.remaining() <= 2 * _LOCKED_PAUSE",
            "or False",
            "ends_of_a_run::a_row_locked_at_the_end_of_a_run_is_no_failure",
        ),
    ),
    *mutants(
        "prebooking/run/slots.py",
        (
            "        self._queue.sending = self\n",
            "",
            "preparing::a_row_confirmed_while_others_wait_keeps_their_stagger",
        ),
        (
            "if self._queue.sending is self:\n            self._queue.sending = None",
            "if False:\n            pass",
            "firing::due_rows_are_sent_in_order_50_ms_apart_without_drift",
        ),
        (
            "return len(self._waiting) * self.stagger",
            "return 0.0",
            "claims_of_a_run::nothing_is_claimed_while_rows_of_a_later_claim_wait_for_slots",
        ),
        (
            "while not until.passed() and not self.closed:",
            "while not self.closed:",
            "ends_of_a_run::no_connection_is_opened_after_the_last_start",
        ),
        ("MAX_CONNECTED = 4", "MAX_CONNECTED = 40", "firing::rows_of_an_unreachable_venue_are_released_unsent"),
        (
            "            slot.granted.cancel()\n        else:",
            "            pass\n        else:",
            "preparing::a_row_confirmed_after_its_venue_was_paused_is_released_at_once",
        ),
        ("CONNECT_LEAD = 0.6", "CONNECT_LEAD = 6.0", "preparing::a_call_connects_shortly_before_its_opening"),
        (
            "        time.on_tightened(self._changed.set)\n",
            "",
            "wrong_clocks::a_forward_step_of_the_database_s_clock_is_followed",
        ),
        ("max(seconds, 0.001)", "1.0", "firing::a_call_is_in_time_for_its_opening_although_no_question_is_answered"),
        ("max(seconds, 0.001)", "seconds", "unit/slots::an_end_within_the_clock_s_precision_is_reached"),
        (
            "call_later(self._queue.stagger / 10, self.end)",
            "call_soon(self.end)",
            "preparing::the_next_call_starts_after_the_first_byte_of_the_previous_one",
        ),
    ),
    *mutants(
        "prebooking/run/venue_queue.py",
        *noticed_by(
            "claims_of_a_run::nothing_is_claimed_while_claimed_rows_wait_for_slots",
            ("        self._all_prepared.clear()\n", ""),
            ("        await self._all_prepared.wait()\n", ""),
            ("        await self.slots.all_granted.wait()\n\n", "\n"),
            ("(len(self._not_started) + self._preparing) * self.slots.stagger", "0"),
            ("        await asyncio.wait([self._open_task])\n", ""),
        ),
        (
            "            if row.had_no_progress:\n                await self.slots.all_granted.wait()\n",
            "",
            "preparing::a_row_with_setbacks_is_confirmed_after_all_others_have_their_slots",
        ),
        (
            "self._last_preparation_at = max(now, self._last_preparation_at + self.slots.stagger)",
            "self._last_preparation_at = now",
            "preparing::confirmations_keep_the_stagger",
        ),
        (
            "            attempt.outcome = Outcome(Kind.NOT_READY)\n",
            "            pass\n",
            "preparing::a_row_whose_preparation_raises_gets_a_setback",
        ),
        (
            "CLOSING_TIME = 0.5",
            "CLOSING_TIME = 5.0",
            "containment::a_booker_that_ignores_cancellation_does_not_keep_the_run_from_ending",
        ),
        (
            "this is our own cancellation\n                raise\n",
            "this is our own cancellation\n                pass\n",
            "ends_of_a_run::no_connection_is_opened_after_the_last_start",
        ),
        (
            "        self._context.stopped = True\n",
            "",
            "containment::a_call_that_ignores_cancellation_is_not_sent_after_a_failed_run",
        ),
        (
            "if attempt and attempt.outcome is None:",
            "if attempt:",
            "preparing::an_exception_after_a_confirmation_keeps_its_result",
        ),
    ),
    *mutants(
        "prebooking/run/hold.py",
        (
            "NO_READING_BEFORE = 0.05",
            "NO_READING_BEFORE = 0.0",
            "hold::the_queries_of_a_short_hold_end_before_the_opening",
        ),
    ),
    *mutants(
        "prebooking/clock.py",
        ("_ROUNDING = 0.00001", "_ROUNDING = 0.0", "firing::rows_within_the_lead_are_held_until_their_opening"),
        *noticed_by(
            "unit/clock",
            ("at = max(at, stamped + timedelta(seconds=now - before))", "pass"),
            ("self.at_least() <= new.at_most(self.clock) and", "True and"),
            ("and new.at_least(self.clock) <= self.at_most()", ""),
            ("if left <= 2 * _LAST_LOOK:", "if True:"),
            ("        while self.monotonic() < instant:  #", "        while False:  #"),
            ("return self.remaining() <= 0", "return self.remaining() < 0"),
            ("return max(0.0, self.seconds - elapsed)", "return self.seconds - elapsed"),
            ("_LAST_LOOK = 0.03", "_LAST_LOOK = 0.3"),
        ),
        *noticed_by(
            _LATE_TIMERS,
            ("_COARSE = 0.2", "_COARSE = 0.0"),
            ("_FINE = 0.0012", "_FINE = 0.0"),
            ("_FINE = 0.0012", "_FINE = 0.012"),
        ),
    ),
]
