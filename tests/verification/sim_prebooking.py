"""What a world is about: wishes, and the runs that are to fulfil them."""

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
    """One invocation: by whom, from when on (seconds of the world's time), and what it answered, if it did."""

    instance: Instance
    started: float
    summary: Summary | None = None


@dataclass(frozen=True, slots=True)
class SimPrebooking:
    """A prebooking as it was made or edited.

    Its instants are on the database's clock, but for two in seconds of the world's time.
    """

    id: UUID
    venue: UUID
    class_id: str
    available_at: datetime
    expires_at: datetime
    created_at: datetime
    made: float
    logged_in: float
    member: str  # everybody has one wish

    @property
    def order(self) -> tuple[datetime, datetime, UUID]:
        return (self.available_at, self.created_at, self.id)


class WatchedLog(Log):
    """Notes what the code itself calls unexpected."""

    def __init__(self, notes: list[str], **bound: Any) -> None:
        super().__init__(**bound)
        self._notes = notes

    def unexpected(self, event: str, exc: BaseException, **fields: Any) -> None:
        self._notes.append(f"{type(exc).__name__}: {exc}")
        super().unexpected(event, exc, **fields)
