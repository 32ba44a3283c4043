"""Absences: what a member's days away cancel, what they leave, and what is asked for again without them."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.support.calls import cancel, prebooking
from tests.support.database import At, Connection, Database, set_clock
from tests.support.factories import add_prebooking, noon
from tests.support.questions import ask
from tests.support.races import result_after_commit
from tests.support.repeats import (
    ANA,
    NOTHING,
    add_absence,
    add_gym,
    add_repeat,
    begins,
    by_start,
    ids,
    look_again,
    make,
)

pytestmark = pytest.mark.usefixtures("at")  # noon is on Monday 23 November 2026

FIRST, SECOND, THIRD = "Tue 2026-12-01 18:00", "Tue 2026-12-08 18:00", "Tue 2026-12-15 18:00"
LATER = [{"days": 0, "starts_at": "19:30"}, {"days": 1, "starts_at": "07:00"}]
DAY = 86_400


@pytest.mark.parametrize("first", ["2026-12-01", "2026-11-20"])
def test_an_absence_cancels_the_prebookings_of_its_days_and_none_is_made(
    at: At, owner: Connection, service: Connection, first: str
) -> None:
    add_repeat(service, add_gym(owner))
    id_ = uuid4()
    answer = add_absence(service, first, "2026-12-08", id=id_)
    assert (answer["verdict"], answer["left"], answer["booked"]) == ("added", [], [])
    assert ids(answer["cancelled"]) == by_start(owner)
    assert add_absence(service, first, "2026-12-08", id=id_) == answer, "a repeated call has the same answer"
    assert owner.execute("select distinct error_message from public.prebookings").fetchall() == [
        ("away: the member is away on this day.",)
    ]
    for day in range(11):
        at(day * DAY)
        make(service)
    assert begins(owner) == [THIRD]
    assert begins(owner, "cancelled") == [FIRST, SECOND]


def test_a_skipped_day_is_not_made_and_its_neighbours_are(at: At, owner: Connection, service: Connection) -> None:
    gym = add_gym(owner)
    assert add_absence(service, "2026-12-08")["verdict"] == "added"
    add_repeat(service, gym)
    for day in range(11):
        at(day * DAY)
        make(service)
    assert begins(owner) == [FIRST, THIRD]


@pytest.mark.parametrize(
    ("first", "last", "verdict"),
    [
        ("2026-11-01", "2026-11-21", "over"),
        ("2026-11-21", "2026-11-22", "over"),
        ("2026-11-21", "2026-11-23", "added"),
        ("2026-12-02", "2026-12-05", "exists"),
        ("2026-12-01", "2026-12-06", "exists"),
        ("2026-12-01", "2026-12-07", "added"),
    ],
)
def test_days_that_are_past_everywhere_or_in_another_absence_are_refused(
    service: Connection, first: str, last: str, verdict: str
) -> None:
    other = add_absence(service, "2026-12-01", "2026-12-06")
    assert add_absence(service, "2026-12-02", "2026-12-03", member="ben@example.com")["verdict"] == "added"
    answer = add_absence(service, first, last, member="Ana@example.com")
    assert answer["verdict"] == verdict
    if verdict == "exists":
        assert (answer["id"], answer["first_day"], answer["last_day"]) == (other["id"], "2026-12-01", "2026-12-06")


def test_an_absence_that_ends_before_it_begins_is_refused(service: Connection) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="absence_ends_after_it_begins"):
        add_absence(service, "2026-12-02", "2026-12-01")


def test_the_days_are_those_of_each_venue_s_clock(owner: Connection, service: Connection) -> None:
    """A class on 1 December at 23:30 in Madrid and one on 2 December at 00:30 there are an hour apart."""
    gym = add_gym(owner)
    before, within = datetime(2026, 12, 1, 22, 30).astimezone(), datetime(2026, 12, 1, 23, 30).astimezone()
    own = [
        add_prebooking(owner, gym, user_email="Ana@Example.com", available_at=noon(60), expires_at=f"{starts:%F %T}+00")
        for starts in (before.replace(tzinfo=None), within.replace(tzinfo=None))
    ]
    answer = add_absence(service, "2026-12-02")
    assert ids(answer["cancelled"]) == own[1:], "also one that the member added"
    assert prebooking(owner, own[0])["status"] == "pending"


def test_booked_and_held_prebookings_are_named_and_left(owner: Connection, service: Connection) -> None:
    gym = add_gym(owner)
    starts = {"expires_at": noon(2 * DAY), "user_email": ANA, "available_at": noon(-60)}
    ended = {"status": "completed", "outcome": "booked", "settled_at": noon()}
    booked = add_prebooking(owner, gym, **starts | ended)
    add_prebooking(owner, gym, **starts | ended | {"given_back_at": noon()})
    add_prebooking(owner, gym, **starts | ended | {"user_email": "ben@example.com"})
    in_doubt = add_prebooking(owner, gym, **starts, maybe_sent=True)
    claim = {"claimed_by": uuid4(), "claimed_until": noon(30), "turn_until": noon(8)}
    held = add_prebooking(owner, gym, **starts, **claim)
    answer = add_absence(service, "2026-11-25")
    assert (ids(answer["booked"]), answer["cancelled"]) == ([booked], [])
    assert set(ids(answer["left"])) == {in_doubt, held}
    assert prebooking(owner, booked)["given_back_at"] is None


def test_a_prebooking_that_was_locked_is_cancelled_by_the_next_upkeep(
    database: Database, owner: Connection, service: Connection
) -> None:
    editor = database.connect()
    add_repeat(service, add_gym(owner))
    (first, _) = by_start(owner)
    with editor.transaction():
        editor.execute("select from public.prebookings where id = %s for update", [first])
        assert ids(add_absence(service, "2026-12-01")["left"]) == [first]
    assert make(service) == NOTHING | {"repeats": 1, "cancelled": 1}
    assert begins(owner) == [SECOND]


def test_a_prebooking_that_is_made_meanwhile_is_cancelled(
    database: Database, owner: Connection, service: Connection
) -> None:
    """The absence waits for the upkeep that makes the day, and sees its prebooking then."""
    making = database.connect("service_role")
    add_repeat(service, add_gym(owner))
    owner.execute("update public.repeats set due_at = public.prebooking_clock(), weekday = 3")
    with making.transaction():
        assert make(making)["made"] == 2
        answer = result_after_commit(lambda: add_absence(service, "2026-12-02"), owner, service, by=making)
    assert len(answer["cancelled"]) == 1
    assert "Wed 2026-12-02 18:00" not in begins(owner)


def test_a_later_choice_on_a_day_away_is_left_out(owner: Connection, service: Connection) -> None:
    add_absence(service, "2026-12-02")
    add_repeat(service, add_gym(owner), later=LATER, last_day=date(2026, 12, 1))
    assert begins(owner) == [FIRST, "Tue 2026-12-01 19:30"]
    stands_after = owner.execute("select stands_after from public.prebookings order by expires_at").fetchall()
    assert stands_after == [(None,), (by_start(owner)[0],)]


def test_a_day_away_has_none_of_its_choices(owner: Connection, service: Connection) -> None:
    add_absence(service, "2026-12-01")
    assert add_repeat(service, add_gym(owner), later=LATER)["problem"] is None
    assert begins(owner) == [SECOND, "Tue 2026-12-08 19:30", "Wed 2026-12-09 07:00"]


def test_without_the_absence_its_days_are_made_again_but_not_those_that_the_member_cancelled(
    owner: Connection, service: Connection
) -> None:
    add_repeat(service, add_gym(owner))
    assert cancel(service, by_start(owner)[1], ANA) == "cancelled"
    absence = add_absence(service, "2026-12-01", "2026-12-14")["id"]
    assert begins(owner) == []
    answer = ask(service, "remove_absence_v1", UUID(absence))
    assert answer["verdict"] == "removed"
    assert len(answer["made"]) == 1
    assert begins(owner) == [FIRST]
    look_again(service)
    assert begins(owner) == [FIRST]
    assert ask(service, "remove_absence_v1", UUID(absence)) == {"verdict": "not_found"}


def test_absences_are_listed_until_they_are_over_and_removed_a_month_later(
    owner: Connection, service: Connection
) -> None:
    add_absence(service, "2026-12-10", "2026-12-12")
    add_absence(service, "2026-11-23")
    add_absence(service, "2026-11-24", member="ben@example.com")
    listed = [(one["first_day"], one["last_day"]) for one in ask(service, "list_absences_v1", "Ana@example.com")]
    assert listed == [("2026-11-23", "2026-11-23"), ("2026-12-10", "2026-12-12")]
    assert len(ask(service, "list_absences_v1", None)) == 3
    for days, listed_then, stored in ((1, 2, 4), (19, 1, 4), (30, 0, 4), (31, 0, 3), (32, 0, 2)):
        set_clock(owner, noon(days * DAY))
        assert len(ask(service, "list_absences_v1", None)) == listed_then, days
        add_absence(service, "2027-03-01")
        assert owner.execute("select count(*) from public.absences").fetchone() == (stored,), days
        owner.execute("delete from public.absences where first_day = '2027-03-01'")
