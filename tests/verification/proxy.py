"""A network that fails on purpose: it refuses connections, delays bytes, cuts answers off, and swallows them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto
from random import Random
from urllib.parse import urlsplit

_CHUNK = 65_536
_LONGEST_DELAY = 1.5  # seconds


class NetworkFault(Enum):
    """What befalls what is carried."""

    NONE = auto()
    REFUSE = auto()  # nobody listens
    DELAY = auto()  # bytes arrive late, there and back
    CUT = auto()  # half of an answer, and the connection breaks
    SWALLOW = auto()  # the request arrives, its answer never does


class Proxy:
    """Stands before a server. ``inflicted`` counts what has gone wrong here.

    ``fault`` befalls every third of what comes by, at random; REFUSE all of it.
    """

    def __init__(self, target: str, random: Random) -> None:
        parts = urlsplit(target)
        self._host, self._port, self._path = parts.hostname, parts.port, parts.path
        self._random, self._listening = random, asyncio.Lock()
        self._server: asyncio.Server | None = None
        self._own_port = 0
        self._carrying = set[asyncio.Task[None]]()
        self.fault, self.inflicted = NetworkFault.NONE, 0

    @property
    def url(self) -> str:
        """Where it listens, with the server's own path."""
        return f"http://127.0.0.1:{self._own_port}{self._path}"

    @property
    def port(self) -> int:
        """The port at which it listens."""
        return self._own_port

    async def become(self, fault: NetworkFault) -> None:
        """From now on let this befall what comes by."""
        self.fault = fault
        if fault is NetworkFault.REFUSE:
            await self.close()
        elif self._server is None:
            await self.listen()

    async def listen(self) -> None:
        """Listen, always at the same port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._own_port)
        self._own_port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Listen no more, and break off what is open."""
        if self._server:
            self.inflicted += 1
            self._server.close()
            self._server = None
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._carry(reader, writer))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back, forth = await asyncio.open_connection(self._host, self._port)
        except OSError:
            writer.transport.abort()
            return
        try:
            await asyncio.gather(self._requests(reader, forth), self._answers(back, writer))
        except OSError:
            pass
        finally:
            forth.transport.abort()
            writer.transport.abort()

    async def _requests(self, reader: asyncio.StreamReader, forth: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            await self._late()
            forth.write(data)
            await forth.drain()
        forth.write_eof()

    async def _answers(self, back: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await back.read(_CHUNK):
            await self._late()
            if self._befalls(NetworkFault.SWALLOW):
                continue
            if self._befalls(NetworkFault.CUT):
                writer.write(data[: len(data) // 2])
                await writer.drain()
                raise ConnectionResetError
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError  # the server has hung up

    async def _late(self) -> None:
        if self._befalls(NetworkFault.DELAY):
            await asyncio.sleep(self._random.uniform(0, _LONGEST_DELAY))

    def _befalls(self, fault: NetworkFault) -> bool:
        hit = self.fault is fault and self._random.random() < 1 / 3
        self.inflicted += hit
        return hit


@asynccontextmanager
async def standing_before(target: str, random: Random) -> AsyncIterator[Proxy]:
    """Carry what comes for the server at the address ``target``, for as long as the block lasts."""
    proxy = Proxy(target, random)
    await proxy.listen()
    try:
        yield proxy
    finally:
        with suppress(OSError):
            await proxy.close()
