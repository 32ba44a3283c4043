"""Other schedulers, each used as its own documentation shows, one module per system.

Each module has ``send_all(task)``, which sends ``task.requests`` POSTs to ``task.url`` that are due at ``task.opens``.
It may run until it is killed. ``how`` is one of three:

- defaults: the default settings.
- best: the best settings for exact times, and all requests in parallel.
- warm: the same, and the HTTP client has an open connection per request. No system has such a setting; its
  user would have to write it. It shows the cost of the scheduler alone.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx


@dataclass(frozen=True, slots=True)
class Task:
    """The task of a system. ``dsn`` is its own empty database, ``opens`` a Unix time."""

    dsn: str
    url: str
    opens: float
    requests: int
    how: str

    @property
    def best(self) -> bool:
        """Return whether the system has its best settings."""
        return self.how != "defaults"

    @property
    def instant(self) -> datetime:
        """Return the instant of the opening."""
        return datetime.fromtimestamp(self.opens, UTC)


async def client_for(task: Task) -> httpx.AsyncClient:
    """Return the HTTP client, with default settings or with open connections."""
    if task.how != "warm":
        return httpx.AsyncClient(trust_env=False)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=60)
    client = httpx.AsyncClient(trust_env=False, limits=limits)
    await asyncio.gather(*(client.get(task.url) for _ in range(task.requests)))
    return client
