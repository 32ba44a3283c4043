"""The class look-up on a virtual clock: what is read from the venue, what is found, and what the member is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest

from prebooking.local.venue.aimharder import BOOKINGS
from prebooking.local.venue.twin import DROP, CallPlan
from prebooking.local.venue.verdicts import VERDICTS
from prebooking.upkeep import matching
from tests.support.boxes import HOST, Gym, side_by_side
from tests.support.database import Database
from tests.support.doubles import EPOCH
from tests.support.world import World

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
ROW_DAY = date(EPOCH.year, EPOCH.month, EPOCH.day) + timedelta(days=7)


def offer(gym: Gym, class_id: str = "7001", *, name: str = "WOD", time: str = "18:00", day: date = ROW_DAY) -> None:
    """Offer a class of the gym on a day, or change it."""
    gym.twin.open_class(class_id, opens_at=EPOCH, capacity=9, name=name, time=time, day=f"{day:%Y%m%d}", box=gym.host)


def ask(gym: Gym, opens: timedelta, member: str = "ana", *, on: date = ROW_DAY, **data: Any) -> UUID:
    """Add a prebooking of the class WOD at 18:00 that opens in this time; return its id."""
    meant = {"day": f"{on:%Y%m%d}", "starts_at": "18:00", "class_name": "WOD"} | data
    return gym.prebook_data(f"{member}@example.com", meant, EPOCH + opens)


def found(gym: Gym, row: UUID) -> tuple[str | None, str | None, bool]:
    """Return a row's class, its warning, and whether its class is unknown."""
    values = gym.world.row(row)
    return values["booking_data"].get("class_id"), values["class_warning"], values["class_unknown"]


def reads(gym: Gym) -> list[datetime]:
    """Return when the timetable was requested."""
    return [arrival.at for arrival in gym.twin.ledger.arrivals("GET", path=BOOKINGS)]


async def each_minute(gym: Gym, until: datetime, *, every: int = 1) -> None:
    """Call upkeep every minute, or every few minutes, until then."""
    while gym.twin.now() < until:
        await gym.keep_up()
        await asyncio.sleep(every * 60)


# what is found


def test_the_only_class_of_the_name_and_hour_is_found(gym: Gym) -> None:
    offer(gym)
    offer(gym, "7002", name="Yoga")
    row = ask(gym, 24 * HOUR)
    assert found(gym, row) == (None, None, True)
    kept = gym.world.run(gym.keep_up())
    assert kept.parts == {"classes": {"read": 1, "unread": 0, "changed": 1}}
    assert found(gym, row) == ("7001", None, False)


def test_a_row_whose_class_was_found_is_booked_at_its_opening(gym: Gym) -> None:
    gym.member("ana")
    offer(gym)
    row = ask(gym, 2 * MINUTE)

    async def scenario() -> None:
        await gym.keep_up()
        await asyncio.sleep(120)
        await gym.invoke()

    gym.world.run(scenario())
    assert gym.end(row) == ("completed", "booked")


@pytest.mark.parametrize(
    "starts_at", ["18:00", "2030-01-14T18:00", "2030-01-14T17:00:00+00:00", "2030-01-14T18:00:00+01:00"]
)
def test_the_hour_is_read_as_a_local_time_or_as_an_instant(gym: Gym, starts_at: str) -> None:
    """The venue is in Madrid, an hour ahead of UTC in winter."""
    offer(gym)
    row = ask(gym, 24 * HOUR, starts_at=starts_at)
    gym.world.run(gym.keep_up())
    assert found(gym, row)[0] == "7001"


def change(**how: Any) -> Callable[[Gym], None]:
    return lambda gym: offer(gym, "7001", **how)


