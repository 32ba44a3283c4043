"""Mutants of one invocation: scheduler, report, store, the hold, clocks, slots and venue queues."""

from __future__ import annotations

from tests.verification.mutants.mutant import Mutant, mutants, noticed_by

OF_SLOTS = mutants(
    "prebooking/run/slots.py",
    ("CONNECT_LEAD = 0.6", "CONNECT_LEAD = 0.0", "attempt::a_call_is_connected_before_its_opening"),
    (
        "MAX_CONNECTED = 4",
        "MAX_CONNECTED = 1",
        "firing::forty_rows_are_sent_within_two_seconds_despite_slow_handshakes",
    ),
    ("        await self._wait_for_opening()\n", "", "firing::rows_within_the_lead_are_held_until_their_opening"),
    *noticed_by(
        "firing::slow_handshakes_do_not_change_the_order",
        ("while (ahead := self._queue.slot_before(self)) is not None:", "while (ahead := None) is not None:"),
        ("other < slot and other.opens_at <= now", "False"),
    ),
    ("        await self._wait_for_stagger()\n", "", "firing::due_rows_are_sent_in_order_50_ms_apart_without_drift"),
    (
        "self._queue.sent_at = self._queue.clock.monotonic()",
        "self._queue.sent_at += self._queue.stagger",
        "firing::recorded_send_times_are_50_ms_apart_on_a_busy_machine",
        "firing",
    ),
    ("other < slot and other.opens_at <= now", "other < slot", "attempt::rows_with_setbacks_are_sent_before_held_rows"),
)

OF_QUEUES = [
    *mutants(
        "prebooking/run/venue_queue.py",
        *noticed_by(
            "containment",
            ("await asyncio.wait([closing], timeout=CLOSING_TIME)", "await asyncio.wait([closing])"),
            ("        self.failed = True\n", ""),
        ),
    ),
    *mutants(
        "prebooking/run/venue_context.py",
        (
            "if not a.calls and not a.row.maybe_sent and _has_no_answer(a.outcome)]",
            "if not a.calls and not a.row.maybe_sent]",
            "preparing::an_earlier_failed_login_is_kept_when_a_later_one_is_blocked",
        ),
        (
            "if not a.calls and not a.row.maybe_sent and _has_no_answer(a.outcome)]",
            "if not a.calls and _has_no_answer(a.outcome)]",
            "preparing::a_running_confirmation_settles_its_row_when_another_row_is_blocked",
        ),
        (
            "        self.slots.close()\n",
            "",
            "firing::a_blocking_venue_is_paused_and_its_other_rows_released",
            "firing",
        ),
        (
            "        self.release(self.venue.id, unsent, pause)\n",
            "",
            "firing::a_blocking_venue_is_paused_and_its_other_rows_released",
            "progress",
        ),
    ),
]

OF_THE_SCHEDULER = mutants(
    "prebooking/run/scheduler.py",
    (
        "                self._read_clock_until_opening(new)\n",
        "",
        "attempt::a_slow_claim_does_not_delay_the_first_byte",
    ),
    ("planned + DISPATCH_MARGIN", "None", "containment::a_venue_with_hanging_connections_does_not_delay_a_later_claim"),
    (
        "        await self._wait_for_stagger()\n",
        "",
        "attempt::the_stagger_also_holds_between_two_invocations",
    ),
    (
        "had_rows, self._holds_rows = self._holds_rows, True",
        "had_rows = self._holds_rows",
        "guard::a_claim_whose_answer_was_lost_is_released_although_later_tries_were_busy",
    ),
    (" if row.id not in self._report.results]", "]", "firing::due_rows_are_sent_in_order_50_ms_apart_without_drift"),
    (
        "elif not await self._wait_until_more_settled(settled):",
        "else:",
        "standing_behind::all_rows_of_a_venue_that_opens_late_are_booked_in_one_run",
    ),
    ("writes = guard.by_monotonic_clock()", "writes = guard", "wrong_clocks"),
    ("        self._report.failed |= any(queue.failed for queue in self._queues.values())\n", "", "containment"),
    (
        "if self._report.results or not isinstance(exc, StoreBusy):",
        "if True:",
        "guard::a_run_that_cannot_claim_because_another_run_claims_succeeds",
    ),
    *noticed_by(
        "progress::repeated_runs_without_time_to_claim_are_an_error",
        ("MAX_TIME_WITHOUT_CLAIM = timedelta(seconds=90)", "MAX_TIME_WITHOUT_CLAIM = timedelta(hours=9)"),
        ("MAX_TIME_WITHOUT_CLAIM = timedelta(seconds=90)", "MAX_TIME_WITHOUT_CLAIM = timedelta(seconds=9)"),
    ),
    (
        "writes.later(WRITE_TIME - FINISH_TIME), writes.later(WRITE_TIME)",
        "guard, guard",
        "guard::no_outcome_is_lost_at_the_guard",
    ),
    ("self._report.timed_out = True", "pass", "guard::a_hundred_hanging_calls_are_cut_at_the_guard_and_stay_pending"),
)

