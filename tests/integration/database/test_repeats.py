"""Repeats make the prebookings of their next two classes, once per day, and none stops another one."""

from __future__ import annotations

import re
from datetime import date, datetime, time
from typing import Any
from uuid import uuid4

import pytest

from tests.support.calls import cancel, claim
from tests.support.database import At, Connection, set_clock
from tests.support.factories import add_prebooking, add_venue, noon
from tests.support.questions import ask
from tests.support.repeats import (
    ANA,
    NOTHING,
    add_gym,
    add_repeat,
    begins,
    local,
    look_again,
    make,
    rows,
)

pytestmark = pytest.mark.usefixtures("at")  # noon is on Monday 23 November 2026

FIRST, SECOND, THIRD = "Tue 2026-12-01 18:00", "Tue 2026-12-08 18:00", "Tue 2026-12-15 18:00"
DAY = 86_400


def problem(owner: Connection) -> str | None:
    [(found,)] = owner.execute("select problem from public.repeats").fetchall()
    return found  # type: ignore[no-any-return]


def test_a_repeat_makes_the_two_next_classes_whose_booking_is_not_open(owner: Connection, service: Connection) -> None:
    """Booking of the class on 24 November is open already."""
    answer = add_repeat(service, add_gym(owner))
    assert answer["verdict"] == "added"
    assert [local(datetime.fromisoformat(row["expires_at"])) for row in answer["made"]] == [FIRST, SECOND]
    assert rows(owner) == [("Fri 2026-11-27 18:00", FIRST), ("Fri 2026-12-04 18:00", SECOND)]
    data = owner.execute("select booking_data, repeat_day from public.prebookings order by repeat_day").fetchall()
    first, second = "2026-12-01", "2026-12-08"
    assert data == [
        ({"class_id": f"wod {day} 18:00", "day": day, "starts_at": "18:00"}, date.fromisoformat(day))
        for day in (first, second)
    ]


def test_the_next_class_is_made_after_an_opening_and_nothing_before(
    at: At, owner: Connection, service: Connection
) -> None:
    add_repeat(service, add_gym(owner))
    assert make(service) == NOTHING
    opening = 4 * DAY + 5 * 3600  # Friday at 18:00 in Madrid
    for seconds in (DAY, 2 * DAY, 3 * DAY, 4 * DAY, opening + 59):
        at(seconds)
        assert make(service)["made"] == 0, seconds
    at(opening + 60)
    assert ask(service, "upkeep_repeats_due", noon(opening + 60))
    assert make(service) == NOTHING | {"repeats": 1, "made": 1}
    assert not ask(service, "upkeep_repeats_due", noon(opening + 60))
    assert begins(owner) == [FIRST, SECOND, THIRD]


def test_a_day_is_made_once_however_often_the_repeat_is_looked_at(owner: Connection, service: Connection) -> None:
    add_repeat(service, add_gym(owner))
    for _ in range(3):
        assert look_again(service) == NOTHING | {"repeats": 1}
    assert begins(owner) == [FIRST, SECOND]


def test_a_cancelled_day_is_not_made_again(at: At, owner: Connection, service: Connection) -> None:
    add_repeat(service, add_gym(owner))
    [(first,)] = owner.execute("select id from public.prebookings order by expires_at limit 1").fetchall()
    assert cancel(service, first, ANA) == "cancelled"
    for day in range(1, 4):
        at(day * DAY)
        look_again(service)
    assert begins(owner) == [SECOND]
    assert begins(owner, "cancelled") == [FIRST]


CLOCK_CHANGES = {
    ("Europe/Madrid", "2026-10-18", 7, time(2, 30)): ("2026-10-25 00:30", "2026-11-01 01:30"),
    ("Europe/Madrid", "2026-10-18", 7, time(18)): ("2026-10-25 17:00", "2026-11-01 17:00"),
    ("Europe/Madrid", "2026-03-22", 7, time(2, 30)): ("2026-03-29 01:30", "2026-04-05 00:30"),
    ("Europe/London", "2026-10-18", 7, time(1, 30)): ("2026-10-25 00:30", "2026-11-01 01:30"),
    ("Europe/London", "2026-03-23", 1, time(18)): ("2026-03-30 17:00", "2026-04-06 17:00"),
    ("America/New_York", "2026-10-25", 7, time(1, 30)): ("2026-11-01 05:30", "2026-11-08 06:30"),
    ("America/New_York", "2026-03-01", 7, time(2, 30)): ("2026-03-08 07:30", "2026-03-15 06:30"),
    ("Australia/Sydney", "2026-03-29", 7, time(2, 30)): ("2026-04-04 15:30", "2026-04-11 16:30"),
    ("Australia/Lord_Howe", "2026-09-27", 7, time(2, 15)): ("2026-10-03 15:45", "2026-10-10 15:15"),
    ("UTC", "2026-10-18", 7, time(2, 30)): ("2026-10-25 02:30", "2026-11-01 02:30"),
}


