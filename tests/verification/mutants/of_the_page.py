"""Mutants of the data of the operator's page, and of the cost of the operator's commands."""

from __future__ import annotations

from tests.verification.mutants.mutant import mutants, noticed_by
from tests.verification.mutants.of_the_claim import MIGRATIONS

_MASKED = "page::members_are_masked_and_only_one_question_shows_an_address"
_NEAR = "scan::a_list_reads_what_is_near_and_not_what_is_pending"

OF_THE_PAGE = [
    *mutants(
        (MIGRATIONS + "000024_late_answers.sql", MIGRATIONS + "000019_page.sql"),
        (
            "for no key update skip locked;\n  if not found",
            "for no key update;\n  if not found",
            "page::of_two_calls_at_once_the_second_adds_nothing_up_and_does_not_wait",
        ),
        (
            " and pg_snapshot_xmin(pg_current_snapshot()) >= v.marked_xid",
            "",
            "page::a_row_that_is_committed_late_is_added_up_once",
        ),
        (
            "if v.marked_xid > pg_snapshot_xmax(pg_current_snapshot()) or",
            "if",
            "page::a_mark_of_another_server_stops_nothing",
        ),
        *noticed_by(
            "page::rows_are_counted_once_after_the_clock_was_set_back",
            (" or v.marked_until > t then", " then"),
            ("v.folded_until is null or v.folded_until > t", "v.folded_until is null"),
            (" where folded_until <= t), t - interval", "), t - interval"),
        ),
        (
            "v.folded_until is null or v.folded_until > t",
            "v.folded_until > t",
            "page::rows_are_counted_once_after_sums_were_restored_without_the_progress",
        ),
        (
            "coalesce((select folded_until from public.page_progress), t - interval '31 days'), 'infinity', 5000)",
            "t - interval '31 days', 'infinity', 5000)",
            "scan::the_page_reads_sums_and_not_settled_rows",
        ),
        (
            "where by_lateness > 200 and by_hour > 300",
            "where by_hour > 300",
            "page::the_plot_has_all_of_the_latest_calls_and_others_evenly_from_the_hours",
        ),
        (
            "greatest(p.created_at, p.promoted_at) < p.available_at and p.lateness_ms",
            "p.lateness_ms",
            "page::the_lateness_has_the_calls_of_a_week",
        ),
        ("coalesce(sum(n), 0) >= 5000 from tail", "false", "page::a_backlog_is_reported"),
        *noticed_by(
            _MASKED,
            ("left(split_part(p_user_email, '@', 1), 2)", "left(split_part(p_user_email, '@', 1), 20)"),
            (" || lower(p_user_email), 'UTF8'))", " || p_user_email, 'UTF8'))"),
        ),
        (
            "(select salt from public.page_progress) || lower",
            "lower",
            "page::the_hash_of_a_member_is_another_one_in_each_database",
        ),
        ("interval '90 seconds')\n  execute", "interval '1 day')\n  execute", "page::a_gap_of_the_heartbeat_is_shown"),
        (
            "exception when others then\n  raise warning 'a gap",
            "exception when division_by_zero then\n  raise warning 'a gap",
            "page::a_gap_that_cannot_be_stored_prevents_no_claim",
        ),
        (
            "else public.prebooking_upkeep_late(t) end)",
            "else '[]' end)",
            "page::late_parts_of_upkeep_are_asked_only_when_its_trigger_is_silent",
        ),
        (
            "      when d.turn_until > t then 'called'\n",
            "",
            "page::a_row_in_doubt_says_what_happens_next",
        ),
        (
            "exception when others then v_failed := v_failed || 'repeats'::text; end;",
            "end;",
            "page::an_error_in_a_section_breaks_no_other_one",
        ),
    ),
    *mutants(
        "api/status.py",
        (
            "if secret.get_secret_value() in settings.cron_secrets:",
            "if False:",
            "acceptance/status_endpoint::the_secret_of_the_cron_is_not_that_of_the_page",
        ),
        (
            " if exc.code in NOT_MIGRATED else {}",
            " if False else {}",
            "acceptance/status_endpoint::a_database_without_the_migration_of_the_page_has_a_cure_in_the_log",
        ),
    ),
    *mutants(
        MIGRATIONS + "000023_operator_cost.sql",
        *noticed_by(
            _NEAR,
            ("order by p.expires_at limit 1000)", "order by p.expires_at desc limit 1000)"),
            ("order by p.expires_at desc limit 1000)", "order by p.expires_at limit 1000)"),
            ("order by p.expires_at desc limit 1000)", "order by p.expires_at desc)"),
        ),
        (
            "(v.paused_until is null or v.paused_until < v_late)",
            "true",
            "operator_status::a_row_is_overdue_from_the_end_of_its_wait",
        ),
        (
            " or p.retry_after > v_next_try)",
            ")",
            "operator_status::a_row_is_overdue_from_the_end_of_its_wait",
        ),
    ),
]
