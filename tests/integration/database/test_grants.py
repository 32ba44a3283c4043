"""The grants of the database: the service role has what it needs, and no other role has anything."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from prebooking.local.postgres import LocalPostgres
from tests.support.calls import (
    cancel,
    claim,
    claim_logins,
    claim_sessions,
    complete,
    end_login,
    fail,
    finish,
    lease,
    logins_due,
    release,
    save_login,
    save_session,
    settle_many,
    warn,
    warn_about_logins,
)
from tests.support.database import Connection, Database
from tests.support.factories import noon
from tests.support.questions import (
    add_choices_by_command,
    add_prebooking_by_command,
    add_venue_by_command,
    ask,
    preview,
)
from tests.support.repeats import add_absence, add_repeat, make

_TABLES = ["venues", "prebookings", "member_sessions", "prebooking_runs", "prebooking_heartbeat"]
_TABLES += ["prebooking_bell", "prebooking_bell_triggered", "prebooking_places", "class_days", "repeats", "absences"]
_TABLES += ["notification_channels", "notifications"]
_TABLES += ["page_progress", "page_days", "page_lateness", "page_calls", "heartbeat_gaps"]

# The columns that the command line writes; the database sets all others.
_VENUE = ["id", "name", "provider", "host", "provider_box_id", "timezone", "opening_rule"]
_PREBOOKING = ["id", "venue_id", "user_email", "booking_data", "available_at", "expires_at", "stands_after"]
_PREBOOKING += ["repeat_id", "repeat_day"]

_FUNCTIONS = """
    add_prebooking_v1 add_prebookings_v1 add_venue_v1 cancel_prebooking_v1 claim_due_prebookings_v1 claim_places_v1
    claim_sessions_v1 claims_since_v1 give_back_v1 note_place_v1 prebooking_place_v1 prebooking_places_due
    prebooking_with_session upkeep_places_due
    claim_logins_v1 end_login_v1 login_may_be_made prebooking_logged_in prebooking_login_needs save_login_v1
    session_is_free session_is_old session_lives
    complete_prebooking_v1 due_elsewhere_v1 edit_venue_v1 enable_venue_v1 fail_prebooking_v1 finish_run_v1
    settle_prebookings_v1
    forget_member_v1 lease_session_v1 list_prebookings_v1 list_sessions_v1 list_venues_v1 logout_v1
    prebooking_anonymous prebooking_bad_data prebooking_bell_answer prebooking_bell_check prebooking_bell_due
    prebooking_bell_may_read prebooking_bell_minute prebooking_bell_requirements prebooking_bell_off prebooking_bell_on
    prebooking_bell_address_kind prebooking_bell_queue prebooking_bell_runs prebooking_bell_status_v1
    prebooking_class_key
    prebooking_clock prebooking_doctor_v1 prebooking_figures_v1 prebooking_local_instant prebooking_lock
    prebooking_lock_holders prebooking_locks prebooking_logins prebooking_member prebooking_plain_id
    prebooking_promotes_next prebooking_repair_choices prebooking_why_cancelled
    prebooking_prune prebooking_status_v1 prebooking_systems prebooking_systems_with prebooking_venue_answered
    prebooking_waiting prebooking_watch_v1 preview_claim_v1 release_prebookings_v1 remove_venue_v1 save_session_v1
    session_key_ids_v1 set_venue_box_v1 prebooking_upkeep_parts
    prebooking_class_day prebooking_class_start prebooking_class_wanted prebooking_classes_wanted
    prebooking_class_days_due upkeep_classes_due claim_class_days_v1 prebooking_set_class settle_class_day_v1
    claim_heartbeat_v1 upkeep_due_v1 upkeep_due_v2 prebooking_version_v1
    upkeep_logins_due warn_about_logins_v1 warn_about_session_v1 warn_prebookings
    prebooking_opening prebooking_next_days prebooking_repeat_data prebooking_is_away prebooking_cancel_repeated
    prebooking_move_repeated prebooking_make_day prebooking_make_repeat make_repeats_v1 upkeep_repeats_due
    prebooking_briefs add_repeat_v1 list_repeats_v1 pause_repeat_v1 remove_repeat_v1 prebooking_ids_between
    add_absence_v1 list_absences_v1 remove_absence_v1
    prebooking_quiet_until prebooking_notify_at prebooking_reminder_at prebooking_reminders_due prebooking_notify
    add_channel_v1 list_channels_v1 remove_channel_v1 upkeep_notifications_due prebooking_end_notifications
    claim_notifications_v1 prebooking_notification_facts settle_notification_v1
    unsubscribe_v1
    prebooking_alert_causes prebooking_alert_about prebooking_raise_alerts prebooking_messages
    prebooking_watch prebooking_upkeep_late
    page_member page_instant page_digits page_settled page_fold page_ranked page_thin_out page_tail page_outcomes
    page_calls_of_a_week page_openings page_in_doubt page_runs page_logins page_messages page_repeats page_health
    page_status_v1 page_prebooking_v1 page_member_v1
    prebooking_venues_to_claim
