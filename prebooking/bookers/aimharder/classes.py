"""The classes of a day at a box, as the box's list shows them to a member."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from typing import Any

from prebooking.foreign import is_off, is_set, read_count, read_id, read_name, read_number, read_time
from prebooking.model import Kind

_PLACES = {1: Kind.BOOKED, 0: Kind.WAITLISTED}  # of a member in a class, by its bookState


@dataclass(frozen=True, slots=True)
class GymClass:
    """One class of a day.

    Attributes:
        hours: its time as the venue writes it.
        starts: its start, or None if ``hours`` cannot be read.
        place: the member's place: booked, waitlisted, not_booked or cannot_tell. It is not_booked only if the mark is
            present and empty, because without a valid session the list has no marks.
        closed: it accepts no bookings.
        cancelled: it, or this member's booking of it, is cancelled; the member has no place then.

    """

    class_id: str
    name: str
    starts: time | None
    taken: int | None
    places: int | None
    place: Kind = Kind.CANNOT_TELL
    booking_id: str | None = None
    hours: str = ""
    closed: bool = False
    cancelled: bool = False

    @property
    def is_unavailable(self) -> bool:
        """Return whether it is closed or cancelled."""
        return self.closed or self.cancelled


def read_class(entry: Mapping[str, Any]) -> GymClass:
    """Return one class of a day's list; a field that cannot be read is empty or None."""
    return GymClass(
        class_id=read_id(entry.get("id")) or "",
        name=read_name(entry.get("className")),
        starts=read_time(entry.get("time")),
        taken=read_count(entry.get("ocupation")),
        places=read_count(entry.get("limit")),
        place=_place(entry),
        booking_id=read_id(entry.get("idres")),
        hours=read_name(entry.get("time")),
        closed=is_off(entry.get("enabled")),
        cancelled=is_set(entry.get("cancelledId")),
    )


def _is_marked(entry: Mapping[str, Any]) -> bool:
    """Return whether the entry contains the member's mark. Without a valid session it does not."""
    return "bookState" in entry


def _place(entry: Mapping[str, Any]) -> Kind:
    """Return the member's place. A mark together with a ``cancelledId`` is that of a cancelled booking."""
    if not _is_marked(entry):
        return Kind.CANNOT_TELL
    mark = entry["bookState"]
    if mark in (None, "") or is_set(entry.get("cancelledId")):
        return Kind.NOT_BOOKED
    number = read_number(mark)
    return Kind.CANNOT_TELL if number is None else _PLACES.get(number, Kind.CANNOT_TELL)
