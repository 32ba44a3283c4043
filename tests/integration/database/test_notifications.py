"""Notifications: what happens to a prebooking is stored with it, leased by upkeep, and settled by its holder."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from prebooking.upkeep.notifications import NO_TIME
from tests.support.calls import claim, complete, fail
from tests.support.database import At, Connection, Database
from tests.support.factories import add_prebooking, add_venue, change, noon
from tests.support.notifications import ANA, KINDS, add_channel, claim_rows, notification, settle, stored
from tests.support.questions import ask

pytestmark = pytest.mark.usefixtures("at")

HOUR, DAY = 3600, 86_400
ONE, OTHER = UUID(int=1), UUID(int=2)
BOOKED: dict[str, Any] = {"status": "completed", "outcome": "booked", "settled_at": noon(-60)}


def pending(owner: Connection, **overrides: Any) -> UUID:
    """Add a due prebooking of Ana in a class that begins in two days."""
    return add_prebooking(owner, add_venue(owner), **{"user_email": ANA, "expires_at": noon(2 * DAY)} | overrides)


def one_due(owner: Connection, kind: str = "ntfy", **channel: Any) -> UUID:
    """Add a channel and a booked prebooking, and return the notification."""
    add_channel(owner, kind=kind, **channel)
    change(owner, pending(owner), "status = 'completed', outcome = 'booked', settled_at = public.prebooking_clock()")
    [(row,)] = owner.execute("select id from public.notifications order by created_at desc limit 1").fetchall()
    return UUID(str(row))


# what is stored


@pytest.mark.parametrize("outcome", ["booked", "already_booked", "reconciled", "waitlisted"])
def test_a_completed_prebooking_is_told(owner: Connection, service: Connection, outcome: str) -> None:
    add_channel(owner)
    row = pending(owner)
    claim(service, ONE)
    assert complete(service, row, ONE, outcome)
    assert complete(service, row, ONE, outcome)
    assert stored(owner) == [("waitlisted" if outcome == "waitlisted" else "booked", "")]


def test_a_failed_prebooking_is_told(owner: Connection, service: Connection) -> None:
    add_channel(owner)
    row = pending(owner)
    claim(service, ONE)
    assert fail(service, row, ONE, "no_credit")
    assert stored(owner) == [("failed", "")]


@pytest.mark.parametrize("maybe_sent", [False, True])
def test_a_prebooking_whose_class_has_begun_is_told(
    owner: Connection, service: Connection, *, maybe_sent: bool
) -> None:
    add_channel(owner)
    pending(owner, available_at=noon(-20), expires_at=noon(-10), maybe_sent=maybe_sent)
    claim(service, ONE)
    assert stored(owner) == [("failed", "")]


def test_a_cancelled_prebooking_is_not_told(owner: Connection, service: Connection) -> None:
    add_channel(owner)
    assert ask(service, "cancel_prebooking_v1", pending(owner), ANA) == "cancelled"
    assert stored(owner) == []


@pytest.mark.parametrize("column", ["warning", "class_warning"])
def test_a_warning_that_a_prebooking_has_from_the_beginning_is_told(owner: Connection, column: str) -> None:
    add_channel(owner)
    pending(owner, **{column: "bad_data: x"})
    assert stored(owner) == [("warned", "bad_data")]


@pytest.mark.parametrize("column", ["warning", "class_warning"])
def test_a_warning_is_told_once_per_code(owner: Connection, column: str) -> None:
    add_channel(owner)
    row = pending(owner)
    for warning in ("'no_login: log in.'", "'no_login: log in now.'", "null", "'no_login: log in.'", "'other_key: x'"):
        change(owner, row, f"{column} = {warning}")
    assert stored(owner) == [("warned", "no_login"), ("warned", "other_key")]


def test_two_warnings_in_one_change_are_both_told(owner: Connection) -> None:
    add_channel(owner)
    change(owner, pending(owner), "warning = 'no_login: x', class_warning = 'class_gone: y'")
    assert stored(owner) == [("warned", "class_gone"), ("warned", "no_login")]


def test_a_place_that_is_given_back_is_told(owner: Connection, service: Connection) -> None:
    add_channel(owner)
    row = pending(owner, available_at=noon(-61), **BOOKED)
    assert [ask(service, "give_back_v1", row, ANA) for _ in range(2)] == ["given_back"] * 2
    assert stored(owner) == [("given_back", "")]


def test_a_promotion_from_a_waiting_list_is_told_once(owner: Connection, service: Connection) -> None:
    add_channel(owner)
    row = pending(owner, available_at=noon(-DAY - 61), **BOOKED | {"outcome": "waitlisted", "settled_at": noon(-DAY)})
    for place in ("waiting", "booked", "booked"):
        owner.execute("delete from public.prebooking_places where place <> 'booked'")
        ask(service, "claim_places_v1", ONE, ["webhook"], 5)
        assert ask(service, "note_place_v1", ONE, row, place, None)
    assert stored(owner) == [("moved_up", "")]


def test_each_channel_that_wants_an_event_is_told_and_no_other_member(owner: Connection) -> None:
    channels = [add_channel(owner), add_channel(owner, kind="mail"), add_channel(owner, None, "webhook")]
    add_channel(owner, kind="telegram", events=["failed"])
    add_channel(owner, "ben@example.com")
    row = pending(owner, user_email="Ana@Example.com")
    change(owner, row, "status = 'completed', outcome = 'booked', settled_at = now()")
    told = owner.execute("select prebooking_id, channel_id from public.notifications").fetchall()
    assert sorted(told, key=str) == sorted([(row, channel) for channel in channels], key=str)


@pytest.mark.parametrize("statement", ["lock table public.notifications", "lock table public.notification_channels"])
def test_a_locked_table_of_notifications_prevents_no_settle(
    owner: Connection, service: Connection, database: Database, statement: str
) -> None:
    add_channel(owner)
    row = pending(owner)
    claim(service, ONE)
    owner.execute("alter function public.prebookings_tell set lock_timeout = '10ms'")
    other = database.connect()
    with other.transaction():
        other.execute(statement.encode())
        assert complete(service, row, ONE)
    assert stored(owner) == []


@pytest.mark.parametrize("statement", ["lock table public.notifications", "lock table public.notification_channels"])
def test_a_locked_table_of_notifications_delays_a_claim_that_ends_many_rows_only_once(
    owner: Connection, service: Connection, database: Database, statement: str
) -> None:
    """A wait of 100 ms per row would exceed the time."""
    add_channel(owner, None, events=["failed", "warned"])
    venue = add_venue(owner)
    for _ in range(100):
        add_prebooking(owner, venue, available_at=noon(-20), expires_at=noon(-10))
    service.execute("set statement_timeout = '4s'")
    other = database.connect()
    with other.transaction():
        other.execute(statement.encode())
        claim(service, ONE)
    assert owner.execute("select count(*) from public.prebookings where status = 'failed'").fetchone() == (100,)
    change(owner, pending(owner), "warning = 'no_login: x'")
    assert stored(owner) == [("warned", "no_login")]


def test_an_error_while_storing_prevents_no_settle(owner: Connection, service: Connection) -> None:
    add_channel(owner)
    row = pending(owner)
    claim(service, ONE)
    owner.execute("alter table public.notifications drop column about")
    assert complete(service, row, ONE)


def test_a_settle_does_not_wait_for_a_channel_that_is_being_removed(
    owner: Connection, service: Connection, editor: Connection
) -> None:
    """The message is then for no channel, so it is deleted by the next claim."""
    add_channel(owner)
    row = pending(owner)
    claim(service, ONE)
    owner.execute("alter function public.complete_prebooking_v1 set lock_timeout = '10ms'")
    with editor.transaction():
        editor.execute("delete from public.notification_channels")
        assert complete(service, row, ONE)
    assert stored(owner) == [("booked", "")]
    assert claim_rows(service, ONE) == []
    assert stored(owner) == []


# quiet hours

NIGHT: dict[str, Any] = {"quiet_from": time(12), "quiet_until": time(15)}


@pytest.mark.parametrize(
    ("at", "first", "last", "until"),
    [
        ("2026-11-23 11:59", "12:00", "15:00", "2026-11-23 11:59"),
        ("2026-11-23 12:00", "12:00", "15:00", "2026-11-23 15:00"),
        ("2026-11-23 15:00", "12:00", "15:00", "2026-11-23 15:00"),
        ("2026-11-23 23:30", "22:00", "07:00", "2026-11-24 07:00"),
        ("2026-11-23 03:00", "22:00", "07:00", "2026-11-23 07:00"),
        ("2026-11-23 12:00", "22:00", "07:00", "2026-11-23 12:00"),
        ("2026-11-23 22:30", "22:00", "24:00", "2026-11-24 00:00"),
        ("2026-03-29 01:30", "22:00", "02:30", "2026-03-29 03:30"),
        ("2026-10-24 23:00", "22:00", "07:00", "2026-10-25 07:00"),
    ],
)
def test_quiet_hours_end_on_the_venue_s_clock(service: Connection, at: str, first: str, last: str, until: str) -> None:
    query = (
        "select public.prebooking_quiet_until(%s::timestamp at time zone z, %s::time, %s::time, z) at time zone z"
        " from (values ('Europe/Madrid')) as _(z)"
    )
    assert service.execute(query, [at, first, last]).fetchall() == [(datetime.fromisoformat(until),)]


@pytest.mark.parametrize(
    ("what", "opens", "waits"),
    [
        ("status = 'completed', outcome = 'booked', settled_at = public.prebooking_clock()", -1, True),
        ("status = 'failed', outcome = 'full', settled_at = public.prebooking_clock()", -1, False),
        ("warning = 'no_login: x'", 12 * HOUR + 1, True),
        ("warning = 'no_login: x'", 12 * HOUR - 1, False),
    ],
)
def test_quiet_hours_put_messages_off_except_urgent_ones(
    owner: Connection, what: str, opens: int, *, waits: bool
) -> None:
    """It is one o'clock in Madrid."""
    add_channel(owner, **NIGHT)
    change(owner, pending(owner, available_at=noon(opens)), what)
    due = owner.execute("select due_at, next_at from public.notifications").fetchall()
    assert due == [(noon(2 * HOUR if waits else 0),) * 2]


