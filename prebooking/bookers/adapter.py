"""What the package of a venue system has, and how an invocation opens its venues."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast
from uuid import UUID

import httpx

from prebooking.bookers import Booker, OpenBooker
from prebooking.clock import Clock
from prebooking.database.client import IsolatedSupabase
from prebooking.model import Venue
from prebooking.settings import AccountSettings, Settings
from prebooking.systems import SYSTEMS


@dataclass(frozen=True, slots=True)
class Invocation:
    """What one invocation has for its bookers. ``to_venues`` is a test's way to the venues, None the network."""

    settings: Settings
    database: IsolatedSupabase
    instance_id: UUID
    clock: Clock
    to_venues: httpx.AsyncBaseTransport | None = None


class Adapter(Protocol):
    """The package of one venue system. Importing it is cheap; ``load`` imports what books."""

    async def load(self) -> None:
        """Import what ``open_booker`` needs. It runs beside the claim: let the loop go on between imports."""
        ...

    def open_booker(self, invocation: Invocation, venue: Venue) -> AbstractAsyncContextManager[Booker]:
        """Open a venue for one invocation, with connections of its own, which are closed at the end."""
        ...

    def transport(self, settings: AccountSettings) -> httpx.AsyncBaseTransport | None:
        """Return the way to its venues; None: the network."""
        ...

    def host_problem(self, host: str | None) -> str | None:
        """Return a sentence if a venue cannot have this host (None: it was given none), or None."""
        ...


def adapter(name: str) -> Adapter:
    """Return the package of a venue system. Raises KeyError if there is no such system."""
    return cast("Adapter", import_module(SYSTEMS[name].module))


def preload() -> None:
    """Import the packages of the systems that are small: the first request has less to do then."""
    for system in SYSTEMS.values():
        if system.is_small:
            import_module(system.module)


@asynccontextmanager
async def open_systems(names: Iterable[str], invocation: Invocation) -> AsyncIterator[dict[str, OpenBooker]]:
    """Begin to load these venue systems; return how each opens its venues, by its name. Loading goes on meanwhile."""
    async with AsyncExitStack() as begun:
        opened = dict[str, OpenBooker]()
        for name in names:
            system = adapter(name)
            loading = asyncio.create_task(system.load())
            begun.push_async_callback(asyncio.wait, [loading])
            opened[name] = _once_loaded(system, loading, invocation)
        yield opened


def _once_loaded(system: Adapter, loading: asyncio.Task[None], invocation: Invocation) -> OpenBooker:
    @asynccontextmanager
    async def open_venue(venue: Venue) -> AsyncIterator[Booker]:
        await loading
        async with system.open_booker(invocation, venue) as booker:
            yield booker

    return open_venue
