"""Each rule of the tables is broken once, and Python and SQL use the same words."""

from __future__ import annotations

from itertools import product
from typing import Any
from uuid import uuid4
from zoneinfo import available_timezones

import psycopg
import pytest

from prebooking.model import COMPLETED, ENDED_BY_DATABASE, FAILED, Kind
from tests.support.database import Connection
from tests.support.factories import add_prebooking, add_session, add_venue, noon

_HELD = {"claimed_by": uuid4(), "claimed_until": noon(30), "turn_until": noon(8)}

_BAD_INSTANTS = ["infinity", "-infinity", "20000-01-01", "2200-01-01", "1999-12-31 23:59:59+00", "4714-11-24 00:00 BC"]
_BAD_HOSTS = [
    *("", "Gym.example", "gym.example/path", "user@gym.example", "gym.example ", "gym.example:8443", "gym..example"),
    *("gym.example.", "-gym.example", "gym-.example", "g_m.example", "gym.example\n", "gímnasio.example"),
    *("xn--x.aimharder.com", "gym.xn--zz", f"{'x' * 64}.example", ".".join(["x" * 50] * 6)),
    ".".join(["x" * 63] * 3 + ["x" * 62]),  # 254 characters
]
_BAD_ZONES = [
    *("", "Madrid", "CEST-2", "Europe/Madrid "),
    # Postgres reads these as a name with an offset.
    *("Europe/Madrid+2", "Europe/Madrid-2", "Foo/Bar3"),
    # Python does not know these on every machine.
    *("Etc/GMT+13", "posix/Europe/Madrid", "right/Europe/Madrid"),
]
_BAD_EMAILS = [
    *(f"{'x' * 309}@example.com", "", "ana @example.com", "an\n@example.com"),
    *("\u212aate@example.com", "k\u0131m@example.com"),  # in lower case they are other addresses
]
_BAD_VENUES: list[tuple[str, dict[str, Any]]] = [
    ("venues_provider_check", {"provider": "carrier_pigeon"}),
    *[("venues_host_check", {"host": host}) for host in _BAD_HOSTS],
    *[
        ("prebooking_instant_check", {column: instant})
        for column, instant in product(["paused_until", "troubled_since", "troubled_at"], _BAD_INSTANTS)
    ],
    *[("venues_timezone_check", {"timezone": zone}) for zone in _BAD_ZONES],
    ("venue_is_short", {"name": "x" * 201}),
    ("venue_is_short", {"provider_box_id": "1" * 41}),
    ("venues_opening_rule_check", {"opening_rule": "4 days"}),
    *[("venues_late_cancel_hours_check", {"late_cancel_hours": hours}) for hours in (0, 169)],
    ("venues_opening_rule_check", {"opening_rule": "72 hours before at 20:00"}),
    ("aimharder_needs_host", {"provider": "aimharder", "host": None}),
    ("aimharder_knows_no_keys", {"provider": "aimharder", "idempotent": True}),
]
_BOX = {"provider": "aimharder", "host": "box.aimharder.com"}
_BAD_PREBOOKINGS: list[tuple[str, dict[str, Any]]] = [
    ("prebookings_booking_data_check", {"booking_data": psycopg.types.json.Jsonb(["a list"])}),
    ("booking_data_is_short", {"booking_data": {"note": "x" * 6133}}),
    ("booking_data_is_short", {"booking_data": {"note": "ñ" * 3070}}),
    *[("prebookings_user_email_check", {"user_email": email}) for email in _BAD_EMAILS],
    *[("prebooking_instant_check", {"available_at": instant, "expires_at": noon()}) for instant in _BAD_INSTANTS],
    *[
        ("prebooking_instant_check", {column: instant})
        for column, instant in product(["expires_at", "created_at", "retry_after"], _BAD_INSTANTS)
    ],
    *[("prebooking_instant_check", {**_HELD, "claimed_until": instant}) for instant in _BAD_INSTANTS],
    ("only_a_later_choice_is_promoted", {"promoted_at": noon()}),
    ("waiting_is_not_held", {"venue": _BOX, "booking_data": {"day": "20300114", "starts_at": "18:00"}, **_HELD}),
    ("only_a_place_is_given_back", {"given_back_at": noon()}),
    ("repeat_has_a_day", {"repeat_id": uuid4()}),
    ("repeat_has_a_day", {"repeat_day": noon().date()}),
    ("opens_before_it_expires", {"available_at": noon(), "expires_at": noon()}),
    ("prebookings_status_check", {"status": "booking", "settled_at": noon()}),
    ("prebookings_error_message_check", {"error_message": "x" * 301}),
    ("prebookings_warning_check", {"warning": "x" * 301}),
    ("prebookings_class_warning_check", {"class_warning": "x" * 301}),
    ("terminal_is_settled", {"status": "cancelled"}),
    ("terminal_is_settled", {"settled_at": noon()}),
    ("terminal_is_free", {"status": "cancelled", "settled_at": noon(), **_HELD}),
    *[("claim_is_whole", {**_HELD, column: None}) for column in _HELD],
    ("outcome_fits_status", {"outcome": "booked"}),
    ("outcome_fits_status", {"status": "completed", "settled_at": noon()}),
    ("outcome_fits_status", {"status": "failed", "settled_at": noon()}),
    ("outcome_fits_status", {"status": "cancelled", "settled_at": noon(), "outcome": "full"}),
]
_BAD_SESSIONS: list[tuple[str, dict[str, Any]]] = [
    ("member_sessions_user_email_check", {"user_email": "Ana@example.com"}),
    ("member_sessions_user_email_check", {"user_email": "an\u212a@example.com"}),
    ("member_sessions_user_email_check", {"user_email": f"{'x' * 309}@example.com"}),
    ("member_sessions_key_id_check", {"key_id": "not a key's"}),
    *[("prebooking_instant_check", {"expired_at": instant}) for instant in _BAD_INSTANTS],
    ("member_sessions_sealed_check", {"sealed": "x" * 20_001}),
    ("member_sessions_key_id_check", {"key_id": "0123456789ABCDEF"}),
    ("member_sessions_password_check", {"password": "x" * 20_001, "password_key_id": "0123456789abcdef"}),
    ("member_sessions_password_key_id_check", {"password": "sealed", "password_key_id": "not a key's"}),
    ("password_is_whole", {"password": "sealed"}),
    ("password_is_whole", {"password_key_id": "0123456789abcdef"}),
    ("lease_is_whole", {"leased_by": uuid4()}),
    ("lease_is_whole", {"leased_until": noon()}),
]
_SET_BELL = "update public.prebooking_bell set"
_ADD_DAY = (
    "insert into public.class_days (venue_id, day, leased_by, leased_until) values (gen_random_uuid(), '2030-01-14'"
)
_ADD_PLACE = "insert into public.prebooking_places (prebooking_id, place, since, looked_at, position) values"
_ADD_PLACE += " (gen_random_uuid(), "
_ADD_REPEAT = (
    "insert into public.repeats (venue_id, user_email, weekday, starts_at, booking_data, later, problem) values"
)
_ADD_REPEAT += " (gen_random_uuid(), "
_ADD_ABSENCE = "insert into public.absences (user_email, first_day, last_day) values"
# A channel: events, language, quiet hours, and its last failure after member, kind and address.
_ADD_CHANNEL = (
    "insert into public.notification_channels (user_email, kind, address, events, language, quiet_from, quiet_until,"
    " failed_at, failure) values "
)
_USUAL = "'{booked}', 'en', null, null, null, null)"
_MINE = "('ana@example.com', 'ntfy', 'topic', "
_ADD_NOTIFICATION = (
    "insert into public.notifications (channel_id, due_at, next_at, event, about, prebooking_id, status, settled_at,"
    " leased_by, leased_until, failure) values (gen_random_uuid(), now(), now(), "
)
_ALERT = "'alert', '', null, "
_BAD_CHANNELS = [
    ("notification_channels_user_email_check", f"{_ADD_CHANNEL}('Ana@example.com', 'ntfy', 'topic', {_USUAL}"),
    ("notification_channels_kind_check", f"{_ADD_CHANNEL}(null, 'pigeon', '4711', {_USUAL}"),
    ("notification_channels_address_check", f"{_ADD_CHANNEL}(null, 'mail', repeat('x', 320) || '@x.example', {_USUAL}"),
    *[
        ("address_fits_kind", f"{_ADD_CHANNEL}(null, {kind_and_address}, {_USUAL}")
        for kind_and_address in ("'webhook', 'https://x'", "'mail', 'ana'", "'ntfy', '../v1'", "'telegram', 'ana'")
    ],
    ("notification_channels_events_check", f"{_ADD_CHANNEL}{_MINE}'{{}}', 'en', null, null, null, null)"),
    ("notification_channels_events_check", f"{_ADD_CHANNEL}{_MINE}'{{lost}}', 'en', null, null, null, null)"),
    ("only_the_operator_gets_alerts", f"{_ADD_CHANNEL}{_MINE}'{{alert}}', 'en', null, null, null, null)"),
    ("notification_channels_language_check", f"{_ADD_CHANNEL}{_MINE}'{{booked}}', 'fr', null, null, null, null)"),
    ("quiet_hours_are_whole", f"{_ADD_CHANNEL}{_MINE}'{{booked}}', 'en', '22:00', null, null, null)"),
    ("quiet_hours_are_whole", f"{_ADD_CHANNEL}{_MINE}'{{booked}}', 'en', '22:00', '22:00', null, null)"),
    ("failure_is_whole", f"{_ADD_CHANNEL}{_MINE}'{{booked}}', 'en', null, null, now(), null)"),
    (
        "notification_channels_failure_check",
        f"{_ADD_CHANNEL}{_MINE}'{{booked}}', 'en', null, null, now(), repeat('x', 101))",
    ),
    (
        "notifications_event_check",
        f"{_ADD_NOTIFICATION}'lost', '', gen_random_uuid(), 'waiting', null, null, null, null)",
    ),
    (
        "notifications_about_check",
        f"{_ADD_NOTIFICATION}'alert', repeat('x', 101), null, 'waiting', null, null, null, null)",
    ),
    (
        "only_alerts_are_about_no_prebooking",
        f"{_ADD_NOTIFICATION}'booked', '', null, 'waiting', null, null, null, null)",
    ),
    ("notifications_status_check", f"{_ADD_NOTIFICATION}{_ALERT}'lost', now(), null, null, null)"),
    ("end_is_settled", f"{_ADD_NOTIFICATION}{_ALERT}'sent', null, null, null, null)"),
    ("end_is_settled", f"{_ADD_NOTIFICATION}{_ALERT}'waiting', now(), null, null, null)"),
    ("end_is_free", f"{_ADD_NOTIFICATION}{_ALERT}'sent', now(), gen_random_uuid(), now(), null)"),
    ("lease_has_a_holder", f"{_ADD_NOTIFICATION}{_ALERT}'waiting', null, null, now(), null)"),
    ("notifications_failure_check", f"{_ADD_NOTIFICATION}{_ALERT}'waiting', null, null, null, repeat('x', 101))"),
]
_BAD_STATEMENTS = [
    *_BAD_CHANNELS,
    ("lease_is_whole", f"{_ADD_DAY}, gen_random_uuid(), null)"),
    ("lease_is_whole", f"{_ADD_DAY}, null, now())"),
    ("prebooking_places_place_check", f"{_ADD_PLACE}'somewhere', now(), now(), null)"),
    ("prebooking_places_position_check", f"{_ADD_PLACE}'waiting', now(), now(), 0)"),
    ("only_waiting_has_a_position", f"{_ADD_PLACE}'booked', now(), now(), 1)"),
    ("place_is_whole", f"{_ADD_PLACE}'booked', null, now(), null)"),
    ("repeats_user_email_check", f"{_ADD_REPEAT}'Ana@example.com', 1, '18:00', '{{}}', '[]', null)"),
    ("repeats_weekday_check", f"{_ADD_REPEAT}'ana@example.com', 8, '18:00', '{{}}', '[]', null)"),
    ("repeats_starts_at_check", f"{_ADD_REPEAT}'ana@example.com', 1, '18:00:01', '{{}}', '[]', null)"),
    ("repeats_booking_data_check", f"{_ADD_REPEAT}'ana@example.com', 1, '18:00', '[]', '[]', null)"),
    ("repeats_later_check", f"{_ADD_REPEAT}'ana@example.com', 1, '18:00', '{{}}', '[1, 2, 3, 4]', null)"),
    ("repeats_later_check", f"{_ADD_REPEAT}'ana@example.com', 1, '18:00', '{{}}', '{{}}', null)"),
    ("repeats_problem_check", f"{_ADD_REPEAT}'ana@example.com', 1, '18:00', '{{}}', '[]', repeat('x', 301))"),
    ("absences_user_email_check", f"{_ADD_ABSENCE} ('Ana@example.com', '2030-01-14', '2030-01-14')"),
    ("absence_ends_after_it_begins", f"{_ADD_ABSENCE} ('ana@example.com', '2030-01-14', '2030-01-13')"),
    ("prebooking_heartbeat_only_one_check", "insert into public.prebooking_heartbeat values (false, now())"),
    (
        "prebooking_heartbeat_version_check",
        "insert into public.prebooking_heartbeat (version) values (repeat('x', 41))",
    ),
    ("page_progress_only_one_check", "insert into public.page_progress (only_one) values (false)"),
    ("mark_is_whole", "update public.page_progress set marked_until = now()"),
    ("mark_is_whole", "update public.page_progress set marked_xid = pg_current_xact_id()"),
    ("prebooking_bell_only_one_check", "insert into public.prebooking_bell (only_one) values (false)"),
    # the leads that the function refuses too
    *[("prebooking_bell_lead_check", f"{_SET_BELL} lead = '{lead}'") for lead in ("-1 millisecond", "5.001 seconds")],
    ("bell_calls_the_function", f"{_SET_BELL} url = 'http://10.0.0.1/'"),
    *[("prebooking_instant_check", f"{_SET_BELL} switched_at = '{instant}'") for instant in _BAD_INSTANTS],
]