# the claim


def test_a_message_is_leased_with_its_facts(owner: Connection, service: Connection) -> None:
    channel = add_channel(owner, language="es")
    venue = add_venue(owner, name="Box Centro")
    data = {"class_id": "4711", "class_name": "WOD"}
    row = add_prebooking(owner, venue, user_email=ANA, booking_data=data, available_at=noon(-1), expires_at=noon(DAY))
    claim(service, ONE)
    complete(service, row, ONE, fired_at=noon(0))
    [told] = claim_rows(service, ONE)
    assert told.pop("id")
    assert {name: value for name, value in told.items() if value not in (None, "")} == {
        "event": "booked",
        "created_at": "2026-11-23T12:00:00+00:00",
        "attempts": 1,
        "unsure": False,
        "channel_id": str(channel),
        "kind": "ntfy",
        "address": "a_topic",
        "language": "es",
        "is_operator": False,
        "prebooking_id": str(row),
        "user_email": ANA,
        "venue": "Box Centro",
        "timezone": "Europe/Madrid",
        "class_name": "WOD",
        "available_at": "2026-11-23T11:59:59+00:00",
        "expires_at": "2026-11-24T12:00:00+00:00",
        "outcome": "booked",
        "lateness_ms": 1000,
        "promoted": False,
    }


