"""The list of venue systems. To add one, add a folder under ``bookers/`` and an entry in ``SYSTEMS``.

An entry contains only data, so that settings, command line and doctor do not import the booker.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum, auto


class Ability(Enum):
    """What a venue system can do besides booking."""

    TIMETABLE = auto()  # the classes of a day can be read from the venue
    LOGINS = auto()  # bookings use the member's own login
    GIVE_BACK = auto()  # a booking can be cancelled at the venue
    IDEMPOTENCY = auto()  # a venue can be marked as idempotent: it books once per Idempotency-Key


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueSystem:
    """One way to book, shared by all venues with this ``provider``.

    Attributes:
        name: the value of ``venues.provider``.
        title: the name shown to people.
        module: the package of its booker, which implements ``bookers.adapter.Adapter``.
        variables: the environment variables that a deployment needs for it (all are required).
        can: its abilities besides booking.
        page: the URL of a venue's public page, which the doctor requests; None if there is none.
        is_small: its package is imported at process start instead of during the first claim.

    """

    name: str
    title: str
    module: str
    variables: tuple[str, ...]
    can: frozenset[Ability] = frozenset()
    page: str | None = None
    is_small: bool = False

    def missing(self, environment: Mapping[str, str]) -> list[str]:
        """Return the variables that are not set."""
        return [name for name in self.variables if not environment.get(name, "").strip()]


SYSTEMS: dict[str, VenueSystem] = {
    system.name: system
    for system in (
        VenueSystem(
            name="webhook",
            title="your own endpoint",
            module="prebooking.bookers.webhook",
            variables=("BOOKING_WEBHOOK_URL", "BOOKING_WEBHOOK_SECRET"),
            can=frozenset({Ability.IDEMPOTENCY, Ability.GIVE_BACK}),
            is_small=True,
        ),
        VenueSystem(
            name="aimharder",
            title="AimHarder",
            module="prebooking.bookers.aimharder",
            variables=("SESSION_ENCRYPTION_KEY",),
            can=frozenset({Ability.TIMETABLE, Ability.LOGINS, Ability.GIVE_BACK}),
            page="https://{host}/",
        ),
    )
}


def can(provider: str, ability: Ability) -> bool:
    """Return whether the system has this ability."""
    system = SYSTEMS.get(provider)
    return system is not None and ability in system.can


def able(ability: Ability) -> list[str]:
    """Return the names of the systems with this ability."""
    return [name for name, system in SYSTEMS.items() if ability in system.can]


def set_up(environment: Mapping[str, str]) -> list[str]:
    """Return the names of the systems whose variables are all set."""
    return [name for name, system in SYSTEMS.items() if not system.missing(environment)]


def problems(environment: Mapping[str, str]) -> dict[str, str]:
    """Return one message per missing variable of a partly configured system, or of the first one if none is."""
    begun = [system for system in SYSTEMS.values() if len(system.missing(environment)) < len(system.variables)]
    systems = begun or list(SYSTEMS.values())[:1]
    others = [system for system in SYSTEMS.values() if system not in systems]
    cure = "is missing: set it in the project's environment variables" + _instead(others)
    return {name: cure for system in systems for name in system.missing(environment)}


def _instead(systems: Collection[VenueSystem]) -> str:
    ways = [f"{_listed(system.variables)}, for {system.title}" for system in systems]
    return f" (or {' or '.join(ways)})" if ways else ""


def _listed(variables: tuple[str, ...]) -> str:
    return " and ".join(variables) + (" alone" if len(variables) == 1 else "")