@pytest.mark.grid
@pytest.mark.parametrize(("rule", "venue"), _BAD_VENUES)
def test_a_venue_that_breaks_a_rule_is_refused(owner: Connection, rule: str, venue: dict[str, Any]) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        add_venue(owner, **venue)
    assert refused.value.diag.constraint_name == rule


def test_an_unknown_time_zone_is_refused_by_name(owner: Connection) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match='time zone "Europe/Madird" not recognized'):
        add_venue(owner, timezone="Europe/Madird")


def test_every_time_zone_of_the_command_line_is_accepted(owner: Connection) -> None:
    known = [zone for zone in available_timezones() if "/" in zone] + ["UTC"]
    here = {name for (name,) in owner.execute("select name from pg_timezone_names").fetchall()}
    for zone in here & set(known):
        add_venue(owner, timezone=zone)
    assert len(here & set(known)) > 500


@pytest.mark.grid
@pytest.mark.parametrize(("rule", "row"), _BAD_PREBOOKINGS)
def test_a_prebooking_that_breaks_a_rule_is_refused(owner: Connection, rule: str, row: dict[str, Any]) -> None:
    venue = add_venue(owner, **row.get("venue", {}))
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        add_prebooking(owner, venue, **{column: value for column, value in row.items() if column != "venue"})
    assert refused.value.diag.constraint_name == rule


