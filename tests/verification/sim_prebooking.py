"""The prebookings and the runs of a simulation, as it created them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from prebooking.log import Log
from prebooking.model import Summary
from tests.verification.instance import Instance


@dataclass(slots=True)
class SimRun:
    """One invocation of an instance: the second at which it started, and its summary if it returned one."""

    instance: Instance
    started: float
    summary: Summary | None = None


@dataclass(frozen=True, slots=True)
class SimPrebooking:
    """A prebooking as it was added or last edited. Its instants are on the database's clock."""

    id: UUID
    venue: UUID
    class_id: str
    available_at: datetime
    expires_at: datetime
    created_at: datetime
    made: float  # second of the simulation
    logged_in: float  # second of the simulation
    member: str  # each member has one prebooking, or the choices of one request
    after: UUID | None = None  # the earlier choice

    @property
    def order(self) -> tuple[datetime, datetime, UUID]:
        return (self.available_at, self.created_at, self.id)


class WatchedLog(Log):
    """Notes the exceptions that the code logs as unexpected."""

    def __init__(self, notes: list[str], **bound: Any) -> None:
        super().__init__(**bound)
        self._notes = notes

    def unexpected(self, event: str, exc: BaseException, **fields: Any) -> None:
        self._notes.append(f"{type(exc).__name__}: {exc}")
        super().unexpected(event, exc, **fields)
