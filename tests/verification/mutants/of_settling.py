"""Mutants of what ends a claim or a prebooking, of members' logins in the database, and of the bell."""

from __future__ import annotations

from tests.verification.mutants.mutant import Mutant, mutants, noticed_by
from tests.verification.mutants.of_the_claim import MIGRATIONS

_MINE = "where p.id = p_id and p.claimed_by = p_instance and p.status = 'pending'"
_SETTLED = """attempts = p.attempts + p_attempts,
      fired_at = coalesce(p.fired_at, p_fired_at), answered_at = p_answered_at, settled_at = public.prebooking_clock(),
      settled_by = p_instance, claimed_by = null, claimed_until = null, turn_until = null
  """

_CLOCK = "public.prebooking_clock()"
_ANSWERED = " where p_answered_at is not null;\n    return true;\n  end if;\n"

OF_SETTLING = mutants(
    (MIGRATIONS + "000024_late_answers.sql", MIGRATIONS + "000004_settle.sql"),
    *noticed_by(
        "settle",
        (
            f"booking_id = p_booking_id, {_SETTLED}{_MINE}",
            f"booking_id = p_booking_id, {_SETTLED}where p.id = p_id and p.status = 'pending'",
        ),
        (
            f"left(p_error_message, 300), {_SETTLED}{_MINE}",
            f"left(p_error_message, 300), {_SETTLED}where p.id = p_id and p.status = 'pending'",
        ),
        ("= p_booking_id, attempts = p.attempts + p_attempts", "= p_booking_id, attempts = p_attempts"),
        ("left(p_error_message, 300)", "p_error_message"),
        ("= p_instance and status = 'failed' and outcome = p_outcome from", "= p_instance and status = 'failed' from"),
        ("if p_outcome in ('unknown', 'expired') then", "if false then"),
    ),
    ("and claimed_by = p_instance and status", "and status", "finish::rows_of_another_run_are_not_released"),
    ("paused_until = greatest(paused_until, t +", "paused_until = (t +", "finish::a_pause_is_never_shortened"),
    ("= coalesce(troubled_since, t)", "= t", "claim_behind::trouble_begins_with_the_first_block"),
    ("  perform public.prebooking_lock();\n", "", "claim_races::the_end_of_a_run_waits_for_its_open_claim"),
    *noticed_by(
        ("finish", "finish_verdicts"),
        ("case when s.stays then p.claimed_until end", "case when s.stays then t end"),
        ("coalesce(s.verdict, 'unsure')", "coalesce(s.verdict, 'unsent')"),
    ),
    ("least(p.turn_until, t) end", "p.turn_until end", "claim_turns::the_end_of_a_run_ends_its_turn_before_its_leases"),
    *noticed_by(
        "finish_verdicts",
        ("p.maybe_sent and s.verdict <> 'not_booked'", "false"),
        ("p.maybe_sent and s.verdict <> 'not_booked'", "p.maybe_sent"),
    ),
    ("(array[1, 2, 5, 15])", "(array[1, 2, 5, 5])", "claim_behind::a_held_back_row_waits_1_2_5_15_minutes"),
    ("then t + interval '55 seconds'", "then t", "finish"),
    (
        "attempts = greatest(p.attempts, s.attempts), unclear",
        "attempts = p.attempts + coalesce(s.attempts, 0), unclear",
        "finish_verdicts::repeated_totals_count_once",
        "finish",
    ),
    ("least(p.early_since, t) else", "t else", "finish_verdicts::the_first_too_early_and_missing_results_are_kept"),
    *noticed_by(
        "finish_verdicts::the_end_of_a_run_skips_a_locked_row_and_is_repeated",
        ("and p.attempts < s.attempts then", "then"),
        ("status = 'pending' for no key update skip locked),", "status = 'pending' for no key update),"),
        ("case when n_locked = 0 then t end", "t"),
    ),
    ("s.id is null then 'unsent'", "s.id is null then 'unsure'", "finish::the_end_of_a_run_releases_unsent_rows"),
    ("then p.retry_after end\n", "then null end\n", "finish_verdicts::an_unsent_held_back_row_stays_held_back"),
    (
        " and claimed_by is null and not maybe_sent;",
        ";",
        "terminal::a_claimed_row_and_a_row_in_doubt_cannot_be_cancelled",
    ),
    (
        "and lower(user_email) = public.prebooking_member(p_user_email) and status = 'pending'",
        "and status = 'pending'",
        "terminal::a_member_cannot_cancel_another_member_s_row",
    ),
    *noticed_by(
        "claim_behind",
        ("case when troubled_at between p_at and public.prebooking_clock() then troubled_since end", "troubled_since"),
        ("case when troubled_at between p_at and public.prebooking_clock() then troubled_since end", "null"),
        ("troubled_at between p_at and public.prebooking_clock()", "troubled_at >= p_at"),
        ("troubled_at = t\n", "troubled_at = coalesce(troubled_at, t)\n"),
    ),
    *noticed_by(
        "claim_behind::an_answer_before_the_last_block_ends_no_trouble",
        *(
            (f"v_venue, least(p_answered_at, {_CLOCK})){end}", f"v_venue, {_CLOCK}){end}")
            for end in (f"{_ANSWERED}  -- A new", f"{_ANSWERED}  return coalesce")
        ),
    ),
    (
        "max(least(fired_at, t))",
        "max(t)",
        "finish_values::a_clear_answer_of_a_pending_row_before_a_block_ends_no_trouble",
    ),
    (
        "lock_not_available or deadlock_detected",
        "lock_not_available",
        "finish_verdicts::rows_are_released_although_a_transaction_waits_for_them_and_has_locked_their_venue",
    ),
    (
        "< p_at - interval '1 second')\n    for no key update skip locked)",
        "< p_at - interval '1 second'))",
        "finish_verdicts::settling_does_not_wait_for_a_locked_venue",
    ),
)

