"""The venue systems there are. A new one is a folder under ``bookers/`` and one entry in ``SYSTEMS``.

An entry is data alone, so that settings, command line and doctor can read it without importing what books.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum, auto


class Ability(Enum):
    """What a venue system can do besides booking."""

    TIMETABLE = auto()  # a day's classes can be read
    LOGINS = auto()  # it books with the member's own login
    GIVE_BACK = auto()  # a booking can be given back
    IDEMPOTENCY = auto()  # a venue may say that it books once per Idempotency-Key


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueSystem:
    """One kind of venues.

    Attributes:
        name: as ``venues.provider`` has it.
        title: as people call it.
        module: the package that books there; ``bookers.open_system`` says what it has.
        variables: the environment variables that a deployment needs, all of them, to book there.
        can: what it can do besides booking.
        page: the address of a venue's public page, for the doctor; None: it has none.
        is_small: its package is imported when the process starts, and not beside the first claim.

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
            can=frozenset({Ability.IDEMPOTENCY}),
            is_small=True,
        ),
        VenueSystem(
            name="aimharder",
            title="AimHarder",
            module="prebooking.bookers.aimharder",
            variables=("SESSION_ENCRYPTION_KEY",),
            can=frozenset({Ability.TIMETABLE, Ability.LOGINS}),
            page="https://{host}/",
        ),
    )
}


def can(provider: str, ability: Ability) -> bool:
    """Return whether a venue of this system can do something besides booking."""
    system = SYSTEMS.get(provider)
    return system is not None and ability in system.can


def able(ability: Ability) -> list[str]:
    """Return the names of the systems that can do this."""
    return [name for name, system in SYSTEMS.items() if ability in system.can]


def set_up(environment: Mapping[str, str]) -> list[str]:
    """Return the names of the systems that can be booked with what is set."""
    return [name for name, system in SYSTEMS.items() if not system.missing(environment)]


def problems(environment: Mapping[str, str]) -> dict[str, str]:
    """Return one message per variable that is missing, because a system is half set up or none is."""
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
