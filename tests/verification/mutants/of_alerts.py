"""Mutants of what tells the operator: alerts, the report to the watchdog, and the metrics."""

from __future__ import annotations

from tests.verification.mutants.mutant import mutants, noticed_by
from tests.verification.mutants.of_the_claim import MIGRATIONS, UPKEEP_DUE

OF_ALERTS = [
    *mutants(
        "prebooking/upkeep/heartbeat.py",
        *noticed_by(
            "watchdog::a_claim_of_the_report_that_is_not_answered_is_reported_as_bad",
            ("self._mine = True\n", "self._mine = False\n"),
            ("good=good and self._database_answers", "good=good"),
        ),
        ("        if not good:\n", "        if False:\n", "watchdog::a_bad_upkeep_is_reported_below_the_address"),
        ("Exception as exc:", "ValueError as exc:", "watchdog::an_address_that_the_client_cannot_read_changes_nothing"),
        (
            "timeout = min(TIMEOUT, self._guard.later(AFTER_GUARD).remaining())",
            "timeout = self._guard.remaining()",
            "watchdog::a_watchdog_that_fails_changes_nothing",
        ),
        (
            "timeout = min(TIMEOUT, self._guard.later(AFTER_GUARD).remaining())",
            "timeout = TIMEOUT",
            "watchdog::a_dead_database_is_reported_in_time_for_the_answer",
        ),
    ),
    *mutants(
        "prebooking/upkeep/run.py",
        ("good=summary.success)", "good=True)", "watchdog::a_bad_upkeep_is_reported_below_the_address"),
    ),
    *mutants(
        "api/metrics.py",
        (
            "return [secret.get_secret_value()] if secret else []",
            "return _.cron_secrets",
            "acceptance/metrics_endpoint::only_the_secret_of_the_metrics_is_accepted",
        ),
    ),
    *mutants(
        "prebooking/function/endpoint.py",
        ("if not accepted:\n", "if False:\n", "acceptance/metrics_endpoint::without_the_setting_there_is_nothing"),
    ),
    *mutants(
        "prebooking/metrics.py",
        *(
            (before, after, "acceptance/metrics_endpoint::a_hostile_name_of_a_venue_is_one_label")
            for before, after in (
                (r""".replace("\\", r"\\")""", ""),
                ('.replace(\'"\', r"\\"")', ""),
                (r""".replace("\n", r"\n")""", ""),
                ("samples.setdefault(_format_labels(labels), value)", "samples[_format_labels(labels) + ' '] = value"),
            )
        ),
        (
            "        if value is not None:\n",
            "        if True:\n",
            "acceptance/metrics_endpoint::an_empty_database_has_no_samples_without_a_value",
        ),
        (
            "None if ms is None else ms / 1000",
            "ms",
            "acceptance/metrics_endpoint::every_metric_has_the_figures_of_status",
        ),
    ),
    *mutants(
        MIGRATIONS + "000007_bell.sql",
        (
            "    perform public.prebooking_raise_alerts(p_now);\n",
            "    null;\n",
            "bell_upkeep::upkeep_is_called_when_the_operator_is_to_be_told",
        ),
    ),
    *mutants(
        MIGRATIONS + "000016_notifications.sql",
        (
            " or (n.event = 'alert' and v.id::text = split_part(n.about, ' ', 3))",
            "",
            "alerts::an_alert_names_its_venue_and_its_language",
        ),
    ),
    *mutants(
        UPKEEP_DUE,
        ("v_failed := v_failed || 'alerts'::text;", "null;", "alerts::a_failure_of_the_alerts_stops_nothing_else"),
        *noticed_by(
            "heartbeat::one_upkeep_per_minute_reports_to_the_watchdog",
            ("date_trunc('minute', watchdog_at) <> date_trunc('minute', t)", "true"),
            ("where watchdog_by = p_instance and watchdog_at >= t - interval", "where watchdog_at >= t - interval"),
        ),
    ),
    *mutants(
        MIGRATIONS + "000018_alerts.sql",
        *noticed_by(
            "alerts::what_needs_nobody_is_not_told",
            (" and not p.waits and p.available_at", " and p.available_at"),
            ("      and greatest(p.created_at, p.promoted_at) <= t - interval '5 minutes')", "      )"),
            ("coalesce(v.paused_until <= t - interval '5 minutes', true)", "true"),
            (" and r.opened_at < t - interval '1 minute'", ""),
            ("r.problem is not null and r.paused_at is null", "r.problem is not null"),
            ("where v.enabled and v.troubled_since is not null", "where v.enabled"),
        ),
        *noticed_by(
            "alerts::the_operator_is_told_each_cause_once_whatever_calls",
            ("r.summary ->> 'success' = 'false' or ", ""),
            (" or r.closed_at is null and r.opened_at < t - interval '1 minute'", ""),
        ),
        ("= 'dead' and n.event <> 'alert'", "= 'dead'", "alerts::an_alert_that_was_given_up_causes_no_alert"),
        *noticed_by(
            "alerts::a_cause_that_lasts_is_told_again_after_exactly_an_hour",
            ("and o.created_at > t - a.apart\n", "\n"),
            (",\n        public.prebooking_alert_about(a.cause, a.venue_id, a.apart, t - a.apart)]", "]"),
        ),
        (
            "      or not pg_try_advisory_xact_lock(7304, 2) then",
            "      then",
            "alerts::two_upkeeps_at_once_tell_once_and_wait_for_nothing",
        ),
    ),
]
