"""Alerts: the operator is told what is wrong, at most once in an hour per cause."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support.database import At, Connection, Database
from tests.support.factories import add_prebooking, add_venue, insert_with_id, noon
from tests.support.notifications import ANA, add_channel, claim_rows
from tests.support.questions import ask

pytestmark = pytest.mark.usefixtures("at")

HOUR, DAY = 3600, 86_400
ALERTS: dict[str, Any] = {"events": ["alert"]}
NEVER = {"expires_at": noon(30 * DAY)}  # the class begins long after the test


def add_operator(owner: Connection, **overrides: Any) -> UUID:
    return add_channel(owner, None, **ALERTS | overrides)


def keep_up(service: Connection) -> list[str]:
    """Ask what is due for upkeep, as it does each minute; return what failed."""
    failed: list[str] = ask(service, "upkeep_due_v1", ["webhook", "aimharder"], [])["failed"]
    return failed


def told(owner: Connection) -> list[tuple[str, str, str]]:
    """Return the cause, the hour or the day, and the venue of every alert, in the order in which they were made."""
    query = "select about from public.notifications where event = 'alert' order by created_at, about"
    alerts = []
    for (about,) in owner.execute(query):
        cause, when, *venue = about.split(" ")
        alerts.append((cause, when.removeprefix("2026-11-"), *venue, *[""] * (1 - len(venue))))
    return alerts


def causes(owner: Connection) -> list[str]:
    return [cause for cause, _, _ in told(owner)]


# the causes: each is made at noon, and told by an upkeep at the second that is given


def late(owner: Connection, **overrides: Any) -> UUID:
    return add_prebooking(owner, add_venue(owner), **{"available_at": noon()} | NEVER | overrides)


def later_choice(owner: Connection, *, promoted: bool = False) -> None:
    """Add a choice whose booking opened an hour before noon, after one that is full at noon or opens later."""
    venue, member = add_venue(owner), {"user_email": ANA}
    first = add_prebooking(owner, venue, available_at=noon(DAY), **member, **NEVER)
    add_prebooking(owner, venue, available_at=noon(-HOUR), stands_after=first, **member, **NEVER)
    if promoted:
        owner.execute(
            "update prebookings set status = 'failed', outcome = 'full', settled_at = now() where id = %s", [first]
        )


def run(owner: Connection, *, success: bool | None) -> None:
    closed = None if success is None else noon(8)
    summary = None if success is None else Jsonb({"success": success})
    values = [uuid4(), noon(), closed, summary]
    owner.execute(
        "insert into public.prebooking_runs (instance_id, opened_at, closed_at, summary) values (%s, %s, %s, %s)",
        values,
    )


def troubled(owner: Connection, *, opens: float = 23 * HOUR) -> None:
    add_prebooking(owner, add_venue(owner, troubled_since=noon()), available_at=noon(opens), **NEVER)


def without_login(owner: Connection, warning: str | None = "no_login: log in.", *, opens: float = 23 * HOUR) -> None:
    box = add_venue(owner, provider="aimharder", host="box.aimharder.com", provider_box_id="42")
    add_prebooking(owner, box, available_at=noon(opens), warning=warning, **NEVER)


def dead(owner: Connection, *, status: str = "dead") -> None:
    row = add_prebooking(owner, add_venue(owner), status="completed", outcome="booked", settled_at=noon(-60))
    message = {"prebooking_id": row, "event": "booked", "channel_id": uuid4(), "status": status}
    insert_with_id(
        owner,
        "notifications",
        message | {"due_at": noon(-DAY), "next_at": noon(), "created_at": noon(-DAY), "settled_at": noon()},
    )


def hindered(owner: Connection, problem: str | None = "no_rule: set it.", **overrides: Any) -> None:
    repeat = {"user_email": ANA, "weekday": 1, "starts_at": "18:00", "booking_data": {"class_name": "WOD"}}
    insert_with_id(owner, "repeats", repeat | {"venue_id": add_venue(owner), "problem": problem} | overrides)


CAUSES: dict[str, tuple[str, Callable[[Connection], Any], float]] = {
    "late": ("late", late, 300),
    "a failed run": ("runs", lambda owner: run(owner, success=False), 10),
    "a run that was cut off": ("runs", lambda owner: run(owner, success=None), 61),
    "blocked": ("blocked", troubled, 0),
    "logins": ("logins", without_login, 0),
    "a dead session": ("logins", lambda owner: without_login(owner, "session_expired: log in again."), 0),
    "a login with another key": ("logins", lambda owner: without_login(owner, "other_key: log in again."), 0),
    "a wrong password": ("logins", lambda owner: without_login(owner, "wrong_password: log in again."), 0),
    "dead": ("dead", dead, 0),
    "repeats": ("repeats", hindered, 0),
}
FINE: dict[str, tuple[Callable[[Connection], Any], float]] = {
    "an opening of less than five minutes ago": (late, 299),
    "a prebooking that was added after its opening": (lambda owner: late(owner, created_at=noon(100)), 399),
    "a prebooking that waits": (later_choice, HOUR),
    "a later choice that was promoted just now": (lambda owner: later_choice(owner, promoted=True), 299),
    "a venue that is switched off": (
        lambda owner: (late(owner), owner.execute("update venues set enabled = false")),
        HOUR,
    ),
    "a paused venue": (
        lambda owner: (late(owner), owner.execute("update venues set paused_until = %s", [noon(2 * HOUR)])),
        HOUR,
    ),
    "a venue that was paused until just now": (
        lambda owner: (late(owner), owner.execute("update venues set paused_until = %s", [noon(HOUR)])),
        HOUR + 299,
    ),
    "a settled prebooking": (lambda owner: late(owner, status="failed", outcome="full", settled_at=noon()), HOUR),
    "a good run": (lambda owner: run(owner, success=True), 10),
    "a run that still runs": (lambda owner: run(owner, success=None), 60),
    "a failed run of an hour ago": (lambda owner: run(owner, success=False), HOUR),
    "a troubled venue where nothing opens within a day": (lambda owner: troubled(owner, opens=DAY + 1), 0),
    "a login that is needed later": (lambda owner: without_login(owner, opens=DAY + 1), 0),
    "a login that works": (lambda owner: without_login(owner, None), 0),
    "another warning": (lambda owner: without_login(owner, "bad_data: correct it."), 0),
    "a message that was sent": (lambda owner: dead(owner, status="sent"), 0),
    "a message that was given up an hour ago": (dead, HOUR),
    "a repeat without a problem": (lambda owner: hindered(owner, None), 0),
    "a paused repeat": (lambda owner: hindered(owner, paused_at=noon()), 0),
}


@pytest.mark.parametrize("what", CAUSES)
def test_the_operator_is_told_each_cause_once_whatever_calls(
    owner: Connection, service: Connection, at: At, what: str
) -> None:
    cause, happens, second = CAUSES[what]
    add_operator(owner)
    happens(owner)
    at(second)
    for _ in range(3):
        assert keep_up(service) == []
    assert causes(owner) == [cause]
    [row] = claim_rows(service, uuid4())
    assert (row["event"], row["about"].split(" ")[0], row["prebooking_id"], row["is_operator"]) == (
        "alert",
        cause,
        None,
        True,
    )


@pytest.mark.parametrize("what", FINE)
def test_what_needs_nobody_is_not_told(owner: Connection, service: Connection, at: At, what: str) -> None:
    happens, second = FINE[what]
    add_operator(owner)
    happens(owner)
    at(second)
    assert keep_up(service) == []
    assert causes(owner) == []


def test_a_cause_that_lasts_is_told_again_after_exactly_an_hour(owner: Connection, service: Connection, at: At) -> None:
    """Also across the full hour, and not twice within one."""
    add_operator(owner)
    troubled(owner, opens=0)
    for minute in range(50, 50 + 3 * 60):
        at(60 * minute)
        keep_up(service)
    times = owner.execute("select created_at from public.notifications where about ~ '^blocked' order by 1").fetchall()
    assert [at for (at,) in times] == [noon(60 * minute) for minute in (50, 110, 170)]


def test_a_repeat_that_is_hindered_is_told_once_a_day(owner: Connection, service: Connection, at: At) -> None:
    add_operator(owner)
    hindered(owner)
    for hour in range(0, 49, 6):
        at(HOUR * hour)
        keep_up(service)
    assert told(owner) == [("repeats", day, "") for day in ("23", "24", "25")]


def test_each_venue_and_each_channel_is_told_for_itself(owner: Connection, service: Connection) -> None:
    channels = {add_operator(owner), add_operator(owner, kind="webhook"), add_operator(owner, kind="mail")}
    for _ in range(2):
        troubled(owner)
    keep_up(service)
    rows = owner.execute("select channel_id, split_part(about, ' ', 3) from public.notifications").fetchall()
    venues = {str(venue) for (venue,) in owner.execute("select id from public.venues")}
    assert {(channel, venue) for channel, venue in rows} == {
        (channel, venue) for channel in channels for venue in venues
    }
    assert len(rows) == 6


def test_only_the_operators_channels_that_want_alerts_are_told(owner: Connection, service: Connection) -> None:
    add_channel(owner, None, kind="webhook")
    add_channel(owner)
    troubled(owner)
    keep_up(service)
    assert causes(owner) == []


def test_an_alert_names_its_venue_and_its_language(owner: Connection, service: Connection) -> None:
    add_operator(owner, language="es")
    troubled(owner)
    keep_up(service)
    [row] = claim_rows(service, uuid4())
    [(name,)] = owner.execute("select name from public.venues").fetchall()
    assert (row["venue"], row["language"], row["user_email"]) == (name, "es", None)


def test_an_alert_waits_for_the_end_of_the_operators_quiet_hours(
    owner: Connection, service: Connection, at: At
) -> None:
    """Noon in UTC is 13:00 at the venue."""
    add_operator(owner, quiet_from="12:30", quiet_until="14:00")
    troubled(owner)
    keep_up(service)
    assert claim_rows(service, uuid4()) == []
    at(HOUR)
    assert len(claim_rows(service, uuid4())) == 1


def test_an_alert_that_was_given_up_causes_no_alert(owner: Connection, service: Connection, at: At) -> None:
    add_operator(owner)
    troubled(owner)
    keep_up(service)
    owner.execute("update public.notifications set status = 'dead', settled_at = %s", [noon(10)])
    owner.execute("update public.venues set troubled_since = null")
    at(20)
    keep_up(service)
    assert causes(owner) == ["blocked"]


def test_two_upkeeps_at_once_tell_once_and_wait_for_nothing(
    owner: Connection, service: Connection, database: Database
) -> None:
    keep_up(service)
    add_operator(owner)
    troubled(owner)
    other = database.connect()
    with other.transaction():
        ask(other, "upkeep_due_v1", ["webhook"], [])
        assert keep_up(service) == []
        assert causes(owner) == []
    assert keep_up(service) == []
    assert causes(owner) == ["blocked"]


def test_a_failure_of_the_alerts_stops_nothing_else(owner: Connection, service: Connection) -> None:
    owner.execute("alter function public.prebooking_raise_alerts rename to gone")
    assert keep_up(service) == ["alerts"]


_OLD_ROWS = """
insert into public.prebookings
  (venue_id, user_email, booking_data, available_at, expires_at, status, outcome, settled_at, created_at)
