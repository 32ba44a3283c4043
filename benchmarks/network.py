"""A simulated network with a round-trip time, and TLS at the other end."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

CHUNK = 65_536


@asynccontextmanager
async def far_away(port: int, *, round_trip: float, tls: ssl.SSLContext) -> AsyncIterator[int]:
    """Serve a local port behind TLS, with a round-trip time in seconds; the value is the port to connect to."""
    async with AsyncExitStack() as ends:
        behind_tls = await ends.enter_async_context(_passed_on(port, round_trip=0.0, tls=tls))
        yield await ends.enter_async_context(_passed_on(behind_tls, round_trip=round_trip, tls=None))


@asynccontextmanager
async def _passed_on(port: int, *, round_trip: float, tls: ssl.SSLContext | None) -> AsyncIterator[int]:
    pumps: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # This machine connects at once; over the network it takes a round trip before the first byte can leave.
        opened = asyncio.get_running_loop().time() + round_trip
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        for source, sink in ((reader, there_writer), (there_reader, writer)):
            pump = asyncio.create_task(_pump(source, sink, after=opened, takes=round_trip / 2))
            pumps.add(pump)
            pump.add_done_callback(pumps.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for pump in pumps:
            pump.cancel()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, after: float, takes: float) -> None:
    """Copy bytes from one end to the other with the latency, in their order."""
    loop = asyncio.get_running_loop()
    try:
        while chunk := await source.read(CHUNK):
            loop.call_at(max(loop.time(), after) + takes, sink.write, chunk)
    except OSError:
        pass
    loop.call_later(takes, sink.close)
