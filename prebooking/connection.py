"""A connection that is opened before anybody knows whether there is something to send: while the claim is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from ssl import SSLContext
from typing import Any, Self

import httpcore
import httpx

from prebooking.http import CONNECT_TIME, KEPT, tls_context

FRESH = 2.0  # seconds a connection may be open before its first request: some servers close what says nothing for five


class OpenedAhead(httpcore.AsyncNetworkBackend):
    """Connects as httpcore does by itself, but who is first to connect gets the connection that was begun before.

    It is to one origin, handed out once, and closed at the end if nobody came for it.
    """

    def __init__(self, url: str) -> None:
        origin = httpx.URL(url)
        self._network = httpcore.AnyIOBackend()
        self._secure = origin.scheme == "https"
        self._host, self._port = origin.raw_host.decode(), origin.port or (443 if self._secure else 80)
        self._begun: asyncio.Task[httpcore.AsyncNetworkStream] | None = None
        self._since = 0.0

    async def __aenter__(self) -> Self:
        """Begin to connect."""
        self._since = asyncio.get_running_loop().time()
        self._begun = asyncio.create_task(self._connect())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close what nobody came for."""
        begun, self._begun = self._begun, None
        if begun:
            begun.cancel()
            [connection] = await asyncio.gather(begun, return_exceptions=True)
            if isinstance(connection, httpcore.AsyncNetworkStream):
                await connection.aclose()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's own signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Return the connection that was begun, if it is this one; what it failed with, its first caller is told."""
        if (host, port) == (self._host, self._port) and self._begun:
            if asyncio.get_running_loop().time() - self._since < FRESH:
                begun, self._begun = self._begun, None
                return await begun
            await self.__aexit__()
        return await self._network.connect_tcp(host, port, timeout, local_address, socket_options)

    async def _connect(self) -> httpcore.AsyncNetworkStream:
        connection = await self._network.connect_tcp(self._host, self._port, CONNECT_TIME)
        if not self._secure:
            return connection
        try:
            return _Secured(await connection.start_tls(tls_context(), self._host, CONNECT_TIME))
        except BaseException:  # cut off in the middle too
            await connection.aclose()
            raise


class _Secured(httpcore.AsyncNetworkStream):
    """A connection whose TLS is there when it is asked for."""

    def __init__(self, connection: httpcore.AsyncNetworkStream) -> None:
        self._connection = connection

    async def start_tls(
        self,
        ssl_context: SSLContext,  # noqa: ARG002 - the process has but one
        server_hostname: str | None = None,  # noqa: ARG002 - the one it was begun with
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - it is there
    ) -> httpcore.AsyncNetworkStream:
        return self._connection

    async def aclose(self) -> None:
        await self._connection.aclose()


class ConnectedBy(httpx.AsyncHTTPTransport):
    """The network, with connections that somebody else makes."""

    def __init__(self, network: httpcore.AsyncNetworkBackend) -> None:
        super().__init__(verify=tls_context(), trust_env=False)
        # httpx cannot be told who connects; httpcore, on which it stands, can.
        self._pool = httpcore.AsyncConnectionPool(
            tls_context(),
            max_connections=None,
            max_keepalive_connections=None,
            keepalive_expiry=KEPT,
            network_backend=network,
        )