@pytest.mark.parametrize(("repeat", "expected"), CLOCK_CHANGES.items(), ids=str)
def test_weekday_and_hour_are_on_the_venue_s_clock_through_clock_changes(
    owner: Connection, service: Connection, repeat: tuple[str, str, int, time], expected: tuple[str, str]
) -> None:
    zone, now, weekday, starts_at = repeat
    set_clock(owner, datetime.fromisoformat(f"{now} 23:00+00:00"))
    gym = add_gym(owner, timezone=zone, opening_rule="2 days before")
    add_repeat(service, gym, weekday=weekday, starts_at=starts_at)
    assert [starts for _, starts in rows(owner, zone="UTC")] == [
        f"{datetime.fromisoformat(instant):%a %Y-%m-%d %H:%M}" for instant in expected
    ]


@pytest.mark.parametrize("rule", ["1 hour before", "47 hours before", "1 day before", "14 days before at 20:00"])
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_the_next_two_openings_are_found_at_every_hour_of_a_week(
    owner: Connection, service: Connection, rule: str, zone: str
) -> None:
    """They are the first two that are later than now; the ones a week before are not."""
    gym = add_gym(owner, timezone=zone, opening_rule=rule)
    add_repeat(service, gym)
    query = """
        select min(n.opens - t) > interval '0', max(n.opens) <= t + interval '14 days', count(*)
        from generate_series(timestamptz '2026-11-23', '2026-11-30', interval '1 hour') t
          cross join public.repeats r cross join public.venues v
          cross join lateral public.prebooking_next_days(r, v, t) n group by t"""
    assert set(service.execute(query.encode()).fetchall()) == {(True, True, 2)}


# the end of a repeat


def test_a_repeat_from_a_clock_that_was_ahead_is_looked_at(at: At, owner: Connection, service: Connection) -> None:
    """Otherwise nothing would be made until the clock is there again."""
    add_repeat(service, add_gym(owner))
    at(400 * DAY)
    assert make(service)["made"] == 2
    at(8 * DAY)
    assert ask(service, "upkeep_repeats_due", noon(8 * DAY))
    assert make(service, limit=1) == NOTHING | {"repeats": 1, "made": 1}
    assert not ask(service, "upkeep_repeats_due", noon(8 * DAY))


def test_no_class_after_the_last_day_is_made(at: At, owner: Connection, service: Connection) -> None:
    gym = add_gym(owner)
    assert add_repeat(service, gym, last_day=date(2026, 11, 30)) == {"verdict": "over"}
    add_repeat(service, gym, last_day=date(2026, 12, 8))
    for day in range(1, 16):
        at(day * DAY)
        make(service)
    assert begins(owner) == [FIRST, SECOND]


def test_a_repeat_whose_last_prebooking_has_ended_is_over(at: At, owner: Connection, service: Connection) -> None:
    add_repeat(service, add_gym(owner), last_day=date(2026, 12, 1))
    at(5 * DAY)
    make(service)
    [repeat] = ask(service, "list_repeats_v1", ANA.upper())
    assert not repeat["over"]
    assert len(repeat["next"]) == 1
    claim(service, uuid4())
    owner.execute("update public.prebookings set claimed_by = null, claimed_until = null, turn_until = null")
    owner.execute("update public.prebookings set status = 'cancelled', settled_at = now()")
    at(7 * DAY)
    make(service)
    [repeat] = ask(service, "list_repeats_v1", None)
    assert repeat["over"]
    assert not ask(service, "upkeep_repeats_due", noon(99 * DAY))


# what hinders one repeat