OF_REPORTS = mutants(
    "prebooking/run/report.py",
    *noticed_by(
        "unit/report",
        ('status == "released" and self.finish_failed', 'status == "never"'),
        ("max(result.row.available_at, result.row.created_at)", "result.row.available_at"),
        ("late[-(-len(late) * percent // 100) - 1]", "late[len(late) * percent // 100 - 1]"),
        ("ERRORS_SHOWN = 10", "ERRORS_SHOWN = 11"),
        ('        statuses["failed"] += self.expired + self.unknown\n', ""),
        ("Kind.UNSURE if has_unclear_call(result) else result.outcome.kind", "result.outcome.kind"),
    ),
    (
        "timed_out=self.timed_out or self.no_claim is NoClaim.NO_TIME",
        "timed_out=self.timed_out",
        "unit/report",
        "progress::repeated_runs_without_time_to_claim_are_an_error",
    ),
)

OF_THE_STORE = mutants(
    "prebooking/database/prebookings.py",
    *noticed_by(
        "attempt::a_delayed_claim_leases_nothing_to_a_closed_run",
        (" or self.tries > 1", ""),
        ("_claim(answer.value, time, tries + answer.tries)", "_claim(answer.value, time, tries)"),
    ),
    ('if not raw["maybe_sent"]:', "if True:", "doubt::a_row_in_doubt_that_became_unreadable_does_not_fail"),
    ("if not answer.value.locked or", "if True or", "store::finish_run_is_repeated_for_locked_rows"),
    ('"p_pause_seconds": round(pause)', '"p_pause_seconds": 300', "store::a_venue_is_paused_for_the_given_time"),
    (
        "if fire_within.remaining() <= _BUSY_PAUSE + LOCK_WAIT:",
        "if True:",
        "guard::a_claim_is_repeated_until_the_other_run_has_claimed",
    ),
    ("_instant(result.answered_at)", "None", "attempt::a_row_records_when_it_was_sent_and_answered"),
)

OF_TIME = [
    *mutants(
        "prebooking/run/hold.py",
        ("shortest <= SHORTEST_HOLD:", "shortest <= 0:", "hold::a_very_short_hold_and_a_late_one_have_no_queries"),
        ("READINGS = 5", "READINGS = 1", "hold"),
        *noticed_by(
            "hold::with_one_fast_answer_the_first_byte_is_at_most_12_ms_late",
            ("            time.tighten(answer.value, asked, Reading.of(clock))\n", "            pass\n"),
            ("with suppress(StoreError):", "with suppress(ValueError):"),
        ),
    ),
    *mutants(
        "prebooking/clock.py",
        *noticed_by(
            "unit/clock",
            (
                "max(clock.monotonic() - self.monotonic, (clock.now() - self.wall).total_seconds())",
                "clock.monotonic() - self.monotonic",
            ),
            (
                "max(clock.monotonic() - self.monotonic, (clock.now() - self.wall).total_seconds())",
                "(clock.now() - self.wall).total_seconds()",
            ),
            ("clock.monotonic() - self.received.monotonic", "clock.monotonic() - self.asked.monotonic"),
            ("timedelta(seconds=self.asked.elapsed(clock))", "timedelta(seconds=self.received.elapsed(clock))"),
            ("return max(reading.at_least(self.clock)", "return min(reading.at_least(self.clock)"),
            ("return min(reading.at_most(self.clock)", "return max(reading.at_most(self.clock)"),
            (" and new.at_least(self.clock) <= self.at_most():\n", ":\n"),
            ("reading.asked.monotonic <= new.asked.monotonic", "True"),
            ("        if self.monotonic_only:\n", "        if False:\n"),
            ("        self._tightened.set()\n", ""),
            ("return self.received.monotonic + (instant", "return self.asked.monotonic + (instant"),
        ),
    ),
]

OF_RUNS: list[Mutant] = [*OF_SLOTS, *OF_QUEUES, *OF_THE_SCHEDULER, *OF_REPORTS, *OF_THE_STORE, *OF_TIME]
