"""Runs one opening under scripted faults in a simulation, and asks the checker afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from typing import Any
from uuid import UUID

from tests.verification.checker import check
from tests.verification.scripted_faults import ScriptedFaults
from tests.verification.sim_database import SimDatabase
from tests.verification.simulation import Simulation
from tests.verification.systems import KINDS, SystemKind
from tests.verification.trace import Trace

Interference = Callable[[Simulation, list[UUID]], object]

_STATUS = "select status, claimed_by from public.prebookings where id = %s"
_WAIT = 30.0  # seconds after the last trigger, in which a frozen instance resumes


@dataclass(frozen=True, slots=True)
class Scenario:
    """One opening, its triggers, and the faults. Calling it returns the violations.

    Attributes:
        members: number of rows that wait for the opening.
        triggers: seconds at which the function is invoked, with ``lead`` seconds of lead.
        opening: further arguments of ``Simulation.add_opening``.
        faults: arguments of ``ScriptedFaults``.
        interference: by second, a function of the simulation and the rows of the opening.
        expected: given the simulation and the row that was added last, returns what is wrong with it.
        quiet_from: the second after which no fault has an effect; the end of the scenario, if it is None.

    """

    members: int
    triggers: tuple[float, ...]
    lead: float = 0.0
    opening: Mapping[str, Any] = field(default_factory=dict)
    faults: Mapping[str, Any] = field(default_factory=dict)
    interference: Mapping[float, Interference] = field(default_factory=dict)
    expected: Callable[[Simulation, UUID], list[str]] = lambda _, __: []
    kind: SystemKind = KINDS[0]
    venue_skew: float = 0.0
    quiet_from: float | None = None

    def __call__(self, sim_database: SimDatabase) -> list[str]:
        """Run the scenario; return what is not as expected, and every violation of an invariant."""
        with sim_database.scenario():
            faults = ScriptedFaults(**self.faults)
            sim = Simulation(sim_database, kind=self.kind, faults=faults, venue_skew=self.venue_skew)
            return sim.run(self._run(sim))

    async def _run(self, sim: Simulation) -> list[str]:
        rows = sim.add_opening(self.members, **self.opening)
        events: list[tuple[float, Callable[[], object]]] = [
            *((at, partial(interfere, sim, rows)) for at, interfere in self.interference.items()),
            *((at, partial(sim.invoke, LEAD_SECONDS=str(self.lead))) for at in self.triggers),
        ]
        for at, event in sorted(events, key=itemgetter(0)):
            await asyncio.sleep(max(0.0, at - sim.now()))
            event()
        await asyncio.sleep(_WAIT)
        *_, last_row = sim.prebookings
        wrong = self.expected(sim, last_row)
        await sim.drain()
        quiet_from = sim.now() if self.quiet_from is None else self.quiet_from
        violations = check(Trace(sim, quiet_from=quiet_from))
        return wrong + [f"{name}: {each}" for name, found in violations.items() for each in found]


def join(members: int, *, at: float, **opening: Any) -> dict[float, Interference]:
    """Return the interference that more members prebook at the opening's venue."""

    def interfere(sim: Simulation, rows: list[UUID]) -> None:
        sim.add_opening(members, venue=sim.prebookings[rows[0]].venue, made=at, **opening)

    return {at: interfere}


def is_completed(sim: Simulation, row: UUID) -> list[str]:
    """Expect the row to be completed."""
    status, _ = _row(sim, row)
    return [] if status == "completed" else [f"a row that can be booked is {status}"]


def is_unclaimed(sim: Simulation, row: UUID) -> list[str]:
    """Expect that no run holds the row."""
    _, claimed_by = _row(sim, row)
    return ["a closed run holds a row"] if claimed_by else []


def is_sent_by(seconds: float) -> Callable[[Simulation, UUID], list[str]]:
    """Expect a booking call for the row by this second of the simulation."""

    def expected(sim: Simulation, row: UUID) -> list[str]:
        sent = any(call.books and call.row == str(row) and call.at <= seconds for call in sim.to_venues.sent)
        return [] if sent else [f"no call for a due row within {seconds} s"]

    return expected


def _row(sim: Simulation, row: UUID) -> tuple[Any, ...]:
    return sim.connection.execute(_STATUS, [row]).fetchone() or ()