CHANGES: dict[str, tuple[Callable[[Gym], Any], str | None]] = {
    "moved": (change(time="18:30"), matching.MOVED.format(hour="18:30")),
    "renamed": (change(name="Yoga"), matching.RENAMED),
    "gone": (change(time="07:00"), matching.GONE),
    "not published": (lambda gym: gym.twin.classes.clear(), matching.NOT_PUBLISHED),
    "the same": (lambda _: None, None),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_a_warning_hours_before_the_opening_and_never_a_guess(gym: Gym, what: str) -> None:
    offer(gym)
    row = ask(gym, 8 * HOUR, class_id="7001")
    changes, warning = CHANGES[what]

    async def scenario() -> None:
        await gym.keep_up()
        assert found(gym, row) == ("7001", None, False)
        changes(gym)
        await asyncio.sleep(6 * 3600)
        await gym.keep_up()

    gym.world.run(scenario())
    assert found(gym, row) == ("7001", warning, False)


def test_a_warning_is_removed_when_the_class_is_back(gym: Gym) -> None:
    offer(gym, time="18:30")
    row = ask(gym, 8 * HOUR, class_id="7001")

    async def scenario() -> None:
        await gym.keep_up()
        assert (found(gym, row)[1] or "").startswith("class_moved: ")
        offer(gym)
        await asyncio.sleep(6 * 3600)
        await gym.keep_up()

    gym.world.run(scenario())
    assert found(gym, row) == ("7001", None, False)


def test_a_class_with_a_new_number_is_followed(gym: Gym) -> None:
    offer(gym, "7009")
    row = ask(gym, 8 * HOUR, class_id="7001")
    gym.world.run(gym.keep_up())
    assert found(gym, row) == ("7009", None, False)


def test_the_same_class_twice_is_a_warning(gym: Gym) -> None:
    offer(gym)
    first, second = ask(gym, 8 * HOUR, class_id="7001"), ask(gym, 8 * HOUR)
    gym.world.run(gym.keep_up())
    assert found(gym, first) == ("7001", None, False)
    class_id, warning, unknown = found(gym, second)
    assert (class_id, unknown, (warning or "").partition(":")[0]) == (None, True, "class_twice")


# what is left alone


def test_a_row_that_is_held_in_doubt_or_opens_within_a_minute_is_left(gym: Gym) -> None:
    offer(gym, "7009")
    rows = [ask(gym, 8 * HOUR, name, class_id="7001") for name in ("ana", "ben", "cleo")]
    rows.append(ask(gym, timedelta(seconds=59), "dan", class_id="7001"))
    rows.append(ask(gym, -HOUR, "eve", class_id="7001"))
    until = EPOCH + HOUR
    gym.connection.execute(
        "update public.prebookings set claimed_by = %s, claimed_until = %s, turn_until = %s where id = %s",
        [uuid4(), until, until, rows[0]],
    )
    gym.connection.execute("update public.prebookings set maybe_sent = true where id = %s", [rows[1]])
    gym.world.run(gym.keep_up())
    assert [found(gym, row)[0] for row in rows] == ["7001", "7001", "7009", "7001", "7001"]


def test_a_row_that_is_claimed_while_its_day_is_read_is_left(gym: Gym) -> None:
    offer(gym, "7009")
    row = ask(gym, 8 * HOUR, class_id="7001")

    def claim_it(function: str) -> str:
        if function == "settle_class_day_v1":
            gym.connection.execute("update public.prebookings set maybe_sent = true where id = %s", [row])
        return ""

    gym.world.to_database.loses = claim_it
    assert gym.world.run(gym.keep_up()).parts["classes"] == {"read": 1, "unread": 0, "changed": 0}
    assert found(gym, row) == ("7001", None, False)


def test_a_class_is_found_after_the_opening_too(gym: Gym) -> None:
    row = ask(gym, HOUR, starts_at="18:00")

    async def scenario() -> None:
        await each_minute(gym, EPOCH + 2 * HOUR)
        offer(gym)
        await each_minute(gym, EPOCH + 9 * HOUR, every=5)

    gym.world.run(scenario())
    assert found(gym, row) == ("7001", None, False)


def test_rows_without_a_readable_day_or_hour_are_not_looked_up(gym: Gym) -> None:
    offer(gym)
    unreadable: list[dict[str, Any]] = [
        {"day": "soon"},
        {"starts_at": "25:00"},
        {"starts_at": None},
        {"starts_at": "2030-02-30T18:00Z"},
    ]
    for number, data in enumerate(unreadable):
        row = ask(gym, 8 * HOUR, f"member{number}", **data)
        assert gym.world.row(row)["warning"].startswith("bad_data: class_id")
        assert found(gym, row) == (None, None, False)
    assert gym.world.run(gym.keep_up()).parts == {}
    assert reads(gym) == []


def test_a_disabled_or_paused_venue_is_not_read(gym: Gym) -> None:
    offer(gym)
    ask(gym, 8 * HOUR)
    gym.connection.execute("update public.venues set enabled = false")
    assert gym.world.run(gym.keep_up()).parts == {}
    gym.connection.execute("update public.venues set enabled = true, paused_until = %s", [EPOCH + HOUR])
    assert gym.world.run(gym.keep_up()).parts == {}
    assert reads(gym) == []


# requests


def test_a_day_before_an_opening_takes_one_request_in_six_hours_and_one_in_the_last_hour_before_an_opening(
    gym: Gym,
) -> None:
    """Twenty members want three classes of one day: their classes open at two instants of the third day."""
    offer(gym)
    offer(gym, "7002", name="Yoga")
    openings = [EPOCH + timedelta(days=3, hours=hour) for hour in (10, 10.5)]
    for number in range(20):
        name, class_id = (("WOD", "7001"), ("Yoga", "7002"))[number % 2]
        data = {"class_name": name} | ({"class_id": class_id} if number % 3 else {})
        ask(gym, openings[number % 2] - EPOCH, f"member{number}", **dict[str, Any](data))
    gym.world.run(each_minute(gym, EPOCH + timedelta(days=4), every=20))
    at = reads(gym)
    last_hours = [[instant for instant in at if opening - HOUR <= instant < opening] for opening in openings]
    others = [instant for instant in at if not any(opening - HOUR <= instant < opening for opening in openings)]
    assert all(last_hours)
    assert len({instant for hours in last_hours for instant in hours}) == 2
    assert all(later - earlier >= 6 * HOUR for earlier, later in pairwise(others))
    assert 0 < len(others) <= 4 + 1


def test_nothing_is_read_earlier_than_a_day_before_the_opening(gym: Gym) -> None:
    offer(gym)
    ask(gym, 3 * 24 * HOUR, class_id="7001")
    ask(gym, 3 * 24 * HOUR, "ben")
    gym.world.run(each_minute(gym, EPOCH + 48 * HOUR - MINUTE, every=60))
    assert reads(gym) == []


def test_a_row_that_is_added_in_the_last_hour_is_found_at_once(gym: Gym) -> None:
    offer(gym)
    ask(gym, HOUR / 2, class_id="7001")

    async def scenario() -> tuple[str | None, str | None, bool]:
        await each_minute(gym, EPOCH + HOUR / 4)
        row = ask(gym, HOUR / 2, "ben")
        gym.connection.execute(
            "update public.prebookings set created_at = public.prebooking_clock() where id = %s", [row]
        )
        await gym.keep_up()
        return found(gym, row)

    assert gym.world.run(scenario()) == ("7001", None, False)
    assert len(reads(gym)) == 2


def test_concurrent_upkeeps_read_a_day_once(gym: Gym) -> None:
    offer(gym)
    row = ask(gym, 8 * HOUR)
    gym.world.run(side_by_side(*(gym.keep_up() for _ in range(4))))
    assert (len(reads(gym)), found(gym, row)[0]) == (1, "7001")


# failures


@pytest.mark.parametrize("answer", ["down", "page", "list", "cut_json", "drop", "logout"])
def test_a_day_that_cannot_be_read_changes_nothing_and_is_tried_again(gym: Gym, answer: str) -> None:
    offer(gym)
    row = ask(gym, 8 * HOUR)
    gym.twin.script("", CallPlan(acts=False, answer=VERDICTS.get(answer, DROP)), method="GET", path=BOOKINGS)

    async def scenario() -> tuple[str | None, str | None, bool]:
        await each_minute(gym, EPOCH + 14 * MINUTE)
        first = found(gym, row)
        await each_minute(gym, EPOCH + 17 * MINUTE)
        return first

    assert gym.world.run(scenario()) == (None, None, True)
    assert (len(reads(gym)), found(gym, row)) == (2, ("7001", None, False))


def test_a_venue_that_blocks_us_is_paused_and_called_no_more(gym: Gym) -> None:
    for day in range(3):
        ask(gym, 8 * HOUR, f"member{day}", on=ROW_DAY + timedelta(days=day))
    gym.twin.script("", CallPlan(acts=False, answer=VERDICTS["blocked"]), method="GET", path=BOOKINGS)
    gym.world.run(gym.keep_up())
    assert (len(reads(gym)), gym.world.paused_until(gym.venue) is not None) == (1, True)


def test_a_bad_or_silent_venue_stops_no_other(database: Database) -> None:
    world = World(database)
    silent, bad, good = (
        Gym(world),
        Gym(world, host="bad.aimharder.com"),
        Gym(world, host="good.aimharder.com"),
    )
    world.twin.plan = lambda call: CallPlan(delay_before=60) if call.venue == HOST else CallPlan()
    for gym in (silent, bad, good):
        for number in range(4):
            offer(gym, f"{7000 + number}", day=ROW_DAY + timedelta(days=number))
    world.connection.execute("alter table public.venues drop constraint venues_host_check")
    world.connection.execute("update public.venues set host = 'a..b' where id = %s", [bad.venue])
    rows = [
        ask(gym, (8 + number) * HOUR, f"member{number}", on=ROW_DAY + timedelta(days=number))
        for gym in (silent, bad, good)
        for number in range(4)
    ]
    kept = world.run(good.keep_up())
    assert kept.success
    assert kept.execution_time_ms < 8_000
    assert [found(good, row)[2] for row in rows[8:]] == [False] * 3 + [True], "three days per venue and call"
    failed = "select count(*) from public.class_days where failed_at is not null and venue_id = %s"
    assert world.connection.execute(failed, [silent.venue]).fetchone() == (1,), "the others were not requested"


def test_one_bad_row_stops_no_other(gym: Gym) -> None:
    offer(gym)
    bad: list[dict[str, Any]] = [
        {"class_name": "x" * 5000},
        {"class_name": {"a": 1}, "class_id": [1]},
        {"class_id": "7" * 400},
        {"note": "x" * 6062},  # with a class_id it would be too long
        {"starts_at": "18:00", "class_name": "\ud7ff&lt;"},
    ]
    rows = [ask(gym, 8 * HOUR, f"member{number}", **data) for number, data in enumerate(bad)]
    good = ask(gym, 8 * HOUR, "zoe")
    kept = gym.world.run(gym.keep_up())
    assert kept.success
    assert found(gym, good) == ("7001", None, False)
    assert found(gym, rows[3])[2], "it cannot hold its class"


def test_a_day_that_cannot_be_stored_is_an_error_of_its_venue_only(gym: Gym) -> None:
    offer(gym)
    row = ask(gym, 8 * HOUR)
    gym.world.to_database.loses = lambda called: "before" if called == "settle_class_day_v1" else ""
    kept = gym.world.run(gym.keep_up())
    assert (kept.success, kept.failed, kept.parts["classes"]["errors"]) == (False, [], 1)
    assert found(gym, row)[2]


def test_a_day_that_cannot_be_stored_is_put_off_and_stops_no_other_day_of_its_venue(gym: Gym) -> None:
    """The days of a venue are read in the order of their openings, and the first one can never be stored."""
    later = ROW_DAY + timedelta(days=1)
    offer(gym)
    offer(gym, "7002", day=later)
    bad, good = ask(gym, 7 * HOUR), ask(gym, 8 * HOUR, on=later)
    gym.connection.execute(
        f"alter table public.class_days add constraint never check (day <> '{ROW_DAY}' or read_at is null)".encode()
    )
    gym.world.run(each_minute(gym, EPOCH + 10 * MINUTE))
    assert (found(gym, bad)[2], found(gym, good)) == (True, ("7002", None, False))
    assert len(reads(gym)) == 2, "the venue is not asked every minute"


def test_a_day_that_cannot_be_parsed_is_an_error_and_hides_no_other(gym: Gym) -> None:
    gym.connection.execute("alter table public.venues alter name drop not null")
    other = Gym(gym.world, host="other.aimharder.com")
    for at in (gym, other):
        offer(at, "7001" if at is gym else "7002")
    rows = [ask(gym, 7 * HOUR), ask(other, 8 * HOUR)]
    gym.connection.execute("update public.venues set name = null where id = %s", [gym.venue])
    kept = gym.world.run(gym.keep_up())
    assert (kept.success, kept.parts["classes"]["errors"]) == (False, 1)
    assert [found(gym, row)[2] for row in rows] == [True, False]


@pytest.mark.parametrize("when", ["before", "after", "hangs"])
@pytest.mark.parametrize("function", ["claim_class_days_v1", "settle_class_day_v1"])
def test_every_lost_call_is_made_up_for(gym: Gym, function: str, when: str) -> None:
    offer(gym)
    row = ask(gym, 8 * HOUR)
    gym.world.lose(function, *[when] * 3)

    async def scenario() -> None:
        await gym.keep_up()
        await asyncio.sleep(60)
        await gym.keep_up()

    gym.world.run(scenario())
    assert found(gym, row) == ("7001", None, False)
    assert len(reads(gym)) <= 2
