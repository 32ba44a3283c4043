"""Finds a venue by its name, or a prebooking by the start of its id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from prebooking.database.operator import PrebookingView, VenueView
from prebooking.errors import CommandFailed
from prebooking.foreign import name_key

T = TypeVar("T")

ID_LENGTH = 8  # characters of an id that are shown


def find_venue(venues: Sequence[VenueView], name: str, *, whole: bool = False) -> VenueView:
    """Return the venue with this name, or the only one whose name starts with it; case does not matter.

    ``whole`` requires the whole name, for commands that cannot be undone.

    Raises:
        CommandFailed: no venue matches, or several do; the message names them.

    """
    if not venues:
        raise CommandFailed("There is no venue yet: add one with `prebooking venue add`.")
    found = _find_one(venues, name, lambda venue: venue.name, "venue")
    if whole and found.name.casefold() != " ".join(name.split()).casefold():
        raise CommandFailed(f'Write the whole name to do this: "{found.name}".')
    return found


def find_prebooking(prebookings: Sequence[PrebookingView], start: str) -> PrebookingView:
    """Return the only prebooking whose id starts with ``start``. Raises CommandFailed like ``find_venue``."""
    return _find_one(prebookings, start, lambda prebooking: str(prebooking.id), "prebooking", shown=ID_LENGTH)


def matching_names(names: Sequence[str], wanted: str) -> list[str]:
    """Return the names that equal ``wanted``, or, if none does, those that contain it. Spelling is normalised."""
    key = name_key(wanted)
    equal = [name for name in names if name_key(name) == key]
    return equal or [name for name in names if key in name_key(name)]


def _find_one(things: Sequence[T], wanted: str, name_of: Callable[[T], str], what: str, *, shown: int = 100) -> T:
    key = name_key(wanted)
    equal = [thing for thing in things if name_key(name_of(thing)) == key]
    found = equal or [thing for thing in things if key and name_key(name_of(thing)).startswith(key)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(name_of(thing)[:shown] for thing in (found or things)[:10])
    if found:
        raise CommandFailed(f'"{wanted}" may be several: {names}. Write more of it.')
    raise CommandFailed(f'There is no {what} "{wanted}"' + (f": there is {names}." if names else "."))
