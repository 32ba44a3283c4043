"""Mutants of what happens to one row: attempt, rules, evidence."""

from __future__ import annotations

from tests.verification.mutants.mutant import Mutant, mutants, noticed_by

ATTEMPT, RULES, EVIDENCE = "prebooking/run/attempt.py", "prebooking/run/rules.py", "prebooking/run/evidence.py"

BEFORE_A_CALL = mutants(
    ATTEMPT,
    *noticed_by(
        "doubt::a_confirmation_answered_with_429_pauses_the_venue",
        ("return not self._venue.stopped and await", "return await"),
        ("elif found.kind is Kind.BLOCKED and not self._is_blocked_alone():", "elif False:"),
    ),
    ("if missing.kind is Kind.BLOCKED:", "if False:", "attempt::a_venue_that_blocks_a_login_is_paused"),
    *noticed_by(
        "attempt_ends::a_row_in_doubt_does_not_fail_because_its_login_is_over",
        ("is Kind.SESSION_EXPIRED and login_refusal_is_final(self._row):", "is Kind.SESSION_EXPIRED:"),
        ("Kind.CANNOT_TELL if self._row.maybe_sent else Kind.NOT_READY", "Kind.NOT_READY"),
    ),
    (
        "elif found.kind is Kind.NOT_BOOKED:\n            return True",
        "elif found.kind is Kind.NOT_BOOKED:\n            self._settle_if_proved(found, Evidence.ANSWER)",
        "doubt::after_the_lease_the_row_is_confirmed_and_booked_once",
    ),
    (
        "elif found.kind is Kind.MISSING and was_missing_before(self._row, self._venue.time):",
        "elif found.kind is Kind.MISSING:",
        "evidence::a_missing_class_is_gone_only_after_a_second_look",
    ),
    (
        "if row.if_not_booked and proves(Evidence.QUERY_AFTER_LEASE, row.if_not_booked):",
        "if False:",
        "evidence::a_disputed_answer_is_final_only_after_a_confirmation_after_the_lease",
    ),
    (
        "if row.unclear >= self._venue.booker.max_unclear_calls:",
        "if False:",
        "evidence::four_unclear_calls_without_a_booking_are_a_rejection",
    ),
    (
        "if row.blocks >= MAX_BLOCKS and self._is_blocked_alone():",
        "if False:",
        "progress::a_row_that_alone_is_blocked_becomes_last_and_is_then_rejected",
    ),
    (
        "asked_enough and row.attempts == row.blocks and",
        "asked_enough and",
        "attempt_ends::a_row_is_rejected_without_confirmation_only_if_each_of_its_calls_was_blocked",
    ),
    (
        "if found.kind is Kind.SESSION_EXPIRED and await self._prepare(renew=True) is None:",
        "if False:",
        "aimharder::an_expired_session_is_refreshed_to_confirm_a_row_in_doubt",
    ),
)

THE_CALL = mutants(
    ATTEMPT,
    (
        "        attempt.outcome = Outcome(Kind.UNSURE)\n",
        "",
        "attempt_ends::a_second_call_that_is_cut_off_leaves_the_row_in_doubt",
    ),
    ("attempt.fired_at or venue.time.stamp()", "venue.time.stamp()", "attempt::lateness_is_that_of_the_first_call"),
    ("or venue.time.stamp(", "or venue.time.at_least(", "attempt::lateness_counts_from_the_earliest_possible_opening"),
    ("if venue.stopped:", "if False:", "attempt", "firing::a_blocking_venue_is_paused_and_its_other_rows_released"),
    (
        "if not has_time_for_answer(venue.last_start):",
        "if False:",
        "doubt::an_instance_that_was_frozen_sends_nothing_afterwards",
    ),
    (
        "if not is_between_opening_and_expiry(self._row, venue.time):",
        "if False:",
        "doubt::nothing_is_sent_for_a_class_that_begins_while_its_row_is_in_the_queue",
    ),
    ("        attempt.unclear += 1\n", "", "evidence::four_unclear_calls_without_a_booking_are_a_rejection"),
    (
        "            if outcome.kind is not Kind.UNSURE:\n                self._attempt.unclear -= 1\n",
        "",
        "evidence::clear_answers_do_not_count_as_unclear_calls",
    ),
    ("if outcome != STALE_CONNECTION:", "if True:", "attempt::a_stale_connection_is_replaced_at_once"),
    ("NOT_SENT_PAUSES = (0.1, 0.2", "NOT_SENT_PAUSES = (0.1,", "firing::a_refused_connection_is_tried_again_in_order"),
    (
        "NOT_SENT_TIME = 2.5",
        "NOT_SENT_TIME = 100.0",
        "attempt_ends::a_connection_that_fails_slowly_is_not_tried_again_in_the_run",
    ),
    (
        'self._venue.stop("venue unreachable", outcome, pause=UNREACHABLE_PAUSE)',
        "pass",
        "progress::an_unreachable_venue_is_paused_for_a_minute_and_then_booked",
    ),
    ("if not self._row.maybe_sent:\n", "if True:\n", "attempt_ends::an_unsendable_row_fails_only_if_it_was_never_sent"),
)