"""

_EXPECTED = {
    *((table, "SELECT") for table in _TABLES),
    *((f"venues.{column}", "INSERT") for column in _VENUE),
    *((f"venues.{column}", "UPDATE") for column in ("paused_until", "troubled_since", "troubled_at")),
    *((f"venues.{column}", "UPDATE") for column in ("answered_at", "enabled")),
    ("venues.logins_stopped_until", "UPDATE"),
    *(
        (f"venues.{column}", "UPDATE")
        for column in ("name", "timezone", "opening_rule", "idempotent", "provider_box_id", "late_cancel_hours")
    ),
    ("venues", "DELETE"),
    *(("prebooking_places", privilege) for privilege in ("INSERT", "UPDATE")),
    *((f"prebookings.{column}", "INSERT") for column in _PREBOOKING),
    *(("prebookings", privilege) for privilege in ("UPDATE", "DELETE")),
    *(("member_sessions", privilege) for privilege in ("INSERT", "UPDATE", "DELETE")),
    *(("prebooking_runs", privilege) for privilege in ("INSERT", "UPDATE", "DELETE")),
    *(("prebooking_heartbeat", privilege) for privilege in ("INSERT", "UPDATE")),
    *(("class_days", privilege) for privilege in ("INSERT", "UPDATE", "DELETE")),
    *((table, privilege) for table in ("repeats", "absences") for privilege in ("INSERT", "DELETE")),
    *((f"repeats.{column}", "UPDATE") for column in ("paused_at", "problem", "made_by", "due_at")),
    *(("notification_channels", privilege) for privilege in ("INSERT", "DELETE")),
    *((f"notification_channels.{column}", "UPDATE") for column in ("failed_at", "failure")),
    *(("notifications", privilege) for privilege in ("INSERT", "UPDATE", "DELETE")),
    ("page_progress", "UPDATE"),
    *((table, privilege) for table in ("page_days", "page_lateness") for privilege in ("INSERT", "UPDATE", "DELETE")),
    *((table, privilege) for table in ("page_calls", "heartbeat_gaps") for privilege in ("INSERT", "DELETE")),
    *((f"prebooking_bell.{column}", "UPDATE") for column in ("url", "job_id", "switched_at")),
    *((function, "EXECUTE") for function in _FUNCTIONS.split()),
}

# Every privilege of a role on an object of the schema "public" that it does not own. An empty list in the catalog means
# the built-in one, which lets every role execute a function.
_GRANTED = """
with granted (what, acl) as (
  select relname, coalesce(relacl, acldefault('r', relowner)) from pg_class where relnamespace = 'public'::regnamespace
    and relkind in ('r', 'p', 'v', 'm', 'f', 'S')
  union all
  select c.relname || '.' || a.attname, a.attacl from pg_attribute a join pg_class c on c.oid = a.attrelid
    where c.relnamespace = 'public'::regnamespace and a.attacl is not null
  union all
  select proname, coalesce(proacl, acldefault('f', proowner)) from pg_proc where pronamespace = 'public'::regnamespace)