@pytest.mark.parametrize("column", ["warning", "class_warning"])
def test_the_facts_contain_a_warning_as_long_as_it_exists(owner: Connection, service: Connection, column: str) -> None:
    add_channel(owner)
    row = pending(owner, available_at=noon(60))
    change(owner, row, f"{column} = 'no_login: log in.'")
    assert [told["warning"] for told in claim_rows(service, ONE)] == ["no_login: log in."]
    change(owner, row, f"{column} = null")
    assert [(told["about"], told["warning"]) for told in claim_rows(service, ONE)] == [("no_login", None)]


def test_an_alert_is_about_no_prebooking(owner: Connection, service: Connection) -> None:
    channel = add_channel(owner, None, events=["alert"])
    owner.execute(
        "insert into public.notifications (event, about, channel_id, due_at, next_at)"
        " values ('alert', 'blocked 2026-11-23T12', %s, %s, %s)",
        [channel, noon(), noon()],
    )
    [told] = claim_rows(service, ONE)
    assert (told["event"], told["about"], told["is_operator"], told["venue"]) == (
        "alert",
        "blocked 2026-11-23T12",
        True,
        None,
    )


def test_a_leased_message_is_not_leased_again_before_a_minute(owner: Connection, service: Connection, at: At) -> None:
    row = one_due(owner)
    assert ask(service, "upkeep_notifications_due", noon())
    assert [UUID(told["id"]) for told in claim_rows(service, ONE)] == [row]
    assert not ask(service, "upkeep_notifications_due", noon(59.9))
    at(59.9)
    assert claim_rows(service, OTHER) == []
    at(60)
    [told] = claim_rows(service, OTHER)
    assert (told["id"], told["unsure"], told["attempts"]) == (str(row), True, 2)


