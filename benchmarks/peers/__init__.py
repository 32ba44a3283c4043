"""What people use today to do something at an instant, each as its own documentation shows it.

A module a system, each with ``play(task)``: it prepares, sends ``task.requests`` POSTs to ``task.url`` that are due at
``task.opens``, and may run on until it is killed. ``how`` is one of three:

- defaults: nothing is set.
- best: the settings that somebody would find who cares about the instant, and all requests side by side.
- warm: the same, and the HTTP client has an open connection for every request. No setting of any of these systems does
  that; it is what their user would have to build, and shows what the scheduler alone costs.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx


@dataclass(frozen=True, slots=True)
class Task:
    """What a system is to do. ``dsn`` is an empty database of its own, ``opens`` a Unix time."""

    dsn: str
    url: str
    opens: float
    requests: int
    how: str

    @property
    def best(self) -> bool:
        """Whether the system is set for the instant."""
        return self.how != "defaults"

    @property
    def instant(self) -> datetime:
        """When it is due."""
        return datetime.fromtimestamp(self.opens, UTC)


async def client_for(task: Task) -> httpx.AsyncClient:
    """Return the HTTP client, as httpx makes it, or with its connections open."""
    if task.how != "warm":
        return httpx.AsyncClient(trust_env=False)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=60)
    client = httpx.AsyncClient(trust_env=False, limits=limits)
    await asyncio.gather(*(client.get(task.url) for _ in range(task.requests)))
    return client
