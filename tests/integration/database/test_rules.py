"""Every rule of the tables, broken once; and Python and SQL agree on the words."""

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

_NO_INSTANTS = [
    "infinity",
    "-infinity",
    "4714-11-24 00:00+00 BC",
    "1999-12-31 23:59:59+00",
    "2200-01-01",
    "20000-01-01",
]

# Postgres takes the first ones for a name and an offset of their own, and Python does not know the others everywhere.
_NO_ZONES = [
    "Europe/Madrid+2",
    "Europe/Madrid-2",
    "Foo/Bar3",
    "Etc/GMT+13",
    "posix/Europe/Madrid",
    "right/Europe/Madrid",
]
_BAD_VENUES: list[tuple[str, dict[str, Any]]] = [
    ("venues_provider_check", {"provider": "carrier_pigeon"}),
    ("venues_host_check", {"host": "Gym.example"}),
    ("venues_host_check", {"host": "gym.example/path"}),
    ("venues_host_check", {"host": "user@gym.example"}),
    ("venues_host_check", {"host": "gym.example "}),
    ("venues_host_check", {"host": ""}),
    ("venues_host_check", {"host": "gym.example:8443"}),
    ("venues_host_check", {"host": "gym..example"}),
    ("venues_host_check", {"host": "gym.example."}),
    ("venues_host_check", {"host": "-gym.example"}),
    ("venues_host_check", {"host": "gym-.example"}),
    ("venues_host_check", {"host": "g_m.example"}),
    ("venues_host_check", {"host": "gym.example\n"}),
    ("venues_host_check", {"host": "gímnasio.example"}),
    ("venues_host_check", {"host": "xn--x.aimharder.com"}),
    ("venues_host_check", {"host": "gym.xn--zz"}),
    ("venues_host_check", {"host": f"{'x' * 64}.example"}),
    ("venues_host_check", {"host": ".".join(["x" * 50] * 6)}),
    *[("prebooking_instant_check", {"paused_until": instant}) for instant in _NO_INSTANTS],
    *[("prebooking_instant_check", {"troubled_since": instant}) for instant in _NO_INSTANTS],
    ("venues_timezone_check", {"timezone": ""}),
    ("venues_timezone_check", {"timezone": "Madrid"}),
    ("venues_timezone_check", {"timezone": "CEST-2"}),
    ("venues_timezone_check", {"timezone": "Europe/Madrid "}),
    *[("venues_timezone_check", {"timezone": zone}) for zone in _NO_ZONES],
    ("venues_host_check", {"host": ".".join(["x" * 63] * 3 + ["x" * 62])}),  # 254 characters
    ("venue_is_short", {"name": "x" * 201}),
    ("venue_is_short", {"provider_box_id": "1" * 41}),
    ("venues_opening_rule_check", {"opening_rule": "4 days"}),
    ("venues_opening_rule_check", {"opening_rule": "72 hours before at 20:00"}),
    ("aimharder_needs_host", {"provider": "aimharder", "host": None}),
    ("aimharder_knows_no_keys", {"provider": "aimharder", "idempotent": True}),
]
_BAD_PREBOOKINGS: list[tuple[str, dict[str, Any]]] = [
    ("prebookings_booking_data_check", {"booking_data": psycopg.types.json.Jsonb(["a list"])}),
    ("booking_data_is_short", {"booking_data": {"note": "x" * 6133}}),
    ("booking_data_is_short", {"booking_data": {"note": "ñ" * 3070}}),
    ("prebookings_user_email_check", {"user_email": f"{'x' * 309}@example.com"}),
    ("prebookings_user_email_check", {"user_email": ""}),
    ("prebookings_user_email_check", {"user_email": "ana @example.com"}),
    ("prebookings_user_email_check", {"user_email": "an\n@example.com"}),
    ("prebookings_user_email_check", {"user_email": "\u212aate@example.com"}),  # the sign of kelvin lowers to a k
    ("prebookings_user_email_check", {"user_email": "k\u0131m@example.com"}),
    *[("prebooking_instant_check", {"available_at": instant, "expires_at": noon()}) for instant in _NO_INSTANTS],
    *[("prebooking_instant_check", {"expires_at": instant}) for instant in _NO_INSTANTS],
    *[("prebooking_instant_check", {"created_at": instant}) for instant in _NO_INSTANTS],
    *[("prebooking_instant_check", {"retry_after": instant}) for instant in _NO_INSTANTS],
    *[("prebooking_instant_check", {**_HELD, "claimed_until": instant}) for instant in _NO_INSTANTS],
    ("opens_before_it_expires", {"available_at": noon(), "expires_at": noon()}),
    ("prebookings_status_check", {"status": "booking", "settled_at": noon()}),
    ("prebookings_error_message_check", {"error_message": "x" * 301}),
    ("prebookings_warning_check", {"warning": "x" * 301}),
    ("terminal_is_settled", {"status": "cancelled"}),
    ("terminal_is_settled", {"settled_at": noon()}),
    ("terminal_is_free", {"status": "cancelled", "settled_at": noon(), **_HELD}),
    ("claim_is_whole", {**_HELD, "turn_until": None}),
    ("claim_is_whole", {**_HELD, "claimed_until": None}),
    ("claim_is_whole", {**_HELD, "claimed_by": None}),
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
    *[("prebooking_instant_check", {"expired_at": instant}) for instant in _NO_INSTANTS],
    ("member_sessions_sealed_check", {"sealed": "x" * 20_001}),
    ("member_sessions_key_id_check", {"key_id": "0123456789ABCDEF"}),
    ("lease_is_whole", {"leased_by": uuid4()}),
    ("lease_is_whole", {"leased_until": noon()}),
]


