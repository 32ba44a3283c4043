"""Finds a venue by its name or id, or another row by the start of its id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar
from uuid import UUID

from prebooking.database.operator import PrebookingView, VenueView
from prebooking.errors import CommandFailed
from prebooking.foreign import name_key


class HasId(Protocol):
    """A row with an id."""

    @property
    def id(self) -> UUID:
        """Return its id."""
        ...


R = TypeVar("R", bound=HasId)

ID_LENGTH = 8  # characters of an id that are shown
_LISTED = 10  # names or ids in a message, at most


def find_venue(venues: Sequence[VenueView], name: str) -> VenueView:
    """Return the venue with this name or id. Case, and the width and number of spaces, do not matter.

    Raises:
        CommandFailed: there is no such venue, or several have this name; the message lists the venues.

    """
    if not venues:
        raise CommandFailed("There is no venue yet: add one with `prebooking venue add`.")
    key = name_key(name)
    found = [venue for venue in venues if key in (name_key(venue.name), str(venue.id))]
    if not found:
        raise CommandFailed(f'There is no venue "{name}": there is {_listed([venue.name for venue in venues])}.')
    if len(found) > 1:
        raise CommandFailed(f'Several venues are named "{name}": use an id, {_listed([str(one.id) for one in found])}.')
    return found[0]


def find_prebooking(prebookings: Sequence[PrebookingView], start: str) -> PrebookingView:
    """Return the only prebooking whose id starts with ``start``. Raises CommandFailed if there is none, or several."""
    return find_row(prebookings, start, "prebooking")


def find_row(rows: Sequence[R], start: str, noun: str) -> R:
    """Return the only row whose id starts with ``start``. Raises CommandFailed if there is none, or several."""
    key = name_key(start)
    found = [row for row in rows if key and str(row.id).startswith(key)]
    if len(found) == 1:
        return found[0]
    ids = _listed([str(row.id)[:ID_LENGTH] for row in found or rows])
    if found:
        raise CommandFailed(f'"{start}" may be several: {ids}. Write more of it.')
    raise CommandFailed(f'There is no {noun} "{start}"' + (f": there is {ids}." if ids else "."))


def matching_names(names: Sequence[str], wanted: str) -> list[str]:
    """Return the names that equal ``wanted``, or, if none does, those that contain it. Spelling is normalised."""
    key = name_key(wanted)
    equal = [name for name in names if name_key(name) == key]
    return equal or [name for name in names if key in name_key(name)]


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words[:_LISTED]) + (" and more" if len(words) > _LISTED else "")