@pytest.mark.grid
@pytest.mark.parametrize(("rule", "session"), _BAD_SESSIONS)
def test_a_session_that_breaks_a_rule_is_refused(owner: Connection, rule: str, session: dict[str, Any]) -> None:
    venue = add_venue(owner)
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        add_session(owner, venue, "ana@example.com", **session)
    assert refused.value.diag.constraint_name == rule


@pytest.mark.grid
@pytest.mark.parametrize(("rule", "statement"), _BAD_STATEMENTS)
def test_a_statement_that_breaks_a_rule_is_refused(owner: Connection, rule: str, statement: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        owner.execute(statement.encode())
    assert refused.value.diag.constraint_name == rule


def test_every_timestamp_column_uses_the_checked_domain(owner: Connection) -> None:
    plain = owner.execute(
        """select table_name, column_name from information_schema.columns
        where table_schema = 'public' and data_type like 'timestamp%' and domain_name is null"""
    ).fetchall()
    assert plain == []


def test_every_check_of_the_database_is_in_a_table_above(owner: Connection) -> None:
    rules = owner.execute(
        "select conname from pg_constraint where contype = 'c' and connamespace = 'public'::regnamespace"
    ).fetchall()
    broken = {rule for rule, _ in [*_BAD_VENUES, *_BAD_PREBOOKINGS, *_BAD_SESSIONS, *_BAD_STATEMENTS]}
    assert broken == {rule for (rule,) in rules}


@pytest.mark.parametrize(
    "again",
    [{"user_email": "me@example.com"}, {"user_email": "ME@example.com"}, {"available_at": noon(60)}],
)
def test_a_member_has_one_live_prebooking_for_a_class(owner: Connection, again: dict[str, Any]) -> None:
    venue, row = add_venue(owner), {"user_email": "me@example.com", "booking_data": {"class_id": "c1"}}
    add_prebooking(owner, venue, **row)
    with pytest.raises(psycopg.errors.UniqueViolation, match="prebookings_one_live"):
        add_prebooking(owner, venue, **(row | again))


def test_a_class_id_in_another_notation_is_the_same_class(owner: Connection) -> None:
    """I1: the venue sees one class, so one member has one place in it."""
    written = [4711, "4711", " 4711 ", "4711 ", "\t4711\n", "\u00a04711", "4711\ufeff"]
    for first, again in product(written, written):
        venue = add_venue(owner)
        add_prebooking(owner, venue, user_email="me@example.com", booking_data={"class_id": first})
        with pytest.raises(psycopg.errors.UniqueViolation, match="prebookings_one_live"):
            add_prebooking(owner, venue, user_email="ME@example.com", booking_data={"class_id": again, "note": "x"})


@pytest.mark.parametrize("other", ["47 11", "4711a", "04711", "", None, {"a": 1}])
def test_a_class_id_that_differs_by_more_than_space_is_another_class(owner: Connection, other: Any) -> None:
    venue = add_venue(owner)
    add_prebooking(owner, venue, user_email="me@example.com", booking_data={"class_id": "4711"})
    add_prebooking(owner, venue, user_email="me@example.com", booking_data={"class_id": other})


@pytest.mark.parametrize("other", [{"user_email": "you@example.com"}, {"booking_data": {"class_id": "c2"}}])
def test_another_member_or_another_class_is_another_prebooking(owner: Connection, other: dict[str, Any]) -> None:
    venue, row = add_venue(owner), {"user_email": "me@example.com", "booking_data": {"class_id": "c1"}}
    first = add_prebooking(owner, venue, **row)
    assert add_prebooking(owner, venue, **(row | other)) != first


def test_the_same_class_at_another_venue_is_another_prebooking(owner: Connection) -> None:
    row = {"user_email": "me@example.com", "booking_data": {"class_id": "c1"}}
    assert add_prebooking(owner, add_venue(owner), **row) != add_prebooking(owner, add_venue(owner), **row)


def test_data_without_a_class_id_is_compared_as_a_whole(owner: Connection) -> None:
    venue, row = add_venue(owner), {"user_email": "me@example.com", "booking_data": {"day": "monday", "hour": 8}}
    add_prebooking(owner, venue, **row)
    add_prebooking(owner, venue, **(row | {"booking_data": {"day": "monday", "hour": 9}}))
    with pytest.raises(psycopg.errors.UniqueViolation, match="prebookings_one_live"):
        add_prebooking(owner, venue, **(row | {"booking_data": {"hour": 8, "day": "monday"}}))


def test_a_settled_prebooking_can_be_added_again(owner: Connection) -> None:
    venue, row = add_venue(owner), {"user_email": "me@example.com", "booking_data": {"class_id": "c1"}}
    first = add_prebooking(owner, venue, status="cancelled", settled_at=noon(), **row)
    assert add_prebooking(owner, venue, **row) != first


def test_python_and_the_database_agree_on_the_status_of_each_outcome(owner: Connection) -> None:
    venue, accepted = add_venue(owner), set()
    for kind, status in product(Kind, ("completed", "failed", "cancelled", "pending")):
        settled_at = None if status == "pending" else noon()
        try:
            add_prebooking(owner, venue, status=status, outcome=kind.value, settled_at=settled_at)
        except psycopg.errors.CheckViolation:
            continue
        accepted.add((kind, status))
    completed = {(kind, "completed") for kind in COMPLETED}
    assert accepted == completed | {(kind, "failed") for kind in FAILED | ENDED_BY_DATABASE}


def test_python_knows_every_outcome_of_the_database(owner: Connection) -> None:
    words = """select distinct m[1]
      from pg_constraint, regexp_matches(pg_get_constraintdef(oid), '''([a-z_]+)''::text', 'g') m
      where conname = 'outcome_fits_status'"""
    known = {word for (word,) in owner.execute(words).fetchall()}
    assert known - {"completed", "failed"} == COMPLETED | FAILED | ENDED_BY_DATABASE