@pytest.mark.parametrize(("rule", "venue"), _BAD_VENUES)
def test_a_venue_that_breaks_a_rule_is_refused(owner: Connection, rule: str, venue: dict[str, Any]) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        add_venue(owner, **venue)
    assert refused.value.diag.constraint_name == rule


def test_a_venue_in_a_time_zone_that_nobody_knows_is_refused_by_its_name(owner: Connection) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match='time zone "Europe/Madird" not recognized'):
        add_venue(owner, timezone="Europe/Madird")


def test_every_time_zone_that_the_command_line_takes_is_taken_here(owner: Connection) -> None:
    known = [zone for zone in available_timezones() if "/" in zone] + ["UTC"]
    here = {name for (name,) in owner.execute("select name from pg_timezone_names").fetchall()}
    for zone in here & set(known):
        add_venue(owner, timezone=zone)
    assert len(here & set(known)) > 500


@pytest.mark.parametrize(("rule", "row"), _BAD_PREBOOKINGS)
def test_a_prebooking_that_breaks_a_rule_is_refused(owner: Connection, rule: str, row: dict[str, Any]) -> None:
    venue = add_venue(owner)
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        add_prebooking(owner, venue, **row)
    assert refused.value.diag.constraint_name == rule


@pytest.mark.parametrize(("rule", "session"), _BAD_SESSIONS)
def test_a_session_that_breaks_a_rule_is_refused(owner: Connection, rule: str, session: dict[str, Any]) -> None:
    venue = add_venue(owner)
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        add_session(owner, venue, "ana@example.com", **session)
    assert refused.value.diag.constraint_name == rule


def test_there_is_one_heartbeat_and_no_second(owner: Connection) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        owner.execute("insert into public.prebooking_heartbeat values (false, now())")
    assert refused.value.diag.constraint_name == "prebooking_heartbeat_only_one_check"


