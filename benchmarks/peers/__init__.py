"""Other schedulers, each used as its own documentation shows, one module per system.

Each module has ``start(task, book, group)``, which starts the system in this process and returns a function that
schedules bookings at an instant, and ``OPEN``, which selects the bookings that the system's own tables call open. A
booking is a string. The system calls ``book`` with it, which sends the request. ``mode`` is one of these, or for the
second table a word that only the module knows:

- defaults: the default settings.
- best: the best settings for exact times, and all requests in parallel.
- warm: the same, and the HTTP client has an open connection per request. No system has such a setting; its
  user would have to write it. It shows the cost of the scheduler alone.
"""

from __future__ import annotations

from asyncio import TaskGroup
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

POLL = 0.02  # seconds: the best settings of systems that poll; each costs its database fifty queries per second
PARALLEL = 40  # the best settings run as many bookings at the same time as any opening has

Book = Callable[[str], Awaitable[None]]
Schedule = Callable[[datetime, Sequence[str]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Task:
    """The task of a system. ``dsn`` is its own database, which is empty unless the system is ``restarted``."""

    dsn: str
    mode: str
    restarted: bool

    @property
    def best(self) -> bool:
        """Return whether the system has its best settings."""
        return self.mode != "defaults"

    def url(self, scheme: str = "postgresql") -> str:
        """Return the database's address as a URL."""
        where = conninfo_to_dict(self.dsn)
        return f"{scheme}://{where['user']}@/{where['dbname']}?host={quote(str(where['host']))}&port={where['port']}"


class PeerModule(Protocol):
    """A module of this package."""

    OPEN: str

    async def start(self, task: Task, book: Book, group: TaskGroup) -> Schedule:
        """Start the system, and return its ``schedule(at, bookings)``."""
        ...