def test_a_repeated_claim_returns_the_same_rows(owner: Connection, service: Connection) -> None:
    one_due(owner)
    assert claim_rows(service, ONE) == claim_rows(service, ONE) != []
    assert claim_rows(service, ONE, limit=0) != []


def test_a_kind_that_is_not_set_up_is_not_leased_and_dead_after_a_day(
    owner: Connection, service: Connection, at: At
) -> None:
    row = one_due(owner, "mail")
    for seconds in (0, DAY - 1):
        at(seconds)
        assert claim_rows(service, ONE, kinds=["ntfy"]) == []
        assert notification(owner, row)["status"] == "waiting"
    at(DAY)
    assert claim_rows(service, ONE, kinds=["ntfy"]) == []
    told = notification(owner, row)
    assert (told["status"], told["failure"], told["attempts"]) == ("dead", "not_set_up", 0)


def test_a_message_that_no_upkeep_could_send_for_days_is_tried_once(
    owner: Connection, service: Connection, at: At
) -> None:
    row = one_due(owner)
    at(3 * DAY)
    assert [told["id"] for told in claim_rows(service, ONE)] == [str(row)]
    assert settle(service, str(row), ONE, "not_sent")
    assert notification(owner, row)["status"] == "dead"


def test_one_channel_has_five_leased_rows_and_the_kinds_take_turns(owner: Connection, service: Connection) -> None:
    add_channel(owner, "many@example.com", "mail")
    members = ["many@example.com"] * 9 + [f"{number}@example.com" for number in range(9)]
    for member in members[9:]:
        add_channel(owner, member, "mail", address=member)
    for member in members:
        change(owner, pending(owner, user_email=member), "status = 'failed', outcome = 'full', settled_at = now()")
    one_due(owner)
    first = claim_rows(service, ONE, limit=5)
    kinds = [told["kind"] for told in first]
    assert (kinds.count("ntfy"), kinds.count("mail")) == (1, 4)
    leased = [told["user_email"] for told in [*first, *claim_rows(service, OTHER, limit=50)]]
    assert {member: leased.count(member) for member in members} == {"many@example.com": 5} | dict.fromkeys(
        members[9:], 1
    )
    assert claim_rows(service, UUID(int=3)) == []
    [row] = [told["id"] for told in first if told["user_email"] == "many@example.com"][:1]
    settle(service, row, ONE, "sent")
    assert [told["user_email"] for told in claim_rows(service, UUID(int=3))] == ["many@example.com"]


def test_a_row_that_another_session_has_locked_stops_no_other(
    owner: Connection, service: Connection, editor: Connection
) -> None:
    one_due(owner)
    locked = one_due(owner, "mail")
    rows = {str(row) for (row,) in owner.execute("select id from public.notifications").fetchall()}
    with editor.transaction():
        editor.execute("select from public.notifications where id = %s for update", [locked])
        assert {told["id"] for told in claim_rows(service, ONE)} == rows - {str(locked)}


def test_while_another_upkeep_claims_there_is_nothing(
    owner: Connection, service: Connection, editor: Connection
) -> None:
    one_due(owner)
    with editor.transaction():
        editor.execute("set local role service_role")
        assert len(claim_rows(editor, ONE)) == 1
        assert claim_rows(service, OTHER) == []


@pytest.mark.parametrize("end", ["sent", "dead"])
def test_what_ended_thirty_days_ago_is_deleted(owner: Connection, service: Connection, at: At, end: str) -> None:
    row = one_due(owner)
    claim_rows(service, ONE)
    settle(service, str(row), ONE, {"sent": "sent", "dead": "gone"}[end])
    assert notification(owner, row)["status"] == end
    at(30 * DAY)
    assert not ask(service, "upkeep_notifications_due", noon(30 * DAY))
    claim_rows(service, ONE)
    assert len(stored(owner)) == 1
    at(30 * DAY + 1)
    assert ask(service, "upkeep_notifications_due", noon(30 * DAY + 1))
    claim_rows(service, ONE)
    assert stored(owner) == []


# the result


def test_a_sent_message_is_over_and_its_channel_healthy(owner: Connection, service: Connection) -> None:
    row = one_due(owner, failed_at=noon(-60), failure="not_sent")
    claim_rows(service, ONE)
    assert [settle(service, str(row), ONE, "sent") for _ in range(2)] == [True, True]
    assert notification(owner, row)["status"] == "sent"
    assert owner.execute("select failed_at, failure from public.notification_channels").fetchall() == [(None, None)]