OF_SETTLING_TOGETHER = [
    *mutants(
        MIGRATIONS + "000022_settle_many.sql",
        *noticed_by(
            "settle_many",
            (" for no key update skip locked;", ";"),
            ("if found or not exists (", "if found or exists ("),
            ("public.prebooking_clock() > v_end", "false"),
            ("if r ? 'booking_id' then", "if r ->> 'booking_id' is not null then"),
            ("coalesce(to_jsonb(v_settled), 'null')", "coalesce(to_jsonb(v_settled), 'false')"),
        ),
    ),
    *mutants(
        "prebooking/run/outcomes.py",
        *noticed_by(
            "outcomes",
            ("MAX_TOGETHER = 50", "MAX_TOGETHER = 500"),
            ("GATHER_TIME = 0.2", "GATHER_TIME = 2.0"),
            ("min(GATHER_TIME, self._guard.remaining())", "GATHER_TIME"),
            ("batch if len(batch) == 1 else await", "await"),
            ("            return batch\n", "            return []\n"),
            ("if is_settled is not None:", "if is_settled:"),
            ("if is_settled is None]", "if not is_settled]"),
        ),
        (
            "        await self._wait_for_stagger(batch)\n",
            "",
            "firing::an_added_row_is_sent_only_after_the_stagger",
        ),
    ),
    *mutants(
        "prebooking/run/scheduler.py",
        ("while unfinished := [write for", "if unfinished := [write for", "outcomes"),
    ),
    *mutants(
        "prebooking/database/prebookings.py",
        (
            "if len(settled) != len(results):",
            "if False:",
            "outcomes::an_answer_that_does_not_fit_the_outcomes_is_refused",
        ),
    ),
]

