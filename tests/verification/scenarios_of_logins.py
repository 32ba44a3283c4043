"""Scenarios of automatic logins: the venue gets a password once per opening, and none while it refuses logins."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from prebooking.local.venue.aimharder import LOGIN
from prebooking.local.venue.twin import DROP, CallPlan, TwinReply
from prebooking.local.venue.verdicts import VERDICTS
from tests.verification.instance import Instance
from tests.verification.scenario import Scenario
from tests.verification.scenarios import BOX
from tests.verification.simulation import Simulation
from tests.verification.systems import BoxSystem

_OPENS, _HOURS = 1200.0, 7200.0  # seconds: the opening, and the age of the sessions


def _remember(sim: Simulation, rows: list[UUID]) -> None:
    assert isinstance(sim.system, BoxSystem)
    for row in rows:
        prebooking = sim.prebookings[row]
        sim.system.remember(sim.connection, prebooking.venue, prebooking.member)


def _keep(name: str) -> Callable[[Simulation, list[UUID]], object]:
    return lambda sim, _: sim.keep(Instance(name))


def _first_login(answer: TwinReply | None) -> Callable[[Simulation, list[UUID]], None]:
    """Return the interference that the first login is refused with this answer; None: it gets no answer."""

    def interfere(sim: Simulation, rows: list[UUID]) -> None:
        _remember(sim, rows)
        sim.twin.script(sim.prebookings[rows[0]].member, CallPlan(acts=False, answer=answer or DROP), path=LOGIN)

    return interfere


def _logins(sim: Simulation) -> int:
    return len(sim.twin.ledger.arrivals(path=LOGIN))


def _one_login(sim: Simulation, _: UUID) -> list[str]:
    return [] if _logins(sim) == 1 else [f"{_logins(sim)} logins for one opening"]


def _join_later(sim: Simulation, rows: list[UUID]) -> None:
    _remember(sim, sim.add_opening(1, venue=sim.prebookings[rows[0]].venue, at=_OPENS + 600, session_age=_HOURS))


# Upkeep is called again and again after a login that got no answer.
a_login_gets_no_answer = Scenario(
    1,
    (),
    opening={"at": _OPENS, "session_age": _HOURS},
    kind=BOX,
    interference={0: _first_login(None), 1: _keep("k0"), 61: _keep("k1"), 121: _keep("k2")},
    expected=_one_login,
)

# Another member's opening comes within the hour.
the_venue_refuses_logins = Scenario(
    1,
    (),
    opening={"at": _OPENS, "session_age": _HOURS},
    kind=BOX,
    interference={
        0: _first_login(VERDICTS["login_locked"]),
        1: _keep("k0"),
        300: _join_later,
        600: _keep("k1"),
        660: _keep("k2"),
    },
    expected=_one_login,
)
