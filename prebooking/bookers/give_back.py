"""Gives a member's place back: a query, one cancellation, and a second query if its answer was not clear."""

from __future__ import annotations

from enum import Enum, auto

from prebooking.bookers.places import FOUND, CancelAnswer, MemberPlace, Places
from prebooking.clock import Clock, Deadline
from prebooking.model import Kind, Prebooking

# Seconds for a query: under load AimHarder's pages take up to 13 s, and a query may need several pages.
FIND_TIME = 30.0
CANCEL_TIME = 15.0  # seconds for the call


class GiveBack(Enum):
    """The result of giving a place back. The place was given back only if it is GIVEN_BACK or NOT_BOOKED."""

    GIVEN_BACK = auto()
    NOT_BOOKED = auto()  # the venue shows no place: it was given back before, perhaps by a command that was killed
    LATE = auto()  # the member would lose the credit
    REFUSED = auto()  # the venue refused, and shows the place
    UNABLE = auto()  # this venue cannot give places back
    STILL_BOOKED = auto()  # the call had no clear answer, and the venue shows the place
    BLOCKED = auto()  # the venue blocks us
    LOGGED_OUT = auto()  # the member has to log in first
    GONE = auto()  # the venue's list does not contain the class
    CANNOT_TELL = auto()  # the venue does not tell whether there is a place; no call was sent
    UNCLEAR = auto()  # the call had no clear answer, and neither had the question after it


_CLEAR_ANSWERS = {
    CancelAnswer.DONE: GiveBack.GIVEN_BACK,
    CancelAnswer.LATE: GiveBack.LATE,
    CancelAnswer.UNABLE: GiveBack.UNABLE,
    CancelAnswer.BLOCKED: GiveBack.BLOCKED,
}
_WITHOUT_PLACE = {
    Kind.NOT_BOOKED: GiveBack.NOT_BOOKED,
    Kind.SESSION_EXPIRED: GiveBack.LOGGED_OUT,
    Kind.BLOCKED: GiveBack.BLOCKED,
    Kind.MISSING: GiveBack.GONE,
}


async def give_back(places: Places, row: Prebooking, *, booking_id: str | None, late: bool, clock: Clock) -> GiveBack:
    """Give a place back at the venue, with at most one call.

    ``booking_id``: the number of the booking, if the venue does not show it. ``late``: also if the member loses the
    credit.
    """
    found = await places.find(row, until=_until(clock))
    if found.kind not in FOUND and (places.must_be_found or found.kind in _WITHOUT_PLACE):
        return _WITHOUT_PLACE.get(found.kind, GiveBack.CANNOT_TELL)
    place = MemberPlace(found.kind, found.booking_id or booking_id)
    answer = await places.cancel(row, place, late=late, timeout=CANCEL_TIME)
    if answer in _CLEAR_ANSWERS:
        return _CLEAR_ANSWERS[answer]
    found = await places.find(row, until=_until(clock))
    if found.kind is Kind.NOT_BOOKED:
        return GiveBack.GIVEN_BACK
    if found.kind not in FOUND:
        return GiveBack.UNCLEAR
    return GiveBack.REFUSED if answer is CancelAnswer.REFUSED else GiveBack.STILL_BOOKED


def _until(clock: Clock) -> Deadline:
    return Deadline.within(clock, FIND_TIME)