AFTER_THE_ANSWER = mutants(
    ATTEMPT,
    (
        "return otherwise if again.kind is Kind.NOT_SENT else again",
        "return again",
        "attempt::a_retry_that_was_not_sent_keeps_the_clear_answer",
    ),
    ("self._attempt.outcome = outcome =", "outcome =", "attempt::a_row_cut_off_during_its_login_renewal_is_released"),
    *noticed_by(
        "firing::too_early_is_tried_again_three_times_250_ms_apart",
        ("MAX_EARLY_RETRIES = 3", "MAX_EARLY_RETRIES = 2"),
        ("EARLY_PAUSE = 0.25", "EARLY_PAUSE = 0.025"),
    ),
    (
        "if logged_in:",
        "if logged_in and self._attempt.calls > 2:",
        "attempt::a_renewed_login_that_is_refused_again_releases_the_row",
    ),
    (
        "return missing if missing.kind in (Kind.SESSION_EXPIRED, Kind.BLOCKED) else outcome",
        "return missing",
        "attempt_ends::a_row_whose_login_cannot_be_renewed_is_released",
    ),
    (
        "if outcome.kind is not Kind.UNSURE and not refused_in_doubt(self._row, outcome):",
        "if outcome.kind is not Kind.UNSURE:",
        "doubt::a_refusal_of_a_row_in_doubt_is_confirmed_first",
    ),
    (
        "elif found.kind is Kind.NOT_BOOKED and (refusal := refusal_if_not_booked(self._row, outcome)):",
        "elif False:",
        "doubt::a_confirmed_refusal_of_a_row_in_doubt_is_final",
    ),
    (
        "if settles_earlier_call(again):",
        "if True:",
        "doubt::a_refused_second_call_to_an_idempotent_venue_proves_nothing_about_the_first",
    ),
    (
        "if outcome.kind is Kind.TOO_EARLY and too_early_is_final(self._row, self._venue.time):",
        "if outcome.kind is Kind.TOO_EARLY:",
        "evidence::too_early_is_tried_once_per_minute_and_final_after_15_minutes",
    ),
    (
        'self._venue.stop("call blocked by the venue", outcome, pause=BLOCKED_PAUSE)',
        "pass",
        "firing::a_blocking_venue_is_paused_and_its_other_rows_released",
    ),
)

OF_RULES = mutants(
    RULES,
    (
        "return row.maybe_sent and not row.venue.idempotent",
        "return row.maybe_sent",
        "attempt_ends::an_idempotent_venue_gets_a_row_in_doubt_again_without_a_question",
    ),
    (
        "return row.maybe_sent and not row.venue.idempotent",
        "return False",
        "doubt::after_the_lease_the_row_is_confirmed_and_booked_once",
    ),
    ("timedelta(minutes=15)", "timedelta(minutes=2)", "evidence::a_venue_that_opens_minutes_late_is_booked"),
    (
        "row.missing_since is not None and time.at_least() - row.missing_since >= MISSING_TIME",
        "True",
        "evidence::a_missing_class_is_gone_only_after_a_second_look",
    ),
)

OF_EVIDENCE = mutants(
    EVIDENCE,
    (
        "attempts=result.row.attempts + result.calls",
        "attempts=result.calls",
        "attempt_ends::attempts_count_the_calls_of_all_runs",
    ),
    *noticed_by(
        "evidence::only_final_outcomes_are_proven_by_evidence",
        ("Evidence.LOGIN: frozenset({Kind.SESSION_EXPIRED})", "Evidence.LOGIN: frozenset[Kind]()"),
        ("frozenset({Kind.TOO_EARLY})", "frozenset({Kind.TOO_EARLY, Kind.UNSURE})"),
    ),
    ("kind, Verdict.UNSURE)", "kind, Verdict.LOGGED_OUT)", "doubt::a_call_cut_off_at_the_guard_keeps_its_lease"),
    (
        "    Kind.BLOCKED: Verdict.BLOCKED,\n",
        "",
        "progress::a_row_that_alone_is_blocked_becomes_last_and_is_then_rejected",
    ),
    (
        "    Kind.TOO_EARLY: Verdict.TOO_EARLY,\n",
        "",
        "guard::a_row_between_two_calls_at_the_guard_is_released",
        "firing::too_early_is_tried_again_three_times_250_ms_apart",
    ),
    ("    Kind.MISSING: Verdict.MISSING,\n", "", "evidence::a_missing_class_is_gone_only_after_a_second_look"),
    ("    Kind.NOT_BOOKED: Verdict.NOT_BOOKED,\n", "", "evidence::a_row_that_is_not_at_the_venue_can_be_cancelled"),
    ("    Kind.CANNOT_TELL: Verdict.CANNOT_TELL,\n", "", "evidence::confirmations_of_a_row_become_rarer"),
    ("result.settled is None and result.calls > 0 and kind", "result.settled is None and kind", "unit/report"),
    (
        "unclear=result.row.unclear + result.unclear",
        "unclear=result.unclear",
        "evidence::four_unclear_calls_without_a_booking_are_a_rejection",
    ),
    (
        "if result.outcome and verdict is Verdict.UNSURE else None",
        "if False and result.outcome else None",
        "evidence::a_disputed_answer_is_final_only_after_a_confirmation_after_the_lease",
    ),
)

OF_ATTEMPTS: list[Mutant] = [*BEFORE_A_CALL, *THE_CALL, *AFTER_THE_ANSWER, *OF_RULES, *OF_EVIDENCE]
