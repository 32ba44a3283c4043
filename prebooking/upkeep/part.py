"""The interface of a part of upkeep, and the objects that its parts share in one invocation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import httpx

from prebooking.bookers.adapter import adapter
from prebooking.channels.settings import NotificationSettings
from prebooking.clock import Clock, Deadline
from prebooking.database.client import IsolatedSupabase
from prebooking.errors import SettingsError, StoreError
from prebooking.http import isolated_client
from prebooking.log import Log
from prebooking.settings import Settings

MINUTE = 60.0  # seconds from one call of upkeep to the next

# Counts with a meaning for the whole invocation; a part may leave them out.
ERRORS = "errors"  # failures on our side: with one, the invocation answers 500
OUT_OF_TIME = "out_of_time"  # 1 if the part stopped before it was done, because the guard was near


@dataclass(frozen=True, slots=True)
class UpkeepContext:
    """The objects of one invocation. ``every``: seconds from one call to the next. The transports are for tests.

    ``notifications``: None means that they are read from the environment when a message is due, so that an invalid one
    stops nothing else.
    """

    settings: Settings
    database: IsolatedSupabase
    instance_id: UUID
    clock: Clock
    log: Log
    every: float = MINUTE
    to_venues: httpx.AsyncBaseTransport | None = None
    to_watchdog: httpx.AsyncBaseTransport | None = None
    notifications: NotificationSettings | None = None

    def client(self, system: str) -> httpx.AsyncClient:
        """Return a client for requests to the venues of a system. The caller closes it."""
        return isolated_client(transport=self.to_venues or adapter(system).transport(self.settings))

    def log_failure(self, part: str, exc: Exception) -> None:
        """Log why a part, or a piece of its work, failed."""
        if isinstance(exc, StoreError):
            self.log.error("part_failed", part=part, function=exc.function, code=exc.code)
        elif isinstance(exc, SettingsError):
            self.log.error("part_failed", part=part, problems=exc.problems)
        elif isinstance(exc, TimeoutError):  # an instance that was frozen has no time left
            self.log.error("part_failed", part=part, code="TimeoutError")
        else:
            self.log.unexpected("unexpected", exc, part=part)


class UpkeepPart(Protocol):
    """One part of upkeep. It leases its work in the database, so that concurrent invocations do nothing twice.

    It may be cancelled at any ``await``. After the lease has ended, a later invocation does what was left.
    """

    async def run(self, until: Deadline) -> dict[str, int]:
        """Do what is due, and start nothing that does not end before ``until``. Return counts for the summary.

        An exception ends this part only.
        """
        ...
