"""More mutants of the database's functions, of the function's endpoint, and of what they count and leave out."""

from __future__ import annotations

from tests.verification.mutants.mutant import Mutant, mutants, noticed_by
from tests.verification.mutants.of_the_claim import MIGRATIONS, STATUS

_FIRST_AND_LARGEST = "finish_values::the_first_call_and_the_largest_counts_are_kept"
_MISSING = "finish_values::a_class_is_missing_until_it_is_seen"
_LOGINS = "status_windows::logins_are_needed_for_openings_within_a_week"
_WEEK = "logins::the_status_counts_the_logins_of_a_week_and_the_members_without_one_of_a_day"
_TROUBLED = "status_windows::a_troubled_venue_is_listed_with_an_opening_within_a_day"
_LOCKED_ROWS = "status_locks::only_locked_rows_of_the_next_hour_are_reported"
_CLAIMS = "status_windows::claim_durations_are_of_runs_within_a_day"
_RECENT = "status_windows::the_last_sixty_calls_of_early_rows_are_recent"
_UNCLAIMED = "bell_state::a_due_row_is_unclaimed_a_second_after_its_ring"

OF_SETTLEMENTS = mutants(
    (MIGRATIONS + "000024_late_answers.sql", MIGRATIONS + "000004_settle.sql"),
    *noticed_by(
        _FIRST_AND_LARGEST,
        ("unclear = greatest(p.unclear, s.unclear)", "unclear = coalesce(s.unclear, p.unclear)"),
        ("greatest(p.attempts, s.attempts)", "coalesce(s.attempts, p.attempts)"),
        ("fired_at = coalesce(p.fired_at, s.fired_at)", "fired_at = coalesce(s.fired_at, p.fired_at)"),
        ("coalesce(s.if_not_booked, p.if_not_booked)", "s.if_not_booked"),
    ),
    ("when s.verdict in ('unsent', 'not_ready', 'cannot_tell'", "when s.verdict in ('unsent', 'cannot_tell'", _MISSING),
    ("when s.verdict in ('unsent', 'not_ready', 'cannot_tell') then p.missing_since", "else p.missing_since", _MISSING),
    (
        "case when s.verdict = 'blocked' then t else p.blocked_at end",
        "t",
        "finish_values::blocks_count_since_all_rows_were_blocked_last",
    ),
    *noticed_by(
        "finish_values::a_clear_answer_of_a_pending_row_ends_a_venue_s_trouble",
        ("('too_early', 'logged_out') as is_answer", "('too_early') as is_answer"),
        ("v.verdict in ('too_early', 'logged_out') as is_answer", "true as is_answer"),
    ),
    ("greatest(answered_at, p_at)", "p_at", "finish_values::an_answer_by_a_slow_clock_does_not_replace_a_later_one"),
    (
        "least(greatest(coalesce(p_pause_seconds, 300), 0), 3600)",
        "greatest(coalesce(p_pause_seconds, 300), 0)",
        "finish_values::a_venue_is_paused_for_an_hour_at_most",
    ),
    ("r.released + excluded.released", "excluded.released", "finish_values::a_repeated_end_counts_all_released_rows"),
    (
        "from public.prebookings where id = p_id and lower(user_email) = public.prebooking_member(p_user_email);",
        "from public.prebookings where id = p_id;",
        "finish_values::the_state_of_another_member_s_row_is_hidden",
    ),
)

OF_CLAIMED_ROWS = [
    Mutant(
        MIGRATIONS + "000020_claim_cost.sql",
        "limit v_behind) row",
        "limit v_per_venue) row",
        tests=("claim_behind",),
        unseen="of these rows at most ten are taken, in the same order: the limit saves sorting the others",
    ),
    *mutants(
        MIGRATIONS + "000020_claim_cost.sql",
        ("s.sealed is not null and s.expired_at is null then", "s.sealed is not null then", "claim_logins"),
        ("limit 100 for update skip locked", "limit 100 for update", "upkeep::a_locked_old_run_does_not_delay_a_claim"),
        ("claimed = r.claimed + excluded.claimed", "claimed = excluded.claimed", "claim"),
        ("order by p.retry_after nulls first, p.available_at", "order by p.available_at", "claim_behind"),
        ("case when w.is_troubled then h.n else h.behind end", "h.behind", "claim_behind"),
        ("greatest(v_limit - coalesce(sum(n), 0", "greatest(v_limit - 0 * coalesce(sum(n), 0", "claim", "claim_slots"),
        ("p.blocks > 0 and coalesce", "coalesce", "claim_behind::a_row_without_current_blocks_is_not_alone"),
    ),
]