select %(venue)s, n || '@example.com', '{}', t, t + interval '1 day', 'completed', 'booked', t, t
from generate_series(1, 50000) n, lateral (select %(at)s - n * interval '3 minutes' as t) ended;
insert into public.notifications
  (prebooking_id, event, channel_id, due_at, next_at, created_at, status, settled_at)
select id, 'booked', gen_random_uuid(), settled_at, settled_at, settled_at, 'sent', settled_at from public.prebookings;
insert into public.prebooking_runs (instance_id, opened_at, closed_at)
select gen_random_uuid(), settled_at, settled_at from public.prebookings
"""


@pytest.mark.parametrize("analyzed", [True, False], ids=["with statistics", "without statistics"])
def test_alerts_read_no_settled_row(owner: Connection, service: Connection, *, analyzed: bool) -> None:
    """So they cost the same with a million settled rows, messages and runs."""
    add_operator(owner)
    psycopg.ClientCursor(owner).execute(
        _OLD_ROWS.encode(), {"venue": add_venue(owner, troubled_since=noon()), "at": noon(-2 * HOUR)}
    )
    for happens in (late, dead, hindered, without_login):
        happens(owner)
    if analyzed:
        owner.execute("analyze")
    with service.transaction():
        service.execute("set local max_parallel_workers_per_gather = 0")
        assert ask(service, "prebooking_raise_alerts", noon(300)) == 4
        assert ask(service, "prebooking_raise_alerts", noon(300)) == 0
        [(read,)] = service.execute(
            "select jsonb_object_agg(relname, seq_tup_read + coalesce(idx_tup_fetch, 0)) from pg_stat_xact_user_tables"
        ).fetchall()
    assert {table: rows for table, rows in read.items() if rows > 100} == {}
