"""One invocation of upkeep: it asks the database once what is due, and runs the parts that are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx

from prebooking.channels.settings import NotificationSettings
from prebooking.clock import Clock, Deadline
from prebooking.database.client import create_isolated_supabase
from prebooking.database.upkeep import UpkeepStore
from prebooking.errors import StoreError
from prebooking.log import Log
from prebooking.settings import Settings, key_id
from prebooking.upkeep.classes import ClassesPart
from prebooking.upkeep.heartbeat import Heartbeat
from prebooking.upkeep.logins import LoginsPart
from prebooking.upkeep.notifications import NotificationsPart
from prebooking.upkeep.part import ERRORS, MINUTE, OUT_OF_TIME, UpkeepContext, UpkeepPart
from prebooking.upkeep.places import PlacesPart
from prebooking.upkeep.repeats import RepeatsPart

# The parts, in the order in which they start. The database reports by the same names which of them are due.
PARTS: dict[str, Callable[[UpkeepContext], UpkeepPart]] = {
    "repeats": RepeatsPart,
    "classes": ClassesPart,
    "logins": LoginsPart,
    "places": PlacesPart,
    "notifications": NotificationsPart,
}
NO_TIME = "No time was left: the function started too late, or its clock is wrong"
LAST_WRITES = 1.0  # seconds after the guard until which a part may still store results; then it is cancelled


@dataclass(slots=True)
class UpkeepSummary:
    """The result of one invocation: counts, no personal data."""

    instance_id: UUID
    success: bool = True
    timed_out: bool = False
    no_time: bool = False  # the guard had passed before the first question
    execution_time_ms: int = 0
    timestamp: datetime | None = None
    parts: dict[str, dict[str, int]] = field(default_factory=dict)  # by name, the counts of each part that was due
    failed: list[str] = field(default_factory=list)  # the parts, and what is done before them, that failed
    no_login: int = 0  # prebookings without a usable login

    @property
    def details(self) -> dict[str, int]:
        """Return all counts under one name each."""
        counts = {f"{part}_{name}": count for part, counts in self.parts.items() for name, count in counts.items()}
        return counts | {"no_login": self.no_login}

    def as_json(self) -> dict[str, Any]:
        """Return the answer to the trigger."""
        return {
            "success": self.success,
            "message": self._message(),
            "instance_id": str(self.instance_id),
            "execution_time_ms": self.execution_time_ms,
            "timestamp": self.timestamp.isoformat() if self.timestamp else None,
            "timed_out": self.timed_out,
            "parts": self.parts,
            "failed": self.failed,
            "no_login": self.no_login,
        }

    def _message(self) -> str:
        if self.no_time:
            return NO_TIME
        if self.parts:
            return f"Upkeep of {', '.join(self.parts)}"
        return "Nothing was due" if self.success else "Upkeep failed: see the log"


async def keep_up(
    settings: Settings,
    *,
    instance_id: UUID,
    guard: Deadline,
    clock: Clock,
    log: Log,
    every: float = MINUTE,
    to_database: httpx.AsyncBaseTransport | None = None,
    to_venues: httpx.AsyncBaseTransport | None = None,
    to_watchdog: httpx.AsyncBaseTransport | None = None,
    notifications: NotificationSettings | None = None,
) -> UpkeepSummary:
    """Do what is due until the guard. ``every``: seconds from one call to the next."""
    async with create_isolated_supabase(settings, instance_id, clock=clock, transport=to_database) as database:
        context = UpkeepContext(
            settings, database, instance_id, clock, log, every, to_venues, to_watchdog, notifications
        )
        return await Upkeep(context, guard).run()


class Upkeep:
    """One invocation. A part that fails, hangs or is killed stops no other part."""

    def __init__(self, context: UpkeepContext, guard: Deadline) -> None:
        self._context, self._guard = context, guard
        self._summary = UpkeepSummary(context.instance_id)

    async def run(self) -> UpkeepSummary:
        """Ask what is due, do it, and report to the watchdog.

        The parts run side by side, because one refresh of a login may take most of the time until the guard. Without
        time nothing is asked or reported, so that the watchdog notices only if this happens every time.
        """
        if self._guard.passed():
            self._summary.no_time = True
            return self._finished()
        heartbeat = Heartbeat(self._context, self._guard)
        due = await self._due()
        await heartbeat.claim()
        self._summary.parts = {name: {} for name in PARTS if name in due}
        async with asyncio.TaskGroup() as parts:
            for name in self._summary.parts:
                parts.create_task(self._keep(name))
        summary = self._finished()
        await heartbeat.report(good=summary.success)
        return summary

    async def _due(self) -> set[str]:
        """Return the names of the parts that are due. With a slow trigger, the logins always are."""
        settings = self._context.settings
        try:
            due = await UpkeepStore(self._context.database).due(
                providers=settings.systems, keys=[key_id(key) for key in settings.session_keys], until=self._guard
            )
        except StoreError as exc:
            self._summary.success = False
            self._context.log_failure("due", exc)
            return set()
        self._summary.no_login, self._summary.failed = due.no_login, due.failed
        return due.parts | ({"logins"} if self._context.every > MINUTE else set())

    async def _keep(self, name: str) -> None:
        try:
            async with asyncio.timeout(self._guard.remaining() + LAST_WRITES):
                counts = await PARTS[name](self._context).run(self._guard)
        except Exception as exc:  # noqa: BLE001 - the task group would cancel the other parts
            self._summary.failed.append(name)
            self._context.log_failure(name, exc)
        else:
            self._summary.parts[name] = counts

    def _finished(self) -> UpkeepSummary:
        summary, counts = self._summary, self._summary.parts.values()
        summary.success &= not summary.failed and not any(part.get(ERRORS) for part in counts)
        summary.timed_out = self._guard.passed() or any(part.get(OUT_OF_TIME) for part in counts)
        summary.timestamp = self._context.clock.now()
        summary.execution_time_ms = round(self._guard.start.elapsed(self._context.clock) * 1000)
        return summary
