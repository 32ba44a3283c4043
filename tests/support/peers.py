"""Scripted servers that send byte by byte, and a scripted transport without sockets."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import httpx

_CHUNK = 65_536
_TIMEOUT = 20  # seconds


class Peer:
    """The server's end of one connection. ``received`` grows; ``ended`` is set when no more bytes can arrive."""

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
        """Reset the connection: the client gets an error, not the end of the stream."""
        raw = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def close(self) -> None:
        self._writer.close()

    def abort(self) -> None:
        """Close at once, without sending what is buffered."""
        with suppress(AttributeError):  # what asyncio raises if the connection was closed when its last byte was sent
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
    """A listening server and its connections."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.port = 0
        self._connected = asyncio.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def received(self) -> list[bytes]:
        """The bytes that each connection has received so far."""
        return [bytes(peer.received) for peer in self.peers]

    def requests(self) -> list[bytes]:
        """Return the whole requests of all connections."""
        return [request for received in self.received for request in requests(received)]

    async def connected(self, number: int = 1) -> None:
        async with asyncio.timeout(_TIMEOUT), self._connected:
            await self._connected.wait_for(lambda: len(self.peers) >= number)

    async def left(self) -> None:
        """Wait until every connection has ended."""
        for peer in self.peers:
            await asyncio.wait_for(peer.ended.wait(), _TIMEOUT)

    async def add(self, peer: Peer) -> None:
        async with self._connected:
            self.peers.append(peer)
            self._connected.notify_all()


def requests(received: bytes) -> list[bytes]:
    """Split bytes into whole requests."""
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
    """Run the script on each connection; connections that it leaves open are closed at the end of the block."""
    server, tasks = Server(), set[asyncio.Task[None]]()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        await server.add(peer)
        listening = asyncio.create_task(peer.listen())
        tasks.add(listening)
        with suppress(OSError):
            await script(peer)
        await listening

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(handle(reader, writer))
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
    """Return a free port of this machine."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


async def silence(peer: Peer) -> None:
    """Send nothing."""
    await peer.ended.wait()


def answers(text: bytes) -> Script:
    """Return a script that sends the same bytes after each request, and leaves the connection open."""

    async def script(peer: Peer) -> None:
        number = 0
        while not peer.ended.is_set():
            number += 1
            await peer.request(number)
            await peer.say(text)

    return script


Reply = httpx.Response | Exception | float | None  # a float: GOOD after that many seconds; None: no answer
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
GOOD = httpx.Response(200, json={"a": 1})


class ScriptedTransport(httpx.AsyncBaseTransport):
    """Returns one reply per request, the last one repeatedly; records the requests and their times."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.asked_at: list[float] = []
        self.requests: list[httpx.Request] = []
        self.ended_at = 0.0  # when the last call without an answer was cut off

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked_at.append(round(asyncio.get_running_loop().time(), 6))
        self.requests.append(request)
        reply = self.replies[min(len(self.asked_at), len(self.replies)) - 1]
        if reply is None:
            try:
                await asyncio.Event().wait()
            finally:
                self.ended_at = asyncio.get_running_loop().time()
        if isinstance(reply, float):
            await asyncio.sleep(reply)
            reply = GOOD
        if isinstance(reply, Exception):
            raise reply
        assert isinstance(reply, httpx.Response)
        return httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)
