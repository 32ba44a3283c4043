"""What a member's app writes about a class: the database warns exactly when the booker could not read it."""

from __future__ import annotations

from typing import Any

import pytest

from prebooking.bookers.aimharder import booker
from prebooking.errors import BadBookingData
from tests.support.calls import prebooking
from tests.support.database import Connection
from tests.support.factories import add_prebooking, add_venue
from tests.support.rows import claimed_row

GOOD: dict[str, Any] = {"class_id": "4711", "day": "20300111"}
FORM = {"id": "4711", "day": "20300111", "insist": "0", "familyId": ""}


@pytest.mark.grid
@pytest.mark.parametrize(
    ("written", "form"),
    [
        ({}, {}),
        ({"class_id": 4711}, {}),
        ({"class_id": "4711 "}, {}),
        ({"class_id": " 4711 "}, {}),
        ({"class_id": "\t4711\u00a0"}, {}),
        ({"day": "2030-01-11"}, {}),
        ({"day": 20300111}, {}),
        ({"day": "20280229"}, {"day": "20280229"}),
        ({"day": " 20300111 "}, {}),
        ({"insist": 1}, {"insist": "1"}),
        ({"insist": "1"}, {"insist": "1"}),
        ({"insist": True}, {"insist": "1"}),
        ({"insist": False}, {}),
        ({"insist": 0}, {}),
        ({"insist": None}, {}),
        ({"insist": ""}, {}),
        ({"family_id": 77}, {"familyId": "77"}),
        ({"family_id": 12}, {"familyId": "12"}),
        ({"class_name": "WOD", "anything": [1, {"else": None}]}, {}),
        ({"family_id": None}, {}),
        ({"family_id": ""}, {}),
        ({"class_id": ""}, None),
        ({"class_id": None}, None),
        ({"class_id": "a b"}, None),
        ({"class_id": ["4711"]}, None),
        ({"class_id": True}, None),
        ({"class_id": 1.5}, None),
        ({"day": "20301399"}, None),
        ({"day": "20300230"}, None),
        ({"day": "2030-0111"}, None),
        ({"day": "11/01/2030"}, None),
        ({"day": None}, None),
        ({"day": True}, None),
        ({"insist": 2}, None),
        ({"insist": "yes"}, None),
        ({"insist": [1]}, None),
        ({"family_id": "1&insist=1"}, None),
        ({"family_id": False}, None),
    ],
    ids=str,
)
def test_the_database_warns_exactly_when_the_booker_cannot_read_the_data(
    owner: Connection, written: dict[str, Any], form: dict[str, str] | None
) -> None:
    venue = add_venue(owner, provider="aimharder", host="box.aimharder.com")
    row = add_prebooking(owner, venue, booking_data=GOOD | written)
    warning = prebooking(owner, row)["warning"]
    if form is None:
        assert warning.startswith("bad_data: ")
        with pytest.raises(BadBookingData):
            booker._booking_form(claimed_row(booking_data=GOOD | written))
    else:
        assert warning is None
        assert booker._booking_form(claimed_row(booking_data=GOOD | written)) == FORM | form
