"""Compares what a member meant with a day's classes. It never guesses: a class is taken only if exactly one fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from typing import Any, Self

from prebooking.bookers.aimharder.classes import GymClass
from prebooking.foreign import name_key, read_id

NEAR = 60  # minutes: a class of the same name that begins so near has been moved

NOT_PUBLISHED = (
    "class_not_published: the venue has not published this day yet. It is looked at again until booking opens."
)
AMBIGUOUS = "class_ambiguous: several classes fit. Cancel this and add it again with --class and the class's number."
CANCELLED = "class_cancelled: the venue has cancelled this class. Cancel this and choose another class."
CLOSED = "class_closed: the venue takes no bookings for this class now. It is looked at again before booking opens."
# Its class_id is kept after these changes.
_STILL_BOOKED = "If it was found before, it is booked all the same: cancel this to prevent that."
MOVED = "class_moved: this class begins at {hour} now. " + _STILL_BOOKED
RENAMED = "class_renamed: the class at this hour has another name now. " + _STILL_BOOKED
GONE = "class_gone: there is no such class at this hour any more. Look at `prebooking classes`, and cancel this."


@dataclass(frozen=True, slots=True)
class WantedClass:
    """What a member meant: a class of this name, or without a name whatever begins at this hour."""

    starts: time
    name: str
    class_id: str | None  # the class that was found before

    @classmethod
    def read(cls, wanted: Mapping[str, Any]) -> Self:
        """Return what the database describes, whose hour is readable; an unreadable name or number counts as absent."""
        return cls(time.fromisoformat(wanted["starts"]), name_key(wanted["class_name"]), read_id(wanted["class_id"]))


@dataclass(frozen=True, slots=True)
class ClassMatch:
    """The class that fits, if exactly one does, and the warning for the member, if there is one."""

    class_id: str | None = None
    warning: str | None = None


def match_class(wanted: WantedClass, classes: Sequence[GymClass]) -> ClassMatch:
    """Return what a day's classes say about the wanted one; all of them have a number and an hour."""
    if not classes:
        return ClassMatch(warning=NOT_PUBLISHED)
    then = [one for one in classes if one.starts == wanted.starts]
    fitting = [one for one in then if wanted.name in ("", name_key(one.name))]
    if not fitting:
        return ClassMatch(warning=_explain_absence(wanted, classes, then))
    known = [one for one in fitting if one.class_id == wanted.class_id]
    if len(fitting) > 1 and not known:
        return ClassMatch(warning=AMBIGUOUS)
    found = (known or fitting)[0]
    if found.cancelled:
        return ClassMatch(warning=CANCELLED)
    return ClassMatch(found.class_id, CLOSED if found.closed else None)


def _explain_absence(wanted: WantedClass, classes: Sequence[GymClass], then: Sequence[GymClass]) -> str:
    same = [one for one in classes if _is_same(one, wanted) and _minutes_apart(one.starts, wanted.starts) <= NEAR]
    if same:
        nearest = min(same, key=lambda one: _minutes_apart(one.starts, wanted.starts))
        return MOVED.format(hour=f"{nearest.starts:%H:%M}")
    return RENAMED if len(then) == 1 else GONE


def _is_same(one: GymClass, wanted: WantedClass) -> bool:
    """Return whether it is the wanted class by its name, or, if any class was wanted, by its number."""
    return name_key(one.name) == wanted.name if wanted.name else one.class_id == wanted.class_id


def _minutes_apart(one: time | None, other: time) -> int:
    return abs((one.hour - other.hour) * 60 + one.minute - other.minute) if one else 24 * 60
