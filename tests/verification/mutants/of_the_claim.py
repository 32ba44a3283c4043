"""Mutants of the tables and their rules, and of the claim."""

from __future__ import annotations

from tests.verification.mutants.mutant import Mutant, mutants, noticed_by

MIGRATIONS = "supabase/migrations/20261126"
# Files whose functions later migrations replace, the newest first.
STATUS = tuple(MIGRATIONS + name for name in ("000023_operator_cost.sql", "000019_page.sql", "000009_status.sql"))
UPKEEP_DUE = (MIGRATIONS + "000019_page.sql", MIGRATIONS + "000015_upkeep_due.sql")

OF_TABLES = mutants(
    (MIGRATIONS + "000001_tables.sql", MIGRATIONS + "000002_edits.sql"),
    (
        "(old.claimed_by is not null or old.maybe_sent) and (new.status",
        "(old.claimed_by is not null) and (new.status",
        "terminal::no_update_cancels_a_row_whose_call_may_have_been_sent",
        "writing::a_row_that_is_being_booked_cannot_be_edited",
    ),
    (
        "is distinct from (old.id, old.venue_id, old.user_email, old.booking_data, old.available_at, old.expires_at)",
        "is distinct from (new.id, new.venue_id, new.user_email, new.booking_data, new.available_at, new.expires_at)",
        "writing::a_row_that_is_being_booked_cannot_be_edited",
    ),
    ("if 5 < (", "if 6 < (", "writing::a_member_has_at_most_five_pending_rows_per_opening"),
    (
        "  perform pg_advisory_xact_lock(7302, hashtext(lower(new.user_email)) & 1023);\n",
        "",
        "writing::concurrent_connections_cannot_both_add_the_fifth_row",
    ),
    *noticed_by(
        "rules",
        ("  (venue_id, lower(user_email),", "  (venue_id, user_email,"),
        ("booking_data)) where status = 'pending';", "booking_data));"),
        ("claimed_by, claimed_until, turn_until) in (0, 3)", "claimed_by, claimed_until, turn_until) >= 0"),
        (" and value < timestamptz '2200-01-01 00:00:00+00'", ""),
        ("    and host !~ '(^|\\.)xn--' and", "    and"),
    ),
    ("and not maybe_sent and retry_after", "and retry_after", "claim_behind::a_held_back_row_waits_for_fresh_rows"),
    ("and retry_after is null and blocks = 0\n", "and blocks = 0\n", "claim_behind"),
    ("created_at, promoted_at)", "promoted_at)", "settle::lateness_counts_from_a_later_creation"),
    (
        "\n    or (old.warning like 'bad\\_data: %' and new.warning is distinct from old.warning))",
        ")",
        "writing::a_login_or_claim_keeps_the_warning_about_bad_data",
    ),
    ("update on public.prebooking_heartbeat to", "update, delete on public.prebooking_heartbeat to", "grants"),
)