def test_a_class_that_is_asked_for_by_hand_is_not_made_and_the_next_one_is(
    at: At, owner: Connection, service: Connection
) -> None:
    gym = add_gym(owner)
    begin = datetime.fromisoformat("2026-12-01 18:00+01:00")
    own = add_prebooking(owner, gym, user_email="Ana@example.com", available_at=noon(DAY), expires_at=begin)
    assert add_repeat(service, gym)["problem"].startswith("asked_for: the class on 2026-12-01 ")
    assert begins(owner) == [FIRST, SECOND]
    assert cancel(service, own, ANA) == "cancelled"
    at(3600)
    assert make(service) == NOTHING | {"repeats": 1, "made": 1}
    assert problem(owner) is None


@pytest.mark.parametrize(("given_back", "made"), [(None, 1), (noon(), 2)])
def test_a_class_that_is_booked_already_is_made_only_if_it_was_given_back(
    owner: Connection, service: Connection, given_back: datetime | None, made: int
) -> None:
    gym = add_gym(owner)
    begin = datetime.fromisoformat("2026-12-01 18:00+01:00")
    ended = {"status": "completed", "outcome": "booked", "settled_at": noon(), "given_back_at": given_back}
    add_prebooking(owner, gym, user_email=ANA, expires_at=begin, **ended)
    assert len(add_repeat(service, gym)["made"]) == made


def test_a_prebooking_of_the_same_class_at_another_hour_is_named(owner: Connection, service: Connection) -> None:
    gym = add_gym(owner)
    data = {"class_id": "wod 2026-12-08 18:00"}
    add_prebooking(owner, gym, user_email=ANA, booking_data=data, available_at=noon(DAY))
    assert "the class on 2026-12-08 is asked for already" in add_repeat(service, gym)["problem"]
    assert FIRST in begins(owner)
    assert SECOND not in begins(owner)


def test_a_sixth_prebooking_at_one_opening_is_named(owner: Connection, service: Connection) -> None:
    gym = add_gym(owner)
    opens = datetime.fromisoformat("2026-11-27 18:00+01:00")
    for _ in range(5):
        add_prebooking(owner, gym, user_email=ANA, available_at=opens)
    assert "five prebookings already that open with the class on 2026-12-01" in add_repeat(service, gym)["problem"]
    assert SECOND in begins(owner)
    assert FIRST not in begins(owner)


@pytest.mark.parametrize(
    "broken",
    [
        {"later": [{"days": 1}]},
        {"later": [{"days": "soon", "starts_at": "07:00"}]},
        {"data": {"class_id": "{day}" * 1000}},
        {"data": {"note": "{day}" * 1000}},
        {"starts_at": time(18), "last_day": date(9999, 1, 1), "later": [{"days": 1, "starts_at": "25:00"}]},
    ],
)
def test_a_repeat_that_cannot_be_made_stops_no_other_one(
    owner: Connection, service: Connection, broken: dict[str, Any]
) -> None:
    members = [f"{letter}@example.com" for letter in "abcdefgh"]
    for member in members:
        answer = add_repeat(service, add_gym(owner), member=member, **broken if member == "e@example.com" else {})
        assert answer["verdict"] == "added"
    at_the_end(owner)
    assert make(service) == NOTHING | {"repeats": 8, "made": 14, "problems": 1}
    found = owner.execute("select user_email, problem from public.repeats where problem is not null").fetchall()
    [(member, why)] = found
    assert member == "e@example.com"
    assert re.fullmatch(r"failed: the database refused its prebookings with the code \w{5}\.", why)
    assert make(service) == NOTHING


def at_the_end(owner: Connection) -> None:
    """Make all repeats due, four weeks later."""
    set_clock(owner, noon(28 * DAY))


def test_a_venue_without_a_rule_is_named_until_it_has_one(at: At, owner: Connection, service: Connection) -> None:
    gym = add_gym(owner)
    add_repeat(service, gym)
    owner.execute("update public.venues set opening_rule = null")
    assert make(service) == NOTHING | {"repeats": 1, "problems": 1}
    assert str(problem(owner)).startswith("no_rule: ")
    assert make(service) == NOTHING
    owner.execute("update public.venues set opening_rule = '2 days before'")
    assert make(service) == NOTHING | {"repeats": 1, "moved": 2, "made": 0}
    assert problem(owner) is None
    assert rows(owner) == [("Sun 2026-11-29 18:00", FIRST), ("Sun 2026-12-06 18:00", SECOND)]
    assert add_repeat(service, add_venue(owner)) == {"verdict": "no_rule"}
    assert add_repeat(service, uuid4()) == {"verdict": "no_venue"}
