"""All parts of the battery, in the order of the table."""

from __future__ import annotations

from tests.proof import guards, simulation, steps
from tests.proof.part import Part

PARTS: list[Part] = [simulation.PART, steps.PART, guards.PART]
