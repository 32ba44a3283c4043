"""More mutants of what becomes of one row: its attempt, the rules and the evidence, and what is reported of it."""

from __future__ import annotations

from tests.verification.mutants.mutant import Mutant, mutants, noticed_by

UNSEEN = [
    Mutant(
        "prebooking/bookers/call.py",
        "        await response.aclose()\n",
        "        pass\n",
        ("call_gate", "call"),
        unseen="CPython throws a body that is read no further away at once, which closes its connection too",
    ),
]

OF_ROWS: list[Mutant] = [
    *UNSEEN,
    *mutants(
        "prebooking/run/attempt.py",
        ("        await self._venue.clock.sleep(delay)\n", "", "preparing::confirmations_keep_the_stagger"),
        (
            "if self._venue.guard.remaining() < CONFIRM_TIME:",
            "if False:",
            "preparing::an_unclear_answer_shortly_before_the_guard_is_confirmed_by_the_next_run",
        ),
        (
            "            self._venue.completed += outcome.kind in COMPLETED and attempt.calls > 0\n",
            "",
            "blocked::a_repeated_block_pauses_a_venue_only_if_it_books_no_other_row",
        ),
        *noticed_by(
            "evidence::a_row_that_is_not_at_the_venue_can_be_cancelled",
            ("self._attempt.outcome = self._attempt.outcome or outcome", "self._attempt.outcome = outcome"),
            ("if found.kind in (Kind.NOT_BOOKED, Kind.MISSING) else", "if found.kind in (Kind.MISSING,) else"),
        ),
        *noticed_by(
            "attempt_ends::a_row_is_rejected_without_confirmation_only_if_each_of_its_calls_was_blocked",
            ("MAX_BLOCKS = 3  #", "MAX_BLOCKS = 4  #"),
            ("MAX_BLOCKS = 3  #", "MAX_BLOCKS = 2  #"),
        ),
        ("+ row.setbacks >=", ">=", "progress::a_row_that_alone_is_blocked_becomes_last_and_is_then_rejected"),
        (
            "if found.kind in (Kind.NOT_BOOKED, Kind.MISSING) else",
            "if found.kind in (Kind.NOT_BOOKED,) else",
            "evidence::a_missing_class_is_gone_only_after_a_second_look",
        ),
        ("MAX_STALE_CONNECTIONS = 3", "MAX_STALE_CONNECTIONS = 2", "attempt::a_stale_connection_is_replaced_at_once"),
        *noticed_by(
            "blocked::a_third_block_ends_a_row_without_a_question_only_at_idempotent_venues",
            ("return row.venue.idempotent and only_refused and", "return only_refused and"),
            ("return row.venue.idempotent and only_refused and", "return row.venue.idempotent and"),
            ("only_refused and row.blocks + 1 >= MAX_BLOCKS", "only_refused"),
        ),
        ("            slot.sent()\n", "            pass\n", "firing::slow_handshakes_do_not_change_the_order"),
        (
            "attempt.answered_at = self._venue.time.stamp() if attempt.fired_at else None",
            "attempt.answered_at = self._venue.time.stamp()",
            "preparing::a_running_confirmation_settles_its_row_when_another_row_is_blocked",
        ),
        ("elif found.kind is Kind.BLOCKED:", "elif False:", "blocked::a_blocked_confirmation_pauses_the_venue"),
        (
            "timeout = min(CONFIRM_TIME, self._venue.guard.remaining())",
            "timeout = self._venue.guard.remaining()",
            "preparing::a_hanging_confirmation_takes_two_seconds",
        ),
        (
            "evidence = Evidence.LOGIN if outcome.kind is Kind.SESSION_EXPIRED else Evidence.ANSWER",
            "evidence = Evidence.ANSWER",
            "attempt_ends::a_row_whose_login_cannot_be_renewed_because_it_is_over_fails",
        ),
    ),
    *mutants(
        "prebooking/run/rules.py",
        *noticed_by(
            "blocked::a_repeated_block_pauses_a_venue_only_if_it_books_no_other_row",
            ("return row.blocks > 0 and (row.alone or completed > 0)", "return row.blocks > 0 and row.alone"),
            ("return row.blocks > 0 and (row.alone or completed > 0)", "return row.blocks > 0"),
        ),
        (
            "return row.blocks > 0 and (row.alone or completed > 0)",
            "return row.alone or completed > 0",
            "blocked::a_first_block_pauses_a_venue_that_books_other_rows",
        ),
        (
            "return again.kind in COMPLETED or again.kind is Kind.BLOCKED",
            "return again.kind in COMPLETED",
            "blocked::a_blocked_second_call_to_an_idempotent_venue_pauses_it",
        ),
        *noticed_by(
            "unit/clock",
            ("row.available_at <= time.at_least() <= time.at_most() <", "row.available_at <= time.at_most() <"),
            ("<= time.at_least() <= time.at_most() <", "<= time.at_least() <"),
            ("time.at_most() < row.expires_at", "time.at_most() <= row.expires_at"),
            ("row.available_at <= time.at_least()", "row.available_at < time.at_least()"),
        ),
        *noticed_by(
            "evidence::two_looks_within_a_minute_count_as_one",
            ("MISSING_TIME = timedelta(minutes=1)", "MISSING_TIME = timedelta(0)"),
            ("MISSING_TIME = timedelta(minutes=1)", "MISSING_TIME = timedelta(minutes=2)"),
        ),
    ),
    *mutants(
        "prebooking/run/evidence.py",
        (
            "    Kind.LOGGED_OUT: Verdict.LOGGED_OUT,\n",
            "",
            "attempt_ends::a_row_whose_login_cannot_be_renewed_is_released",
        ),
        (
            "    Kind.BLOCKED_ALONE: Verdict.BLOCKED_ALONE,\n",
            "",
            "blocked::a_repeated_block_pauses_a_venue_only_if_it_books_no_other_row",
        ),
        ("    Kind.NOT_READY: Verdict.NOT_READY,\n", "", "preparing::a_row_whose_preparation_raises_gets_a_setback"),
        ("kind in (Kind.BLOCKED, Kind.BLOCKED_ALONE))", "kind is Kind.BLOCKED)", "unit/report"),
        ("fired_at=result.fired_at,\n", "fired_at=None,\n", "doubt::a_call_cut_off_at_the_guard_keeps_its_lease"),
    ),
    *mutants(
        "prebooking/run/report.py",
        *noticed_by(
            "unit/report",
            (
                "kinds = Counter(str(kind) for result in self.results.values() if (kind := _kind(result)))",
                "kinds = Counter(str(result.outcome.kind) for result in self.results.values() if result.outcome)",
            ),
            ("(kind := _kind(result)) and kind not in COMPLETED", "(kind := _kind(result))"),
            ("dict(sorted((+kinds).items()))", "dict(sorted(kinds.items()))"),
            ("= (Kind.CANNOT_TELL, Kind.MISSING, Kind.NOT_READY)", "= (Kind.CANNOT_TELL, Kind.MISSING)"),
            ("return sum(result.settled is not None for", "return sum(bool(result.settled) for"),
        ),
        ("claim.expired, claim.unknown", "claim.expired, 0", "ends_of_a_run::a_run_that_only_expires_rows_is_recorded"),
    ),
    *mutants(
        "prebooking/bookers/call.py",
        ("if len(body) > limit:\n", "if False:\n", "call_gate::a_connection_with_a_too_long_answer_is_closed_at_once"),
        *noticed_by(
            "unit/webhook",
            ("except (ValueError, RecursionError):", "except ValueError:"),
            ('value = json.loads(self._text(self.body or b"{}"))', "value = json.loads(self._text(self.body))"),
        ),
        (
            '"cp1252" if is_latin else "utf-8"',
            '"utf-8"',
            "call::an_answer_is_decoded_with_the_character_set_that_it_names",
        ),
        ("FRESH = 1.0", "FRESH = 0.5", "connections::each_call_needs_one_connection_for_every_stagger"),
    ),
]