OF_LOGINS = mutants(
    MIGRATIONS + "000005_sessions.sql",
    *noticed_by(
        "sessions",
        ("= v_email and version = p_version and expired_at is null;", "= v_email and expired_at is null;"),
        ("refreshed_at = t, expired_at = null, leased_by", "refreshed_at = t, leased_by"),
        ("where public.session_is_old(s, t, p_age_ms * interval '1 millisecond', p_keys)),", "where false),"),
    ),
    ("+ (s.sealed <> excluded.sealed)::int", "+ 1", "sessions::a_new_login_replaces_any_other_and_can_be_repeated"),
    (
        "or s.leased_until <= t or s.leased_until > t + interval '5 minutes'",
        "or s.leased_until <= t",
        "sessions::a_session_lease_longer_than_possible_is_ignored",
    ),
    (" or leased_by = p_instance);", " or true);", "sessions::a_session_is_leased_to_one_run_at_a_time"),
    (
        "public.prebooking_member(p_user_email) and version = p_version\n",
        "public.prebooking_member(p_user_email)\n",
        "sessions::a_warning_about_an_old_version_changes_nothing",
    ),
    ("having not", "having true or", "aimharder_logins::the_keeper_ends_no_login_during_an_opening"),
    (
        "interval '1 minute')\n    and (p_keys is null or s.key_id is null or s.key_id = any (p_keys))\n",
        "interval '1 minute')\n",
        "sessions::a_login_is_leased_to_a_deployment_that_can_open_it",
    ),
    ("and not maybe_sent and early_since", "and early_since", "sessions::a_new_login_ends_the_back_off_of_its_rows"),
)

OF_THE_BELL = mutants(
    MIGRATIONS + "000007_bell.sql",
    (
        "where p.status = 'pending' and p.fresh and p.venue_id = v.id and p.available_at <= p_now",
        "where p.status = 'pending' and p.venue_id = v.id and p.available_at <= p_now",
        "bell::held_settled_and_doubtful_rows_are_not_rung_for",
    ),
    *noticed_by(
        "bell_again",
        ("not r.claimed and r.tries <= 5 and", "not r.claimed and r.tries <= 6 and"),
        ("not r.claimed and r.tries <= 5", "r.tries <= 5"),
        ("r.triggered_at <= p_now - interval '1 second'", "r.triggered_at <= p_now"),
    ),
    (
        " and (select public.prebooking_bell_unsent()) < 20",
        "",
        "bell_again::unsent_requests_of_pg_net_do_not_accumulate",
    ),
    ("      v_room := 500;\n", "      v_room := 501;\n", "bell_scale"),
    ("  perform pg_advisory_xact_lock(7301, 3);\n", "", "bell::concurrent_bells_ring_once"),
    ("interval '59.75 seconds'", "interval '60.75 seconds'", "bell_minute::a_run_ends_before_the_next_one_begins"),
    ("t + interval '0.5 seconds',", "t + interval '5 seconds',", "bell_minute::no_sleep_is_longer_than_half_a_second"),
    (
        "v.troubled_since is null and due.can_log_in",
        "due.can_log_in",
        "bell_again::a_troubled_venue_is_rung_for_once_per_row",
    ),
    ("is null and due.can_log_in", "is null", "bell_again::a_login_with_another_key_is_rung_for_once"),
    ("coalesce(end_time, start_time)", "end_time", "bell_minute::records_of_runs_without_an_end_are_deleted"),
    (
        "      and (p.venue_id, p.available_at) not in (select busy.venue_id, busy.available_at from busy)\n",
        "",
        "bell_again::a_row_of_an_opening_with_a_running_invocation_is_left_to_it",
    ),
    (
        "when r.available_at = excluded.available_at then r.tries + 1 else 1",
        "when true then r.tries + 1 else 1",
        "bell_again::a_moved_row_is_rung_for_at_its_new_opening",
        "bell_again",
    ),
    (
        "on r.id = due.id and r.available_at = due.available_at",
        "on r.id = due.id",
        "bell_again::a_moved_row_is_rung_for_at_its_new_opening",
    ),
    ("case when v_again then 10 else 100 end", "100", "bell_again::a_second_ring_is_small_with_a_longer_timeout"),
    ("min(coming.available_at) - bell.lead into", "min(coming.available_at) into", "bell", "bell_minute"),
)

OF_THE_INDEX = mutants(
    MIGRATIONS + "000026_held_index.sql",
    (
        "(claimed_by, id)",
        "(claimed_by)",
        "settle_many::settling_reads_as_many_rows_however_many_the_run_holds_or_has_settled",
    ),
)

OF_ENDS: list[Mutant] = [*OF_SETTLING, *OF_SETTLING_TOGETHER, *OF_THE_INDEX, *OF_LOGINS, *OF_THE_BELL]
