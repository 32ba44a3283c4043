"""Mutants of what happens to one row: attempt, rules, evidence."""

from __future__ import annotations

from tests.verification.mutants.mutant import Mutant, mutants

ATTEMPT, RULES, EVIDENCE = "prebooking/run/attempt.py", "prebooking/run/rules.py", "prebooking/run/evidence.py"

BEFORE_A_CALL = mutants(
    ATTEMPT,
    (
        "return not self._venue.stopped and await",
        "return await",
        "doubt::a_venue_that_answers_a_question_with_429_is_asked_no_more_and_left_alone",
    ),
    ("if missing.kind is Kind.BLOCKED:", "if False:", "attempt::a_venue_that_blocks_a_login_is_left_alone"),
    (
        "if missing.kind is Kind.SESSION_EXPIRED and not self._row.maybe_sent:",
        "if missing.kind is Kind.SESSION_EXPIRED:",
        "attempt_ends::a_login_that_is_over_says_nothing_about_a_row_in_doubt",
    ),
    (
        "Kind.CANNOT_TELL if self._row.maybe_sent else Kind.NOT_READY",
        "Kind.NOT_READY",
        "attempt_ends::a_login_that_is_over_says_nothing_about_a_row_in_doubt",
    ),
    (
        "elif found.kind is Kind.NOT_BOOKED:\n            return True",
        "elif found.kind is Kind.NOT_BOOKED:\n            self._conclude(Outcome(Kind.REJECTED), Evidence.ANSWER)",
        "doubt::after_the_lease_the_venue_is_asked_and_the_row_booked_once",
    ),
    (
        "elif found.kind is Kind.MISSING and was_missing_before(self._row, self._venue.time):",
        "elif found.kind is Kind.MISSING:",
        "evidence::a_class_that_the_venue_no_longer_lists_is_gone_only_after_a_second_look",
    ),
    (
        "elif found.kind is Kind.BLOCKED and not self._is_blocked_alone():",
        "elif False:",
        "doubt::a_venue_that_answers_a_question_with_429_is_asked_no_more_and_left_alone",
    ),
    (
        "if row.if_not_booked and proves(Evidence.QUESTION_AFTER_LEASE, row.if_not_booked):",
        "if False:",
        "evidence::a_disputed_answer_becomes_a_refusal_only_when_asked_after_the_lease",
    ),
    (
        "if row.unclear >= self._venue.booker.most_calls:",
        "if False:",
        "evidence::four_unclear_calls_and_no_place_are_a_refusal",
    ),
    (
        "if row.blocks >= BLOCKS and self._is_blocked_alone():",
        "if False:",
        "progress::a_block_that_only_one_row_meets_puts_that_row_last_and_then_ends_it",
    ),
    (
        "asked_enough and row.attempts == row.blocks and",
        "asked_enough and",
        "attempt_ends::a_row_is_given_up_unasked_only_if_each_of_its_calls_was_refused",
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
        "attempt_ends::a_call_that_is_cut_off_after_a_clear_answer_is_in_doubt",
    ),
    ("attempt.fired_at or venue.time.stamp()", "venue.time.stamp()", "attempt::lateness_is_that_of_the_first_call"),
    (
        "attempt.fired_at or venue.time.stamp()",
        "attempt.fired_at or venue.time.at_least()",
        "attempt::lateness_counts_from_the_earliest_instant_that_the_opening_can_have_been",
    ),
    (
        "if venue.stopped:",
        "if False:",
        "attempt",
        "firing::a_venue_that_blocks_us_is_left_alone_and_the_rest_goes_back_unsent",
    ),
    (
        "if venue.last_start.passed():",
        "if False:",
        "doubt::an_instance_frozen_before_its_call_sends_nothing_when_it_thaws",
    ),
    (
        "if not may_leave(self._row, venue.time):",
        "if False:",
        "doubt::nothing_is_sent_for_a_class_that_begins_while_its_row_waits_in_line",
    ),
    ("        attempt.unclear += 1\n", "", "evidence::four_unclear_calls_and_no_place_are_a_refusal"),
    (
        "            self._attempt.unclear -= outcome.kind is not Kind.UNSURE\n",
        "",
        "evidence::clear_answers_do_not_count_as_unclear_calls",
    ),
    (
        "if outcome != STALE_CONNECTION:",
        "if True:",
        "attempt::a_connection_that_grew_stale_before_its_slot_is_made_anew_at_once",
    ),
    (
        "NOT_SENT_PAUSES = (0.1, 0.2)",
        "NOT_SENT_PAUSES = (0.1,)",
        "firing::a_connection_that_fails_twice_is_tried_again_and_keeps_the_order",
    ),
    (
        "NOT_SENT_TIME = 2.5",
        "NOT_SENT_TIME = 100.0",
        "attempt_ends::a_venue_that_does_not_accept_a_connection_for_seconds_is_not_tried_again_in_the_run",
    ),
    (
        'self._venue.stop("the venue cannot be reached", outcome, pause=UNREACHABLE_PAUSE)',
        "pass",
        "progress::a_venue_that_cannot_be_reached_is_left_alone_for_a_minute_and_then_booked",
    ),
    (
        "            if not self._row.maybe_sent:\n",
        "            if True:\n",
        "attempt_ends::a_row_that_can_be_no_request_any_more_stays_in_doubt_where_it_may_have_been_sent",
    ),
)