@pytest.mark.parametrize("failed", [{}, {"failed_at": noon(-60), "failure": "http_500"}])
def test_an_upkeep_that_had_no_time_to_try_changes_nothing_about_the_channel(
    owner: Connection, service: Connection, failed: dict[str, Any]
) -> None:
    row = one_due(owner, **failed)
    claim_rows(service, ONE)
    assert ask(service, "settle_notification_v1", row, ONE, "not_sent", NO_TIME)
    assert notification(owner, row)["status"] == "waiting"
    state = owner.execute("select failed_at, failure from public.notification_channels").fetchone()
    assert state == (failed.get("failed_at"), failed.get("failure"))


@pytest.mark.parametrize("result", ["not_sent", "unsure"])
def test_a_message_that_was_not_taken_is_sent_again_after_growing_pauses_for_a_day(
    owner: Connection, service: Connection, at: At, result: str
) -> None:
    row, now, pauses = one_due(owner), 0.0, list[float]()
    while notification(owner, row)["status"] == "waiting":
        at(now)
        [told] = claim_rows(service, ONE)
        assert told["unsure"] == (result == "unsure" and bool(pauses))
        assert settle(service, str(row), ONE, result, "our_code")
        pauses.append((notification(owner, row)["next_at"] - noon(now)).total_seconds())
        now += pauses[-1]
    assert pauses[:8] == [10, 30, 60, 300, 900, 1800, 3600, 3600]
    assert set(pauses[7:]) == {3600}
    assert DAY <= now - pauses[-1] < DAY + HOUR
    assert (notification(owner, row)["status"], notification(owner, row)["failure"]) == ("dead", "our_code")
    [(failed_at, failure)] = owner.execute("select failed_at, failure from public.notification_channels").fetchall()
    assert (failed_at, failure) == (noon(now - pauses[-1]), "our_code")


def test_a_message_to_a_receiver_that_is_gone_is_dead_at_once(owner: Connection, service: Connection) -> None:
    row = one_due(owner)
    claim_rows(service, ONE)
    assert settle(service, str(row), ONE, "gone")
    assert (notification(owner, row)["status"], notification(owner, row)["failure"]) == ("dead", "gone")
    assert owner.execute("select failure from public.notification_channels").fetchall() == [("gone",)]


@pytest.mark.parametrize("ends", ["unsure", "killed"])
def test_telegram_gets_a_message_twice_at_most(owner: Connection, service: Connection, at: At, ends: str) -> None:
    row = one_due(owner, "telegram")
    for attempt in range(2):
        at(attempt * 60)
        [told] = claim_rows(service, ONE)
        assert told["unsure"] == (attempt == 1)
        if ends == "unsure":
            assert settle(service, str(row), ONE, "unsure")
    at(120)
    assert claim_rows(service, ONE) == []
    assert (notification(owner, row)["status"], notification(owner, row)["attempts"]) == ("sent", 2)


def test_telegram_gets_a_message_again_that_it_has_certainly_not_taken(
    owner: Connection, service: Connection, at: At
) -> None:
    row = one_due(owner, "telegram")
    for attempt, result in enumerate(["unsure", "not_sent", "not_sent", "sent"]):
        at(attempt * 600)
        [told] = claim_rows(service, ONE)
        assert told["unsure"] == (attempt > 0)
        assert settle(service, str(row), ONE, result)
    assert notification(owner, row)["status"] == "sent"


def test_a_result_of_another_upkeep_is_refused(owner: Connection, service: Connection, at: At) -> None:
    row = one_due(owner)
    claim_rows(service, ONE)
    assert not settle(service, str(row), OTHER, "sent")
    at(60)
    claim_rows(service, OTHER)
    assert not settle(service, str(row), ONE, "gone")
    assert settle(service, str(row), OTHER, "sent")
    assert not settle(service, str(row), ONE, "not_sent")
    assert notification(owner, row)["status"] == "sent"


def test_a_late_result_counts_if_no_other_upkeep_has_leased_the_message(
    owner: Connection, service: Connection, at: At
) -> None:
    row = one_due(owner)
    claim_rows(service, ONE)
    at(3600)
    assert settle(service, str(row), ONE, "sent")
    assert claim_rows(service, OTHER) == []


