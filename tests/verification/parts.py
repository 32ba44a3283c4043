"""All parts of the verification, in the order of the table."""

from __future__ import annotations

from tests.verification import (
    caps,
    endpoint,
    guards,
    hostile_database,
    hostile_hosts,
    hostile_venue,
    lint,
    notifications,
    processes,
    seeds,
    steps,
)
from tests.verification.part import Part

PARTS: list[Part] = [
    seeds.PART,
    steps.PART,
    notifications.PART,
    caps.PART,
    guards.PART,
    processes.PART,
    endpoint.PART,
    hostile_venue.PART,
    hostile_hosts.PART,
    hostile_database.PART,
    lint.PART,
]