AFTER_THE_ANSWER = mutants(
    ATTEMPT,
    (
        "return otherwise if again.kind is Kind.NOT_SENT else again",
        "return again",
        "attempt::a_re_ask_that_cannot_be_sent_leaves_the_clear_answer",
    ),
    (
        "self._attempt.outcome = outcome = Outcome(Kind.LOGGED_OUT)",
        "outcome = Outcome(Kind.LOGGED_OUT)",
        "attempt::a_row_cut_off_while_its_login_is_renewed_was_clearly_not_booked",
    ),
    (
        "EARLY_RETRIES = 3",
        "EARLY_RETRIES = 2",
        "firing::too_early_is_asked_again_at_most_three_times_a_quarter_second_apart",
    ),
    (
        "EARLY_PAUSE = 0.25",
        "EARLY_PAUSE = 0.025",
        "firing::too_early_is_asked_again_at_most_three_times_a_quarter_second_apart",
    ),
    (
        "if logged_in:",
        "if logged_in and self._attempt.calls > 2:",
        "attempt::a_renewed_login_that_is_refused_again_puts_the_row_back",
    ),
    (
        "return missing if missing.kind in (Kind.SESSION_EXPIRED, Kind.BLOCKED) else outcome",
        "return missing",
        "attempt_ends::a_row_whose_login_could_not_be_renewed_goes_back_with_its_clear_answer",
    ),
    (
        "refused_in_doubt = in_doubt(self._row) and outcome.kind in FAILED",
        "refused_in_doubt = False",
        "doubt::a_refusal_in_doubt_is_final_only_when_the_venue_says_it_has_nothing",
    ),
    (
        "elif found.kind is Kind.NOT_BOOKED and refused_in_doubt:",
        "elif False:",
        "doubt::a_refusal_in_doubt_ends_the_row_when_the_venue_confirms_it",
    ),
    (
        "if tells_of_earlier_call(again):",
        "if True:",
        "doubt::what_an_idempotent_venue_says_to_the_second_call_tells_nothing_of_the_first",
    ),
    (
        "if outcome.kind is Kind.TOO_EARLY and said_too_early_long_enough(self._row, self._venue.time):",
        "if outcome.kind is Kind.TOO_EARLY:",
        "evidence::too_early_is_final_after_a_quarter_of_an_hour_and_asked_once_a_minute",
    ),
    (
        'self._venue.stop("the venue blocks us", outcome, pause=BLOCKED_PAUSE)',
        "pass",
        "firing::a_venue_that_blocks_us_is_left_alone_and_the_rest_goes_back_unsent",
    ),
)