OF_THE_CLAIM = mutants(
    MIGRATIONS + "000020_claim_cost.sql",
    ("exit when v_missed = '{}';", "exit;", "claim_races::many_locked_rows_are_skipped"),
    (
        "coalesce(v.answered_at > p.blocked_at, false)",
        "true",
        "claim_behind::a_blocked_row_is_alone_if_the_venue_answered_others",
    ),
    *noticed_by(
        "claim_races",
        ("  perform public.prebooking_lock();\n  t :=", "  t :="),
        (
            "  perform public.prebooking_lock();\n  t := public.prebooking_clock();\n",
            "  t := public.prebooking_clock();\n  perform public.prebooking_lock();\n",
        ),
        ("      for no key update skip locked),\n    taken as", "      for no key update),\n    taken as"),
        ("where p.id = any (v_passed) and p.status = 'pending')", "where p.id = any (v_passed))"),
    ),
    *noticed_by(
        "claim_expiry::a_claim_ends_at_most_five_thousand_rows_oldest_first",
        ("p.fresh and p.available_at <= t + v_lead and p.expires_at > t", "p.fresh and p.available_at <= t + v_lead"),
        ("p.waits and p.available_at <= t + v_lead and p.expires_at > t", "p.waits and p.available_at <= t + v_lead"),
        ("order by expires_at limit 5000", "order by expires_at desc limit 5000"),
    ),
    *noticed_by(
        "claim_expiry",
        (
            "      and (claimed_until is null or claimed_until <= t or claimed_until > v_longest)\n    order by",
            "    order by",
        ),
        ("outcome = case when p.maybe_sent or p.claimed_by is not null then", "outcome = case when p.maybe_sent then"),
    ),
    (
        "set maybe_sent = p.maybe_sent or p.claimed_by is not null,",
        "set maybe_sent = p.maybe_sent,",
        "claim::an_expired_claim_is_taken_over_as_maybe_sent",
    ),
    *noticed_by(
        "claim_turns",
        ("distinct from p_instance and turn_until > t and", "distinct from p_instance and claimed_until > t and"),
        ("and (claimed_by is distinct from p_instance and turn_until", "and (turn_until"),
    ),
    ("> t and turn_until <= v_longest", "> t", "claim_behind::an_impossibly_long_lease_or_turn_is_ignored"),
    ("where slot <= t + v_within", "where slot < t + v_within", "claim_slots::a_slot_exactly_at_the_end_counts"),
    ("greatest(t - v_stagger, max(", "greatest(t, max(", "claim_slots"),
    *noticed_by(
        "claim_behind",
        ("v_behind      constant int      := 10;", "v_behind      constant int      := 11;"),
        ("v_behind_all  constant int      := 100;", "v_behind_all  constant int      := 101;"),
        (") over (\n        order by is_behind, (position", ") over (\n        order by (position"),
    ),
    ("<= t or p.retry_after > v_back_off)", "<= t)", "claim_behind::a_back_off_longer_than_possible_is_ignored"),
    (
        "where v.enabled and (v.paused_until is null or v.paused_until <= t) and v.provider",
        "where v.enabled and v.provider",
        "claim::a_paused_venue_is_skipped_until_its_pause_ends",
    ),
    ("where v.enabled and (v.paused_until", "where (v.paused_until", "claim"),
    ("and closed_at is not null)", "and false)", "claim_races::a_claim_after_the_end_of_its_run_takes_nothing"),
    ("  if not p_by_hand then\n", "  if true then\n", "heartbeat"),
    *noticed_by(
        "claim_logins",
        ("or s.key_id = any (p_keys) or s.expired_at is not null as", "or s.key_id = any (p_keys) as"),
        ("or o.key_id is null or o.key_id = any (p_keys) or o.expired_at", "or o.key_id is null or o.expired_at"),
        (
            "case when p.warning not like 'no\\_login: %' and p.warning not like 'other\\_key: %' then p.warning end",
            "p.warning",
        ),
    ),
    ("distinct from old_warning and coalesce", "not null and coalesce", "claim_logins::a_warning_is_written_once"),
    ("p_lead_ms, 0), 0), 30000)", "p_lead_ms, 0), 0), 300000)", "claim::only_rows_within_the_lead_are_claimed"),
    (
        "least(greatest(coalesce(p_turn_ms, 8000), 0) * ms, v_lease)",
        "greatest(coalesce(p_turn_ms, 8000), 0) * ms",
        "claim::a_turn_is_never_longer_than_its_lease",
    ),
    (
        "if current_setting('transaction_isolation') <> 'read committed' then",
        "if false then",
        "claim::a_claim_in_a_fixed_snapshot_is_refused",
    ),
    (
        "p.claimed_until > t and p.claimed_until <= v_longest);\nend $$;",
        "true);\nend $$;",
        "claim::a_repeated_claim_leaves_out_expired_leases",
        "claim",
    ),
    ("(v_round = 1 and min(nth)", "(min(nth)", "claim_races::a_locked_row_makes_no_room_for_part_of_an_opening"),
    ("max(nth) over batch <= h.room", "true", "claim_slots::a_venue_that_exceeds_the_limit_is_left_to_the_next_claim"),
    ("< t - interval '30 days'", "< t - interval '300 days'", "upkeep", "finish::runs_are_deleted_after_thirty_days"),
)

OF_CLAIMS: list[Mutant] = [*OF_TABLES, *OF_THE_CLAIM]
