"""Finds a class in a day's timetable."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, time

from prebooking.cli.lookup import matching_names
from prebooking.cli.site import Offer
from prebooking.errors import CommandFailed
from prebooking.foreign import read_id


def find_offer(found: Sequence[Offer], day: date, clock: time, name: str | None, *, option: str = "--class") -> Offer:
    """Return the class that begins at ``clock``; ``name`` is its name, a part of that, or its number.

    Raises:
        CommandFailed: no class matches, or several do; the message names them, and the option for its name.

    """
    if not found:
        raise CommandFailed(
            f"There are no classes on {day:%a %d %b %Y}, or not yet: try again once they are published."
        )
    then = [offer for offer in found if offer.clock == clock]
    if not then:
        there = ", ".join(f"{offer.clock:%H:%M} {offer.found.name}" for offer in found)
        raise CommandFailed(f"No class begins at {clock:%H:%M} on {day:%a %d %b}: there is {there}.")
    matching = _matching(then, name) if name else then
    if len(matching) == 1:
        return matching[0]
    if not matching:
        cure = f' Write it like --else "{clock:%H:%M} {then[0].found.name}".' if option == "--else" else ""
        raise CommandFailed(
            f'No class "{name}" begins at {clock:%H:%M} on {day:%a %d %b}: there is {_names(then)}.{cure}'
        )
    raise CommandFailed(
        f"Several begin at {clock:%H:%M}: {_names(matching)}. Say which with {option} and its name or number."
    )


def refuse_closed(offer: Offer, *, anyway: bool) -> None:
    """Raise CommandFailed if the class is cancelled, or closed without ``anyway``."""
    if offer.found.cancelled:
        raise CommandFailed(f"{offer.found.name} is cancelled at the venue.")
    if offer.found.closed and not anyway:
        raise CommandFailed(
            f"{offer.found.name} is closed for bookings at the venue: say --anyway if it will be opened."
        )


def _matching(then: Sequence[Offer], name: str) -> list[Offer]:
    names = matching_names([offer.found.name for offer in then], name)
    numbered = [offer for offer in then if offer.found.class_id == read_id(name)]
    return numbered or [offer for offer in then if offer.found.name in names]


def _names(several: Sequence[Offer]) -> str:
    return ", ".join(f"{offer.found.name} ({offer.found.class_id})" for offer in several)
