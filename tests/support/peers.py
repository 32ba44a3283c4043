"""Scripts for the other side of a wire: servers that speak byte by byte, a transport that answers without a socket."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import httpx

_CHUNK = 65_536
_PATIENCE = 20  # seconds after which what should have happened has not


class Peer:
    """The server's end of one connection. ``received`` grows as bytes arrive; ``ended`` is set when no more can."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.received = bytearray()
        self.ended = asyncio.Event()
        self._grown = asyncio.Condition()
        self._reader, self._writer = reader, writer

    async def request(self, number: int = 1) -> None:
        """Wait for this many whole requests."""
        async with self._grown:
            await self._grown.wait_for(lambda: len(requests(bytes(self.received))) >= number)

    async def say(self, text: bytes) -> None:
        self._writer.write(text)
        await self._writer.drain()

    async def drip(self, text: bytes, *, pause: float = 0.01) -> None:
        """Send the text in a loop, one byte at a time."""
        while True:
            for byte in text:
                await self.say(bytes([byte]))
                await asyncio.sleep(pause)

    async def pour(self, text: bytes) -> None:
        """Send the text in a loop, as fast as it is read."""
        while True:
            await self.say(text)

    def reset(self) -> None:
        """Break the connection off: the other side gets an error, not an end."""
        raw = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def close(self) -> None:
        self._writer.close()

    def abort(self) -> None:
        """Close at once, whatever is still to be sent."""
        self._writer.transport.abort()

    async def listen(self) -> None:
        """Read until there is no more to read."""
        try:
            while chunk := await self._reader.read(_CHUNK):
                async with self._grown:
                    self.received += chunk
                    self._grown.notify_all()
        except OSError:
            pass
        finally:
            self.ended.set()


Script = Callable[[Peer], Awaitable[None]]


class Server:
    """Where it listens, and all who have connected."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.port = 0
        self._connected = asyncio.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def received(self) -> list[bytes]:
        """What each connection has brought so far."""
        return [bytes(peer.received) for peer in self.peers]

    def requests(self) -> list[bytes]:
        """Every whole request, of all connections."""
        return [request for received in self.received for request in requests(received)]

    async def connected(self, number: int = 1) -> None:
        async with asyncio.timeout(_PATIENCE), self._connected:
            await self._connected.wait_for(lambda: len(self.peers) >= number)

    async def left(self) -> None:
        """Wait until everybody who has connected is gone."""
        for peer in self.peers:
            await asyncio.wait_for(peer.ended.wait(), _PATIENCE)

    async def add(self, peer: Peer) -> None:
        async with self._connected:
            self.peers.append(peer)
            self._connected.notify_all()


def requests(received: bytes) -> list[bytes]:
    """Cut what has arrived into whole requests."""
    whole, rest = list[bytes](), received
    while (end := rest.find(b"\r\n\r\n") + 4) > 3:
        lines = rest[:end].lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
        if len(rest) < end + length:
            break
        whole.append(rest[: end + length])
        rest = rest[end + length :]
    return whole


@asynccontextmanager
async def serve(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Play the script with each connection; what it leaves open is closed at the end of the block."""
    server, tasks = Server(), set[asyncio.Task[None]]()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        await server.add(peer)
        listening = asyncio.create_task(peer.listen())
        tasks.add(listening)
        with suppress(OSError):
            await script(peer)
        await listening

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(play(reader, writer))
        tasks.add(task)
        task.add_done_callback(lambda _: writer.close())

    listening = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for peer in server.peers:
            peer.abort()  # not wait_closed(): since Python 3.12 it waits for bytes that nobody reads any more


def unused_port() -> int:
    """Return a port of this machine at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


async def silence(peer: Peer) -> None:
    """Never say anything."""
    await peer.ended.wait()


def answers(text: bytes) -> Script:
    """Return the script of a server that says the same after each request, and leaves the connection open."""

    async def script(peer: Peer) -> None:
        number = 0
        while not peer.ended.is_set():
            number += 1
            await peer.request(number)
            await peer.say(text)

    return script


Reply = httpx.Response | Exception | float | None  # a float: a good answer after so many seconds; None: never any
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
GOOD = httpx.Response(200, json={"a": 1})


class ScriptedTransport(httpx.AsyncBaseTransport):
    """Plays one reply after the other, the last again and again, and notes when it was asked what."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.asked_at: list[float] = []
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked_at.append(round(asyncio.get_running_loop().time(), 6))
        self.requests.append(request)
        reply = self.replies[min(len(self.asked_at), len(self.replies)) - 1]
        if reply is None:
            await asyncio.Event().wait()
        if isinstance(reply, float):
            await asyncio.sleep(reply)
            reply = GOOD
        if isinstance(reply, Exception):
            raise reply
        assert isinstance(reply, httpx.Response)
        return httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)
