"""Mutants of what tells the operator: the report to the watchdog."""

from __future__ import annotations

from tests.verification.mutants.mutant import mutants
from tests.verification.mutants.of_the_claim import MIGRATIONS

OF_ALERTS = [
    *mutants(
        "prebooking/upkeep/heartbeat.py",
        (
            "self._mine = True\n",
            "self._mine = False\n",
            "watchdog::a_claim_of_the_report_that_is_not_answered_is_reported_as_bad",
        ),
        (
            "good=good and self._database_answers",
            "good=good",
            "watchdog::a_claim_of_the_report_that_is_not_answered_is_reported_as_bad",
        ),
        ("        if not good:\n", "        if False:\n", "watchdog::a_bad_upkeep_is_reported_below_the_address"),
        (
            "        except Exception as exc:  # noqa: BLE001 - the watchdog",
            "        except ValueError as exc:  # noqa: BLE001 - the watchdog",
            "watchdog::an_address_that_the_client_cannot_read_changes_nothing",
        ),
        (
            "timeout = min(PATIENCE, self._guard.later(AFTER_GUARD).remaining())",
            "timeout = self._guard.remaining()",
            "watchdog::a_watchdog_that_fails_changes_nothing",
        ),
        (
            "timeout = min(PATIENCE, self._guard.later(AFTER_GUARD).remaining())",
            "timeout = PATIENCE",
            "watchdog::a_dead_database_is_reported_in_time_for_the_answer",
        ),
    ),
    *mutants(
        "prebooking/upkeep/run.py",
        (
            "await heartbeat.report(good=summary.success)",
            "await heartbeat.report(good=True)",
            "watchdog::a_bad_upkeep_is_reported_below_the_address",
        ),
    ),
    *mutants(
        MIGRATIONS + "000015_upkeep_due.sql",
        (
            "date_trunc('minute', watchdog_at) <> date_trunc('minute', t)",
            "true",
            "heartbeat::one_upkeep_per_minute_reports_to_the_watchdog",
        ),
        (
            "where watchdog_by = p_instance and watchdog_at >= t - interval '1 minute'",
            "where watchdog_at >= t - interval '1 minute'",
            "heartbeat::one_upkeep_per_minute_reports_to_the_watchdog",
        ),
    ),
]