OF_THE_STATUS = mutants(
    STATUS,
    (
        "    and l.database = (select oid from pg_catalog.pg_database where datname = current_database())\n",
        "",
        "status_locks::the_claim_lock_of_another_database_is_not_reported",
    ),
    (
        " and l.granted and l.pid <> pg_backend_pid()",
        " and l.granted",
        "status_locks::locks_of_the_own_transaction_are_not_reported",
    ),
    (" and l.granted and l.pid <>", " and l.pid <>", "status_locks::only_the_holder_of_a_row_lock_is_reported"),
    ("    and p.status = 'pending' and p.available_at <= public", "    and p.available_at <= public", _LOCKED_ROWS),
    (" and p.available_at <= public.prebooking_clock() + interval '1 hour')", ")", _LOCKED_ROWS),
    ("for n in 1 .. 10 loop", "for n in 1 .. 9 loop", "status_locks::a_lock_is_reported_after_a_second"),
    (
        " and (closed_at is not null or opened_at < public.prebooking_clock() - interval '60 seconds')",
        "",
        "status_windows::a_run_without_an_end_is_cut_off_after_a_minute",
    ),
    ("where opened_at > t - interval '1 day' and claim_ms", "where claim_ms", _CLAIMS),
    (" and claim_ms is not null", "", _CLAIMS),
    ("where v.enabled and v.troubled_since", "where v.troubled_since", _TROUBLED),
    ("p.status = 'pending' and p.available_at <= t + interval '1 day')),", "p.status = 'pending')),", _TROUBLED),
    ("interval '105 seconds'", "interval '95 seconds'", "status_windows::a_row_is_overdue_after_105_seconds"),
    (
        "        sum(a.due) filter (where not v.enabled",
        "        sum(a.pending) filter (where not v.enabled",
        "status_windows::a_row_that_is_not_due_is_not_stopped_by_its_venue",
    ),
    ("order by fired_at desc limit 60) l", "order by fired_at desc limit 61) l", _RECENT),
    (" and greatest(created_at, promoted_at) < available_at order by fired_at", " order by fired_at", _RECENT),
)

OF_NEEDED_LOGINS = mutants(
    MIGRATIONS + "000009_status.sql",
    (" and p.available_at <= t + interval '7 days' and p.expires_at > t", " and p.expires_at > t", _WEEK),
    ("interval '7 days' and p.expires_at > t", "interval '7 days'", _LOGINS),
    ("s.expired_at is null or s.password is not null", "true", _WEEK),
    (" or s.password is not null)", ")", _WEEK),
    ("where s.sealed is null and n.opens <= t + interval '1 day'", "where s.sealed is null", _WEEK),
    ("where s.sealed is null and n.opens", "where n.opens", _LOGINS),
)

OF_RINGS = [
    *mutants(
        MIGRATIONS + "000007_bell.sql",
        ("(p.expires_at > p_now) is true", "true", "bell"),
        ("(v.provider <> 'aimharder' or exists (", "(true or exists (", "bell_again"),
        ("where v.enabled and (v.paused_until", "where (v.paused_until", "bell"),
        (" and (v.paused_until is null or v.paused_until <= p_now)\n$$", "\n$$", "bell"),
        ("h.last_tick_at >= r.triggered_at and due.provider", "due.provider", "bell_again"),
        (" and due.provider <> all (h.providers)", "", "bell_again"),
        ("  where queue_head is distinct from v_head\n    and only_one", "  where only_one", "bell_faults"),
        ("where jobid = p_job or command like", "where command like", "bell_minute"),
        ("public.prebooking_bell_delete_runs(v_job, t - interval '1 day')", "null", "bell_minute"),
    ),
    *mutants(
        MIGRATIONS + "000008_bell_state.sql",
        ("      when d.status <> 'failed' then 'lost'\n", "", "bell_faults"),
        ("      when d.message like '%statement timeout%' then 'cut'\n", "", "bell_faults"),
        ("where jobid = bell.job_id and", "where", "bell_faults"),
        ("last, a.timed_out, a.id", "last, a.id", "bell_state::an_unsent_request_is_reported_before_a_slow_one"),
        (" and r.triggered_at <= t - interval '1 second')", ")", _UNCLAIMED),
        ("where not r.claimed and r.triggered_at <= t -", "where r.triggered_at <= t -", _UNCLAIMED),
        (
            "and has_table_privilege('anon', c.oid, 'select')",
            "",
            "bell_state::a_queue_needs_more_than_a_visible_schema_to_be_open",
        ),
        ("    update public.prebooking_bell set job_id = null where only_one;\n", "", "bell_switch"),
    ),
]

OF_THE_ENDPOINT = mutants(
    "prebooking/function/endpoint.py",
    ("min(seconds, left))", "seconds)", "acceptance/endpoint_run"),
    (".total_seconds() - BUFFER if", ".total_seconds() if", "acceptance/endpoint_run"),
    ("return deadline.astimezone(UTC)", "return deadline", "acceptance/endpoint_run"),
    ("_answer(200 if answer.success else 500", "_answer(200", "acceptance/endpoint", "acceptance/endpoint_run"),
    ('{name, name.replace("_", "-")}', "{name}", "acceptance/endpoint"),
    ('{"Cache-Control": "no-store", **(headers or {})}', "headers", "acceptance/endpoint"),
    (', {"WWW-Authenticate": "Bearer"})', ")", "acceptance/endpoint"),
    (", redirect_slashes=False", "", "acceptance/endpoint"),
    ('if re.fullmatch(r"[\\w:-]{1,100}", name, re.ASCII) else None', "or None", "acceptance/endpoint"),
)

OF_DETAILS: list[Mutant] = [
    *OF_SETTLEMENTS,
    *OF_CLAIMED_ROWS,
    *OF_THE_STATUS,
    *OF_NEEDED_LOGINS,
    *OF_RINGS,
    *OF_THE_ENDPOINT,
]