OF_RULES = mutants(
    RULES,
    (
        "return row.maybe_sent and not row.venue.idempotent",
        "return row.maybe_sent",
        "attempt_ends::where_a_key_books_once_a_row_in_doubt_is_sent_again_and_nobody_is_asked",
    ),
    (
        "return row.maybe_sent and not row.venue.idempotent",
        "return False",
        "doubt::after_the_lease_the_venue_is_asked_and_the_row_booked_once",
    ),
    ("timedelta(minutes=15)", "timedelta(minutes=2)", "evidence::a_gym_that_opens_minutes_late_is_booked"),
    (
        "row.missing_since is not None and time.at_least() - row.missing_since >= MISSING_TIME",
        "True",
        "evidence::a_class_that_the_venue_no_longer_lists_is_gone_only_after_a_second_look",
    ),
)

OF_EVIDENCE = mutants(
    EVIDENCE,
    (
        "attempts=result.row.attempts + result.calls",
        "attempts=result.calls",
        "attempt_ends::a_row_counts_the_calls_of_all_its_runs",
    ),
    (
        "Evidence.LOGIN: frozenset({Kind.SESSION_EXPIRED})",
        "Evidence.LOGIN: frozenset[Kind]()",
        "evidence::every_final_outcome_rests_on_some_evidence_and_no_other_outcome_does",
    ),
    (
        "Evidence.ANSWERS_FOR_LONG: frozenset({Kind.TOO_EARLY})",
        "Evidence.ANSWERS_FOR_LONG: frozenset({Kind.TOO_EARLY, Kind.UNSURE})",
        "evidence::every_final_outcome_rests_on_some_evidence_and_no_other_outcome_does",
    ),
    (
        "_AFTER_A_CALL.get(kind, Verdict.UNSURE)",
        "_AFTER_A_CALL.get(kind, Verdict.LOGGED_OUT)",
        "doubt::a_call_cut_off_at_the_guard_is_unsure_and_stays_leased",
    ),
    (
        "    Kind.BLOCKED: Verdict.BLOCKED,\n",
        "",
        "progress::a_block_that_only_one_row_meets_puts_that_row_last_and_then_ends_it",
    ),
    (
        "    Kind.TOO_EARLY: Verdict.TOO_EARLY,\n",
        "",
        "guard::a_row_between_two_asks_at_the_guard_goes_back_with_its_clear_answer",
        "firing::too_early_is_asked_again_at_most_three_times_a_quarter_second_apart",
    ),
    (
        "    Kind.MISSING: Verdict.MISSING,\n",
        "",
        "evidence::a_class_that_the_venue_no_longer_lists_is_gone_only_after_a_second_look",
    ),
    (
        "    Kind.NOT_BOOKED: Verdict.NOT_BOOKED,\n",
        "",
        "evidence::a_row_that_is_not_at_the_venue_can_be_cancelled_again",
    ),
    ("    Kind.CANNOT_TELL: Verdict.CANNOT_TELL,\n", "", "evidence::questions_about_a_row_come_less_and_less_often"),
    ("result.settled is None and result.calls > 0 and kind", "result.settled is None and kind", "unit/report"),
    (
        "unclear=result.row.unclear + result.unclear",
        "unclear=result.unclear",
        "evidence::four_unclear_calls_and_no_place_are_a_refusal",
    ),
    (
        "if result.outcome and verdict is Verdict.UNSURE else None",
        "if False and result.outcome else None",
        "evidence::a_disputed_answer_becomes_a_refusal_only_when_asked_after_the_lease",
    ),
)

OF_ATTEMPTS: list[Mutant] = [*BEFORE_A_CALL, *THE_CALL, *AFTER_THE_ANSWER, *OF_RULES, *OF_EVIDENCE]
