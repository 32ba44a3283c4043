"""Checks of the setup: the environment, the database's functions and privileges, and its clock."""

from __future__ import annotations

from collections.abc import Iterator

from prebooking.checks.check import Check, Fine, Found, fault
from prebooking.cli.doctor.observations import ClockOffset, Observations
from prebooking.database.operator import DatabaseAccess
from prebooking.settings import CLOCK_SKEW

# Every database function that the cron functions or the command line call.
FUNCTIONS = (
    "claim_due_prebookings_v1",
    "claims_since_v1",
    "complete_prebooking_v1",
    "fail_prebooking_v1",
    "settle_prebookings_v1",
    "release_prebookings_v1",
    "finish_run_v1",
    "cancel_prebooking_v1",
    "save_session_v1",
    "session_key_ids_v1",
    "warn_about_logins_v1",
    "warn_about_session_v1",
    "lease_session_v1",
    "claim_sessions_v1",
    "claim_logins_v1",
    "save_login_v1",
    "end_login_v1",
    "upkeep_due_v2",
    "claim_heartbeat_v1",
    "claim_class_days_v1",
    "settle_class_day_v1",
    "make_repeats_v1",
    "add_repeat_v1",
    "list_repeats_v1",
    "pause_repeat_v1",
    "remove_repeat_v1",
    "add_absence_v1",
    "list_absences_v1",
    "remove_absence_v1",
    "add_venue_v1",
    "list_venues_v1",
    "enable_venue_v1",
    "set_venue_box_v1",
    "due_elsewhere_v1",
    "edit_venue_v1",
    "remove_venue_v1",
    "logout_v1",
    "forget_member_v1",
    "list_sessions_v1",
    "add_prebooking_v1",
    "add_prebookings_v1",
    "list_prebookings_v1",
    "prebooking_place_v1",
    "give_back_v1",
    "claim_places_v1",
    "note_place_v1",
    "claim_notifications_v1",
    "settle_notification_v1",
    "add_channel_v1",
    "list_channels_v1",
    "remove_channel_v1",
    "unsubscribe_v1",
    "prebooking_figures_v1",
    "prebooking_watch_v1",
    "prebooking_status_v1",
    "preview_claim_v1",
    "prebooking_doctor_v1",
    "prebooking_version_v1",
    "prebooking_bell_status_v1",
    "prebooking_bell_on",
    "prebooking_bell_off",
    "page_status_v1",
    "page_prebooking_v1",
    "page_member_v1",
)
_SECRETS = ("CRON_SECRET", "CRON_SECRET_PREVIOUS", "BOOKING_WEBHOOK_SECRET", "METRICS_SECRET", "STATUS_SECRET")
_KEYS = ("SESSION_ENCRYPTION_KEY", "SESSION_ENCRYPTION_KEY_PREVIOUS")


def _look_at_settings(observations: Observations) -> Iterator[Found]:
    for name, problem in observations.problems.items():
        missing = not observations.environment.get(name, "").strip()
        yield fault("missing" if missing else "unfit", name=name, problem=problem)
    if not observations.problems:
        yield Fine("complete, as the function needs them")


def _look_at_secrets(observations: Observations) -> Iterator[Found]:
    secrets, keys = _equal_variables(observations, _SECRETS), _equal_variables(observations, _KEYS)
    if secrets:
        yield fault("equal", names=" and ".join(secrets))
    if keys:
        yield fault("equal_keys", name=_KEYS[1])
    if not secrets and not keys:
        yield Fine("differ from each other")


def _equal_variables(observations: Observations, names: tuple[str, ...]) -> list[str]:
    """Return the variables that have the same value as another one."""
    values = {name: observations.environment.get(name, "").strip() for name in names}
    return [name for name, value in values.items() if value and list(values.values()).count(value) > 1]


def _look_at_database(observations: Observations) -> Iterator[Found]:
    if observations.settings is None:
        yield fault("settings_first")
    for sentence in dict.fromkeys(observations.database_errors):
        yield fault("no_answer", sentence=sentence)
    if observations.settings and not observations.database_errors:
        yield Fine("answers")


def _look_at_functions(caller: DatabaseAccess) -> Iterator[Found]:
    missing = [name for name in FUNCTIONS if name not in caller.functions]
    if missing:
        yield fault("missing", names=", ".join(missing))
    else:
        yield Fine(f"all {len(FUNCTIONS)} functions are there")


def _look_at_role(caller: DatabaseAccess) -> Iterator[Found]:
    if forbidden := [name for name, may in caller.functions.items() if not may]:
        yield fault("forbidden", role=caller.role, names=", ".join(forbidden))
    else:
        yield Fine(f"{caller.role}, and it may execute them all")


def look_at_clock(clock: ClockOffset) -> Iterator[Found]:
    """Yield whether a clock agrees with this machine's."""
    if clock.seconds - clock.give_or_take > CLOCK_SKEW:
        yield fault("off", whose=clock.whose, seconds=f"{clock.seconds:.0f}")
    else:
        yield Fine(f"{clock.whose} differs from ours by {clock.seconds:.1f} s, give or take {clock.give_or_take:.1f} s")


CLOCK_OFF = "{whose} differs from ours by {seconds} s: set the clock of this machine (NTP), or that one"

SETUP: tuple[Check[Observations] | Check[DatabaseAccess] | Check[ClockOffset], ...] = (
    Check(
        "settings", lambda all_: all_, _look_at_settings, {"missing": "{name} {problem}", "unfit": "{name} {problem}"}
    ),
    Check(
        "secrets",
        lambda all_: all_,
        _look_at_secrets,
        {
            "equal": "{names} are the same: give each a secret of its own, from `openssl rand -hex 32`",
            "equal_keys": "{name} is the same as the current key: remove it, or set it to the key before this one",
        },
    ),
    Check(
        "database",
        lambda all_: all_,
        _look_at_database,
        {"settings_first": "not looked at: correct the settings first", "no_answer": "{sentence}"},
    ),
    Check(
        "migrations",
        lambda all_: all_.caller,
        _look_at_functions,
        {"missing": "functions are missing ({names}): run `prebooking init`"},
    ),
    Check(
        "role",
        lambda all_: all_.caller,
        _look_at_role,
        {
            "forbidden": "the key is of the role {role}, which may not execute {names}: set SUPABASE_SERVICE_ROLE_KEY"
            " to the project's secret key, or grant it",
        },
    ),
    Check("clock", lambda all_: all_.clock, look_at_clock, {"off": CLOCK_OFF}),
)
