"""Connections for httpcore, made of asyncio's own transports.

httpcore's own connections let the event loop run again at each step of a request, which takes CPU. And they read only
when asked to, so another task would be needed to notice that a server closes a connection that waits for its slot.
https://www.encode.io/httpcore/network-backends/
"""

# ruff: noqa: ASYNC109 - httpcore's methods have a timeout
from __future__ import annotations

import asyncio
import selectors
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address
from typing import Any, cast

import httpcore

BUFFER = 262_144  # bytes that wait to be read, from which on the server has to wait
AT_ONCE = 4096  # most bytes that one read returns, because other calls have to wait while they are parsed
NEXT_ADDRESS = 0.25  # seconds after which a host's next address is tried: RFC 8305, section 5


class AsyncioNetwork(httpcore.AsyncNetworkBackend):
    """Opens connections in the running event loop."""

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *_: Any, **__: Any
    ) -> AsyncioConnection:
        """Return a connection to a host name or an address.

        Raises:
            httpcore.ConnectTimeout: it takes more than ``timeout`` seconds.
            httpcore.ConnectError: the host has no address, or no address accepts a connection.

        """
        async with _connecting(timeout) as loop:
            *others, last = await _addresses(host, loop)
            for address in others:
                with suppress(OSError):  # includes TimeoutError
                    async with asyncio.timeout(NEXT_ADDRESS):
                        return (await loop.create_connection(AsyncioConnection, address, port))[1]
            return (await loop.create_connection(AsyncioConnection, last, port))[1]


class AsyncioConnection(asyncio.Protocol, httpcore.AsyncNetworkStream):
    """A connection that reads at once what arrives.

    Only connecting and the TLS handshake have timeouts, because the caller limits the whole request.
    """

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._received = bytearray()
        self._readable = asyncio.Event()  # bytes have arrived, or no more will
        self._ended = self._lost = self._broken = False

    # called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note that the connection is open."""
        self._transport = cast("asyncio.Transport", transport)  # a TCP connection's is one, also in other event loops

    def data_received(self, data: bytes) -> None:
        """Keep the bytes until they are read."""
        self._received += data
        self._readable.set()
        if len(self._received) > BUFFER:
            self._transport.pause_reading()

    def eof_received(self) -> None:
        """Note that the server sends no more. The transport then closes itself."""
        self._ended = True
        self._readable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the connection is closed, by an error or without one."""
        self._ended, self._lost, self._broken = True, True, exc is not None
        self._readable.set()

    # called by httpcore

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - httpcore's
        """Return the next bytes, at least one, or none if the server has closed the connection.

        Raises:
            httpcore.ReadError: the connection broke.

        """
        await self._readable.wait()
        max_bytes = min(max_bytes, AT_ONCE)
        if len(self._received) > max_bytes:
            await asyncio.sleep(0)  # an endless answer leaves time for other calls
        if self._broken and not self._received:
            raise httpcore.ReadError("the connection broke")
        data = bytes(self._received[:max_bytes])
        del self._received[:max_bytes]
        if not self._received and not self._ended:
            self._readable.clear()
            self._transport.resume_reading()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - httpcore's
        """Send bytes now, as far as the system takes them, and the others later.

        Raises:
            httpcore.WriteError: the server has closed the connection.

        """
        if self._ended:
            raise httpcore.WriteError("the connection is closed")
        self._transport.write(buffer)

    async def aclose(self) -> None:
        """Close the connection at once. What was not sent yet is not sent."""
        if not self._lost:  # asyncio's transport cannot be aborted once it has closed itself
            self._transport.abort()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> AsyncioConnection:
        """Use TLS from now on, and return this connection.

        Raises:
            httpcore.ConnectTimeout: it takes more than ``timeout`` seconds.
            httpcore.ConnectError: the handshake failed, for example because of the certificate.

        """
        if self._readable.is_set():  # bytes without TLS would be taken for an answer
            raise httpcore.ConnectError("the server sent bytes before the handshake, or closed the connection")
        async with _connecting(timeout) as loop:
            secure = await loop.start_tls(self._transport, self, ssl_context, server_hostname=server_hostname)
        assert secure  # noqa: S101 - None only for a transport that is not TCP
        self._transport = secure
        return self

    def get_extra_info(self, info: str) -> Any:
        """Return what is known about the connection.

        "has_received": the event loop has read bytes, or no more will arrive. "is_readable" is also true for what has
        arrived and was not read yet, such as a TLS ticket.
        """
        if info in ("has_received", "is_readable") and self._readable.is_set():
            return True
        if info == "is_readable":
            with selectors.DefaultSelector() as selector:
                selector.register(self._transport.get_extra_info("socket"), selectors.EVENT_READ)
                return bool(selector.select(0))
        return self._transport.get_extra_info(info)


async def _addresses(host: str, loop: asyncio.AbstractEventLoop) -> list[str]:
    """Return the addresses of a host, at least one."""
    with suppress(ValueError):
        return [str(ip_address(host))]
    return [str(address[0]) for *_, address in await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


@asynccontextmanager
async def _connecting(timeout: float | None) -> AsyncIterator[asyncio.AbstractEventLoop]:
    """Yield the event loop, and raise errors as httpcore's."""
    try:
        async with asyncio.timeout(timeout):
            yield asyncio.get_running_loop()
    except TimeoutError as exc:  # before OSError, which includes it
        raise httpcore.ConnectTimeout(str(exc)) from exc
    except (OSError, UnicodeError) as exc:  # an unknown or invalid host, a refusal, a wrong certificate
        raise httpcore.ConnectError(str(exc)) from exc
