"""No broken, endless, slow or misleading answer to the request for a day's classes changes a prebooking's class."""

from __future__ import annotations

import asyncio
import json
from datetime import date
from typing import Any

import pytest

from prebooking.bookers.aimharder.classes import GymClass
from prebooking.database.upkeep import ClassDay
from prebooking.http import RewriteHostTransport, isolated_client
from prebooking.model import Outcome
from prebooking.upkeep import classes
from tests.support import peers
from tests.support.peers import Script
from tests.support.rows import claimed_venue
from tests.verification.hostile_replies import AT_AIMHARDER, BOOKED, UNSURE, ok, says

pytestmark = pytest.mark.anyio

WANTED = {"starts": "18:00", "class_id": "1", "class_name": "WOD"}
BOX = claimed_venue(provider="aimharder", host="box.aimharder.com", provider_box_id="42")
DAY = ClassDay(venue=BOX, day=date(2030, 1, 14), wanted=[WANTED])

# Lists that cannot be read: their day is read again, and no warning is stored.
UNREADABLE: dict[str, Any] = {
    "a list of other things": [1, None, "WOD", [{}], True],
    "classes without anything": [{}] * 500,
    "classes without a number": [{"className": "WOD", "time": "18:00 - 19:00"}],
    "classes without an hour": [{"id": 7, "className": "WOD"}],
    "numbers that are none": [
        {"id": number, "className": "WOD", "time": "18:00"} for number in (True, 1.5, [7], "a b")
    ],
    "hours that are none": [{"id": 7, "className": "WOD", "time": time} for time in ("soon", 18, ["18:00"], "25:00")],
    "a text": "WOD 18:00",
    "an object with names": {"wod": {"id": 7, "className": "WOD", "time": "18:00"}},
}
WITHOUT_OBJECTS = {"a list of other things", "a day of lists"}
# Lists of which some classes can be read, but no class fits.
MISLEADING: dict[str, Any] = {
    "two that fit": [{"id": 7, "className": "WOD", "time": "18:00"}, {"id": 8, "className": "wod ", "time": "6 pm"}],
    "names of other kinds": [{"id": 7, "className": ["WOD"], "time": "18:00"}],
    "a name within another": [{"id": 7, "className": "WOD 2", "time": "18:00"}],
    "another hour": [{"id": 7, "className": "WOD", "time": "06:00"}],
    "the number with another name": [{"id": 1, "className": "Yoga", "time": "18:00"}],
    "cancelled": [{"id": 7, "className": "WOD", "time": "18:00", "cancelledId": 3}],
    "the fitting one after five hundred others": [
        *({"id": number, "className": "Yoga", "time": "07:00"} for number in range(500)),
        {"id": 7, "className": "WOD", "time": "18:00"},
    ],
}


def lists(bookings: Any) -> Script:
    return says(ok(json.dumps({"bookings": bookings}).encode()))


async def read(script: Script) -> list[GymClass] | Outcome:
    async with (
        peers.serve(script) as server,
        isolated_client(transport=RewriteHostTransport(server.url)) as client,
    ):
        answer = await classes._read(client, DAY, timeout=0.5)
        assert len(server.requests()) <= 1
        return answer


CASES = UNSURE | BOOKED | AT_AIMHARDER | {name: lists(bookings) for name, bookings in UNREADABLE.items()}


async def test_no_hostile_answer_is_read_as_a_day() -> None:
    """A list without any object is like a day without classes, which changes nothing but the warning."""
    names = list(CASES)
    assert len(names) >= 60
    for number in range(0, len(names), 12):
        batch = names[number : number + 12]
        for name, answer in zip(batch, await asyncio.gather(*(read(CASES[name]) for name in batch)), strict=True):
            assert isinstance(answer, Outcome) or (name in WITHOUT_OBJECTS and answer == []), name


@pytest.mark.parametrize("name", MISLEADING)
async def test_no_misleading_list_is_taken_for_the_class(name: str) -> None:
    answer = await read(lists(MISLEADING[name]))
    assert not isinstance(answer, Outcome)
    [found] = classes._match_all(DAY, answer)
    assert (found["wanted"], found["class_id"]) == (WANTED, None)
    assert found["warning"].startswith("class_")