@pytest.mark.parametrize("lead", ["-1 millisecond", "5.001 seconds"])
def test_the_bell_has_a_lead_that_the_function_can_have_too(owner: Connection, lead: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        owner.execute("update public.prebooking_bell set lead = %s", [lead])
    assert refused.value.diag.constraint_name == "prebooking_bell_lead_check"


def test_the_bell_takes_no_address_but_the_function_s(owner: Connection) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        owner.execute("update public.prebooking_bell set url = 'http://10.0.0.1/'")
    assert refused.value.diag.constraint_name == "bell_calls_the_function"


@pytest.mark.parametrize("instant", _NO_INSTANTS)
def test_the_bell_keeps_no_instant_that_cannot_be_read(owner: Connection, instant: Any) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        owner.execute("update public.prebooking_bell set switched_at = %s", [instant])
    assert refused.value.diag.constraint_name == "prebooking_instant_check"


def test_every_instant_of_the_tables_is_one_that_can_be_read(owner: Connection) -> None:
    plain = owner.execute(
        """select table_name, column_name from information_schema.columns
        where table_schema = 'public' and data_type like 'timestamp%' and domain_name is null"""
    ).fetchall()
    assert plain == []


def test_there_is_one_bell(owner: Connection) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        owner.execute("insert into public.prebooking_bell (only_one) values (false)")
    assert refused.value.diag.constraint_name == "prebooking_bell_only_one_check"


def test_every_rule_of_the_database_is_broken_here(owner: Connection) -> None:
    rules = owner.execute(
        "select conname from pg_constraint where contype = 'c' and connamespace = 'public'::regnamespace"
    ).fetchall()
    broken = {rule for rule, _ in _BAD_VENUES + _BAD_PREBOOKINGS + _BAD_SESSIONS}
    broken |= {
        "bell_calls_the_function",
        "prebooking_heartbeat_only_one_check",
        "prebooking_bell_only_one_check",
        "prebooking_bell_lead_check",
    }
    assert broken == {rule for (rule,) in rules}


@pytest.mark.parametrize(
    "again",
    [{"user_email": "me@example.com"}, {"user_email": "ME@example.com"}, {"available_at": noon(60)}],
)
def test_a_member_has_one_live_prebooking_for_a_class(owner: Connection, again: dict[str, Any]) -> None:
    venue, wish = add_venue(owner), {"user_email": "me@example.com", "booking_data": {"class_id": "c1"}}
    add_prebooking(owner, venue, **wish)
    with pytest.raises(psycopg.errors.UniqueViolation, match="prebookings_one_live"):
        add_prebooking(owner, venue, **(wish | again))


def test_the_same_class_written_in_another_way_is_the_same_class(owner: Connection) -> None:
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
    venue, wish = add_venue(owner), {"user_email": "me@example.com", "booking_data": {"class_id": "c1"}}
    first = add_prebooking(owner, venue, **wish)
    assert add_prebooking(owner, venue, **(wish | other)) != first


def test_the_same_class_at_another_venue_is_another_prebooking(owner: Connection) -> None:
    wish = {"user_email": "me@example.com", "booking_data": {"class_id": "c1"}}
    assert add_prebooking(owner, add_venue(owner), **wish) != add_prebooking(owner, add_venue(owner), **wish)


def test_data_without_a_class_id_counts_as_a_whole(owner: Connection) -> None:
    venue, wish = add_venue(owner), {"user_email": "me@example.com", "booking_data": {"day": "monday", "hour": 8}}
    add_prebooking(owner, venue, **wish)
    add_prebooking(owner, venue, **(wish | {"booking_data": {"day": "monday", "hour": 9}}))
    with pytest.raises(psycopg.errors.UniqueViolation, match="prebookings_one_live"):
        add_prebooking(owner, venue, **(wish | {"booking_data": {"hour": 8, "day": "monday"}}))


def test_a_settled_prebooking_may_be_wished_for_again(owner: Connection) -> None:
    venue, wish = add_venue(owner), {"user_email": "me@example.com", "booking_data": {"class_id": "c1"}}
    first = add_prebooking(owner, venue, status="cancelled", settled_at=noon(), **wish)
    assert add_prebooking(owner, venue, **wish) != first


def test_python_and_the_database_agree_on_which_outcome_ends_a_row_how(owner: Connection) -> None:
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


def test_every_outcome_that_the_database_knows_is_known_to_python(owner: Connection) -> None:
    words = """select distinct m[1]
      from pg_constraint, regexp_matches(pg_get_constraintdef(oid), '''([a-z_]+)''::text', 'g') m
      where conname = 'outcome_fits_status'"""
    known = {word for (word,) in owner.execute(words).fetchall()}
    assert known - {"completed", "failed"} == COMPLETED | FAILED | ENDED_BY_DATABASE
