"""A TCP proxy with faults: it refuses connections, delays bytes, cuts responses and drops them."""

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
    """A fault of the network."""

    NONE = auto()
    REFUSE = auto()  # no connection is accepted
    DELAY = auto()  # bytes arrive late, in both directions
    CUT = auto()  # half of a response arrives, then the connection breaks
    SWALLOW = auto()  # the request arrives, its response does not


class Proxy:
    """A proxy for one server. ``injected`` counts the faults.

    A third of all chunks, drawn at random, is affected by ``fault``; REFUSE affects every connection.
    """

    def __init__(self, target: str, random: Random) -> None:
        parts = urlsplit(target)
        self._host, self._port, self._path = parts.hostname, parts.port, parts.path
        self._random, self._listening = random, asyncio.Lock()
        self._server: asyncio.Server | None = None
        self._own_port = 0
        self._open = set[asyncio.Task[None]]()
        self.fault, self.injected = NetworkFault.NONE, 0

    @property
    def url(self) -> str:
        """The address at which it listens, with the path of the server."""
        return f"http://127.0.0.1:{self._own_port}{self._path}"

    @property
    def port(self) -> int:
        """The port at which it listens."""
        return self._own_port

    async def set_fault(self, fault: NetworkFault) -> None:
        """Inject this fault from now on."""
        self.fault = fault
        if fault is NetworkFault.REFUSE:
            await self.close()
        elif self._server is None:
            await self.listen()

    async def listen(self) -> None:
        """Listen, always on the same port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._own_port)
        self._own_port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening, and break open connections."""
        if self._server:
            self.injected += 1
            self._server.close()
            self._server = None
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._forward(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back, forth = await asyncio.open_connection(self._host, self._port)
        except OSError:
            writer.transport.abort()
            return
        try:
            await asyncio.gather(self._requests(reader, forth), self._responses(back, writer))
        except OSError:
            pass
        finally:
            forth.transport.abort()
            writer.transport.abort()

    async def _requests(self, reader: asyncio.StreamReader, forth: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            await self._delay()
            forth.write(data)
            await forth.drain()
        forth.write_eof()

    async def _responses(self, back: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await back.read(_CHUNK):
            await self._delay()
            if self._applies(NetworkFault.SWALLOW):
                continue
            if self._applies(NetworkFault.CUT):
                writer.write(data[: len(data) // 2])
                await writer.drain()
                raise ConnectionResetError
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError  # the server has closed the connection

    async def _delay(self) -> None:
        if self._applies(NetworkFault.DELAY):
            await asyncio.sleep(self._random.uniform(0, _LONGEST_DELAY))

    def _applies(self, fault: NetworkFault) -> bool:
        applies = self.fault is fault and self._random.random() < 1 / 3
        self.injected += applies
        return applies


@asynccontextmanager
async def start_proxy(target: str, random: Random) -> AsyncIterator[Proxy]:
    """Run a proxy for the server at the address ``target`` until the end of the block."""
    proxy = Proxy(target, random)
    await proxy.listen()
    try:
        yield proxy
    finally:
        with suppress(OSError):
            await proxy.close()
