"""The interface of a venue system's package, and how an invocation opens the bookers of its venues."""

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
    """The objects of one invocation that its bookers use. ``to_venues`` replaces the network in tests."""

    settings: Settings
    database: IsolatedSupabase
    instance_id: UUID
    clock: Clock
    to_venues: httpx.AsyncBaseTransport | None = None


class Adapter(Protocol):
    """The package of one venue system. Importing it is fast; ``load`` imports the booker."""

    async def load(self) -> None:
        """Import the modules of the booker. It runs during the claim, so it yields to the loop between imports."""
        ...

    def open_booker(self, invocation: Invocation, venue: Venue) -> AbstractAsyncContextManager[Booker]:
        """Open the booker of a venue for one invocation, with its own connections, which are closed at the end."""
        ...

    def transport(self, settings: AccountSettings) -> httpx.AsyncBaseTransport | None:
        """Return the transport for requests to its venues, or None to use the network."""
        ...

    def host_problem(self, host: str | None) -> str | None:
        """Return an error message if a venue cannot have this host, else None. ``host`` is None if there is none."""
        ...


def adapter(name: str) -> Adapter:
    """Return the package of a venue system. Raises KeyError if there is no such system."""
    return cast("Adapter", import_module(SYSTEMS[name].module))


def preload() -> None:
    """Import the packages of small systems at process start, so that the first request is faster."""
    for system in SYSTEMS.values():
        if system.is_small:
            import_module(system.module)


@asynccontextmanager
async def open_systems(names: Iterable[str], invocation: Invocation) -> AsyncIterator[dict[str, OpenBooker]]:
    """Start to load these venue systems. Yield, by system name, the function that opens the booker of a venue."""
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