def test_a_message_whose_last_attempt_was_killed_is_dead_after_a_day(
    owner: Connection, service: Connection, at: At
) -> None:
    row = one_due(owner)
    at(DAY - 1)
    claim_rows(service, ONE)
    at(DAY + 60)
    assert claim_rows(service, OTHER) == []
    assert (notification(owner, row)["status"], notification(owner, row)["failure"]) == ("dead", "no_answer")
    assert not settle(service, str(row), ONE, "sent")


@pytest.mark.parametrize("result", [None, "", "booked"])
def test_an_unknown_result_is_refused(owner: Connection, service: Connection, result: Any) -> None:
    row = one_due(owner)
    claim_rows(service, ONE)
    with pytest.raises(psycopg.Error) as refused:
        settle(service, str(row), ONE, result)
    assert refused.value.sqlstate == "22023"


def test_a_channel_that_is_locked_does_not_delay_a_result(
    owner: Connection, service: Connection, editor: Connection
) -> None:
    row = one_due(owner)
    claim_rows(service, ONE)
    with editor.transaction():
        editor.execute("select from public.notification_channels for update")
        assert settle(service, str(row), ONE, "not_sent")


# the tables


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        ("webhook", "https://evil.example"),
        ("mail", "nobody"),
        ("mail", "a@b@c"),
        ("mail", "a@b c"),
        ("mail", "a@b\r\nBcc: x@y.example"),
        ("ntfy", ""),
        ("ntfy", "../admin"),
        ("ntfy", "topic?x=1"),
        ("telegram", "https://evil.example"),
        ("telegram", "12 13"),
        ("sms", "4711"),
    ],
)
def test_an_address_that_does_not_fit_its_kind_is_refused(owner: Connection, kind: str, address: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        add_channel(owner, kind=kind, address=address)


@pytest.mark.parametrize(
    "channel",
    [
        {"events": []},
        {"events": ["party"]},
        {"events": ["booked", None]},
        {"events": ["alert"]},
        {"language": "de"},
        {"quiet_from": time(22)},
        {"quiet_from": time(22), "quiet_until": time(22)},
        {"failed_at": noon()},
        {"user_email": "Ana@example.com"},
    ],
)
def test_a_channel_that_makes_no_sense_is_refused(owner: Connection, channel: dict[str, Any]) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        add_channel(owner, **channel)


@pytest.mark.parametrize("member", [ANA, None])
def test_a_channel_exists_once(owner: Connection, member: str | None) -> None:
    add_channel(owner, member)
    with pytest.raises(psycopg.errors.UniqueViolation):
        add_channel(owner, member)


def test_a_forgotten_member_has_no_channel_and_no_message(owner: Connection, service: Connection) -> None:
    add_channel(owner, None, "webhook")
    add_channel(owner, "ben@example.com")
    one_due(owner, "mail")
    change(
        owner, pending(owner, user_email="ben@example.com"), "status = 'failed', outcome = 'full', settled_at = now()"
    )
    assert len(stored(owner)) == 4
    assert ask(service, "forget_member_v1", ANA.upper())["channels"] == 1
    assert len(stored(owner)) == 2
    left = owner.execute("select user_email from public.notification_channels order by 1").fetchall()
    assert left == [("ben@example.com",), (None,)]


def test_the_messages_of_a_deleted_prebooking_are_deleted(owner: Connection) -> None:
    one_due(owner)
    owner.execute("delete from public.prebookings")
    assert stored(owner) == []


def test_a_claim_ends_at_most_five_hundred_rows_of_each_kind(owner: Connection, service: Connection) -> None:
    channel = add_channel(owner)
    owner.execute(
        "insert into public.notifications (prebooking_id, event, about, channel_id, due_at, next_at, created_at)"
        " select %s, 'warned', n, %s, %s, %s, %s from generate_series(1, 600) n",
        [pending(owner), channel, *[noon() - timedelta(days=2)] * 3],
    )
    ask(service, "prebooking_end_notifications", noon(), KINDS[:1])
    assert owner.execute("select count(*) from public.notifications where status = 'dead'").fetchone() == (500,)


def test_no_claim_is_needed_where_nobody_is_told(owner: Connection, service: Connection) -> None:
    row = pending(owner)
    claim(service, ONE)
    complete(service, row, ONE)
    assert not ask(service, "upkeep_notifications_due", noon(DAY))
    assert claim_rows(service, uuid4()) == []