select what::text, case when grantee = 0 then 'public' else grantee::regrole::text end, privilege_type
from granted, aclexplode(acl) where grantee <> grantor
"""

_CALLS: dict[str, Callable[[Connection], object]] = {
    "claim_due_prebookings_v1": lambda connection: claim(connection, uuid4()),
    "claims_since_v1": lambda connection: ask(connection, "claims_since_v1"),
    "complete_prebooking_v1": lambda connection: complete(connection, uuid4(), uuid4()),
    "fail_prebooking_v1": lambda connection: fail(connection, uuid4(), uuid4()),
    "settle_prebookings_v1": lambda connection: settle_many(connection, uuid4(), {"id": str(uuid4()), "outcome": "x"}),
    "release_prebookings_v1": lambda connection: release(connection, uuid4(), [uuid4()]),
    "finish_run_v1": lambda connection: finish(connection, uuid4()),
    "cancel_prebooking_v1": lambda connection: cancel(connection, uuid4(), "me@example.com"),
    "save_session_v1": lambda connection: save_session(connection, uuid4(), "me@example.com", "sealed", 1),
    "session_key_ids_v1": lambda connection: ask(connection, "session_key_ids_v1"),
    "warn_about_logins_v1": lambda connection: warn_about_logins(connection, ["0123456789abcdef"]),
    "warn_about_session_v1": lambda connection: warn(connection, uuid4(), "me@example.com", 1),
    "lease_session_v1": lambda connection: lease(connection, uuid4(), uuid4(), "me@example.com", 1),
    "claim_sessions_v1": lambda connection: claim_sessions(connection, uuid4()),
    "upkeep_due_v1": lambda connection: ask(connection, "upkeep_due_v1", ["aimharder"], ["0123456789abcdef"]),
    "upkeep_due_v2": lambda connection: ask(connection, "upkeep_due_v2", ["aimharder"], [], "0.1.0"),
    "prebooking_version_v1": lambda connection: ask(connection, "prebooking_version_v1"),
    "prebooking_upkeep_parts": lambda connection: ask(connection, "prebooking_upkeep_parts", noon(), [], None),
    "claim_logins_v1": lambda connection: claim_logins(connection, uuid4()),
    "save_login_v1": lambda connection: save_login(connection, uuid4(), "me@example.com", 1, "sealed"),
    "end_login_v1": lambda connection: end_login(connection, uuid4(), "me@example.com", 1, "failed"),
    "upkeep_logins_due": logins_due,
    "upkeep_classes_due": lambda connection: ask(connection, "upkeep_classes_due", noon(), ["aimharder"]),
    "prebooking_class_day": lambda connection: ask(connection, "prebooking_class_day", {"day": "20261123"}),
    "prebooking_class_start": lambda connection: ask(
        connection, "prebooking_class_start", {"starts_at": "18:00"}, "UTC"
    ),
    "prebooking_class_wanted": lambda connection: ask(connection, "prebooking_class_wanted", {}, "UTC"),
    "claim_class_days_v1": lambda connection: ask(connection, "claim_class_days_v1", uuid4(), ["aimharder"], 5),
    "prebooking_set_class": lambda connection: ask(connection, "prebooking_set_class", uuid4(), "4711", None),
    "settle_class_day_v1": lambda connection: ask(
        connection, "settle_class_day_v1", uuid4(), uuid4(), noon().date(), None
    ),
    "add_venue_v1": add_venue_by_command,
    "list_venues_v1": lambda connection: ask(connection, "list_venues_v1"),
    "enable_venue_v1": lambda connection: ask(connection, "enable_venue_v1", uuid4(), False),  # noqa: FBT003 - SQL has no keywords here
    "due_elsewhere_v1": lambda connection: ask(connection, "due_elsewhere_v1", ["webhook"]),
    "prebooking_member": lambda connection: ask(connection, "prebooking_member", "me@example.com"),
    "edit_venue_v1": lambda connection: ask(connection, "edit_venue_v1", uuid4(), *[None] * 5),
    "remove_venue_v1": lambda connection: ask(connection, "remove_venue_v1", uuid4()),
    "logout_v1": lambda connection: ask(connection, "logout_v1", uuid4(), "me@example.com"),
    "forget_member_v1": lambda connection: ask(connection, "forget_member_v1", "me@example.com"),
    "prebooking_prune": lambda connection: ask(connection, "prebooking_prune", noon()),
    "set_venue_box_v1": lambda connection: ask(connection, "set_venue_box_v1", uuid4(), "42"),
    "list_sessions_v1": lambda connection: ask(connection, "list_sessions_v1", None),
    "prebooking_place_v1": lambda connection: ask(connection, "prebooking_place_v1", uuid4(), "me@example.com"),
    "give_back_v1": lambda connection: ask(connection, "give_back_v1", uuid4(), "me@example.com"),
    "upkeep_places_due": lambda connection: ask(connection, "upkeep_places_due", noon(), ["webhook"]),
    "claim_places_v1": lambda connection: ask(connection, "claim_places_v1", uuid4(), ["webhook"], 10),
    "note_place_v1": lambda connection: ask(connection, "note_place_v1", uuid4(), uuid4(), "waiting", 1),
    "add_prebooking_v1": lambda connection: add_prebooking_by_command(connection, uuid4()),
    "add_prebookings_v1": lambda connection: add_choices_by_command(connection, uuid4(), [{}]),
    "prebooking_repair_choices": lambda connection: ask(connection, "prebooking_repair_choices"),
    "list_prebookings_v1": lambda connection: ask(connection, "list_prebookings_v1", None, 7, 100),
    "prebooking_figures_v1": lambda connection: ask(connection, "prebooking_figures_v1", noon()),
    "prebooking_status_v1": lambda connection: ask(connection, "prebooking_status_v1"),
    "prebooking_watch_v1": lambda connection: ask(connection, "prebooking_watch_v1"),
    "prebooking_waiting": lambda connection: ask(connection, "prebooking_waiting", noon()),
    "prebooking_logins": lambda connection: ask(connection, "prebooking_logins", noon()),
    "prebooking_locks": lambda connection: ask(connection, "prebooking_locks"),
    "prebooking_lock_holders": lambda connection: ask(connection, "prebooking_lock_holders"),
    "preview_claim_v1": preview,
    "prebooking_doctor_v1": lambda connection: ask(connection, "prebooking_doctor_v1", ["cancel_prebooking_v1"]),
    "make_repeats_v1": make,
    "upkeep_repeats_due": lambda connection: ask(connection, "upkeep_repeats_due", noon()),
    "add_repeat_v1": lambda connection: add_repeat(connection, uuid4()),
    "list_repeats_v1": lambda connection: ask(connection, "list_repeats_v1", None),
    "pause_repeat_v1": lambda connection: ask(connection, "pause_repeat_v1", uuid4(), False),  # noqa: FBT003
    "remove_repeat_v1": lambda connection: ask(connection, "remove_repeat_v1", uuid4()),
    "add_absence_v1": lambda connection: add_absence(connection, "2199-01-01"),
    "list_absences_v1": lambda connection: ask(connection, "list_absences_v1", None),
    "remove_absence_v1": lambda connection: ask(connection, "remove_absence_v1", uuid4()),
    "upkeep_notifications_due": lambda connection: ask(connection, "upkeep_notifications_due", noon()),
    "prebooking_end_notifications": lambda connection: ask(
        connection, "prebooking_end_notifications", noon(), ["mail"]
    ),
    "unsubscribe_v1": lambda connection: ask(connection, "unsubscribe_v1", uuid4()),
    "claim_notifications_v1": lambda connection: ask(connection, "claim_notifications_v1", uuid4(), ["mail"], 5),
    "prebooking_reminders_due": lambda connection: connection.execute(
        "select public.prebooking_reminders_due(%s)", [noon()]
    ),
    "add_channel_v1": lambda connection: ask(
        connection, "add_channel_v1", uuid4(), "a@x.example", "webhook", "", ["booked"], "en", None, None
    ),
    "list_channels_v1": lambda connection: ask(connection, "list_channels_v1", None),
    "remove_channel_v1": lambda connection: ask(connection, "remove_channel_v1", uuid4()),
    "settle_notification_v1": lambda connection: ask(
        connection, "settle_notification_v1", uuid4(), uuid4(), "sent", None
    ),
    "page_status_v1": lambda connection: ask(connection, "page_status_v1"),
    "page_prebooking_v1": lambda connection: ask(connection, "page_prebooking_v1", uuid4()),
    "page_member_v1": lambda connection: ask(connection, "page_member_v1", uuid4()),
    "page_fold": lambda connection: ask(connection, "page_fold", noon(), 100),
    "prebooking_quiet_until": lambda connection: ask(
        connection, "prebooking_quiet_until", noon(), time(22), time(7), "Europe/Madrid"
    ),
    "prebooking_local_instant": lambda connection: ask(
        connection, "prebooking_local_instant", datetime.fromisoformat("2026-10-25 02:30"), "Europe/Madrid"
    ),
}


def test_only_the_service_role_has_privileges(project: Database) -> None:
    granted = project.connection.execute(_GRANTED).fetchall()
    assert {(what, grantee, privilege) for what, grantee, privilege in granted} == {
        (what, "service_role", privilege) for what, privilege in _EXPECTED
    }


@pytest.mark.parametrize("role", ["anon", "authenticated"])
@pytest.mark.parametrize(
    "statement", ["select from {}", "insert into {} default values", "delete from {}", "truncate {}"]
)
def test_members_and_visitors_can_touch_no_table(project: Database, role: str, statement: str) -> None:
    connection = project.connect(role)
    for table in _TABLES:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.format(f"public.{table}").encode())


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_members_and_visitors_can_call_no_function(project: Database, role: str) -> None:
    connection = project.connect(role)
    for function, call in _CALLS.items():
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match=f"permission denied for function {function}"):
            call(connection)


def test_the_service_role_can_call_every_function(project: Database) -> None:
    connection = project.connect("service_role")
    for call in _CALLS.values():
        call(connection)


def test_the_service_role_cannot_change_a_venue_s_host(project: Database) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        project.connect("service_role").execute("update public.venues set host = 'evil.example'")


def test_every_table_forces_row_security_on_its_owner(project: Database) -> None:
    rows = project.connection.execute(
        "select relname, relrowsecurity, relforcerowsecurity from pg_class "
        "where relnamespace = 'public'::regnamespace and relkind = 'r'"
    ).fetchall()
    assert sorted(rows) == sorted((table, True, True) for table in _TABLES)


def test_every_table_has_one_policy_for_the_service_role(project: Database) -> None:
    policies = project.connection.execute("select tablename, roles::text[] from pg_policies").fetchall()
    assert sorted(policies) == sorted((table, ["service_role"]) for table in _TABLES)


def test_every_function_runs_as_its_caller_with_a_fixed_search_path(project: Database) -> None:
    rows: list[tuple[Any, ...]] = project.connection.execute(
        "select proname, prosecdef, proconfig from pg_proc where pronamespace = 'public'::regnamespace"
    ).fetchall()
    loose = [name for name, definer, settings in rows if definer or 'search_path=""' not in (settings or [])]
    assert rows
    assert loose == []


def test_an_old_project_grants_privileges_in_advance(postgres: LocalPostgres, old_template: str) -> None:
    """The old defaults are in force: a table that revokes nothing is open to every role."""
    with psycopg.connect(postgres.dsn(old_template)) as connection:
        connection.execute("create table public.careless (id int)")
        privileges = "select, insert, update, delete, truncate"
        row = connection.execute("select has_table_privilege('anon', 'public.careless', %s)", [privileges]).fetchone()
        connection.rollback()
    assert row == (True,)


def test_the_owner_of_all_objects_is_no_superuser(project: Database) -> None:
    owners = project.connection.execute(
        """select distinct rolname, rolsuper, rolcreaterole, rolbypassrls from pg_roles r join (
          select relowner as owner from pg_class where relnamespace = 'public'::regnamespace
          union select proowner from pg_proc where pronamespace = 'public'::regnamespace
          union select datdba from pg_database where datname = current_database()) o on o.owner = r.oid"""
    ).fetchall()
    assert owners == [("postgres", False, True, True)]
