"""HTTP clients: each has its own connections, and all share one TLS context.

Loading the CA certificates takes 20 to 40 ms of CPU; creating a client with a loaded context takes less than 1 ms.
So only the context is shared. Pools, cookies and headers are not.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpcore
import httpx

from prebooking.errors import SettingsError
from prebooking.network import AsyncioNetwork

CONNECT_TIME = 2.0  # seconds a connection may take
KEPT = 30.0  # seconds for which an idle connection is kept: longer than any invocation
_HTTPCORE_ERRORS = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
)


@cache
def tls_context() -> ssl.SSLContext:
    """Return the TLS context of the process. It offers only HTTP/1.1.

    Raises:
        SettingsError: SSL_CERT_FILE or SSL_CERT_DIR names certificates that cannot be loaded.

    """
    try:
        context = httpx.create_ssl_context()
    except OSError:  # includes SSLError
        name = next((name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)), None)
        if name is None:
            raise
        raise SettingsError({name: "names certificates that cannot be loaded: correct it, or remove it"}) from None
    context.set_alpn_protocols(["http/1.1"])
    return context


class PlainClient(httpx.AsyncClient):
    """Gives each request to the transport as it is.

    httpx itself would prepare logins, redirects and cookies for each answer, which takes as much CPU as reading it.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, **how: Any) -> None:
        super().__init__(transport=transport, **how)
        self._plain_transport = transport

    async def send(self, request: httpx.Request, *, stream: bool = False, **_: Any) -> httpx.Response:
        """Send a request with its own timeouts, and call the hooks. Nothing else of the client is applied."""
        if self.is_closed:
            raise RuntimeError("the client is closed")
        response = await self._plain_transport.handle_async_request(request)
        response.request = request
        try:
            for hook in self.event_hooks["response"]:
                await hook(response)
            if not stream:
                await response.aread()
        except BaseException:
            await response.aclose()
            raise
        return response


def isolated_client(
    *,
    headers: Mapping[str, str] | None = None,
    connect_timeout: float = CONNECT_TIME,
    keep_connections: bool = False,
    transport: httpx.AsyncBaseTransport | None = None,
) -> httpx.AsyncClient:
    """Return a client with its own pool. It follows no redirects, stores no cookies and ignores proxy settings.

    Unless ``keep_connections``, every request uses a new connection: an idle one could be closed by the server when
    it is used, and blocks other clients at a server with one worker.
    Only connecting has a timeout here, in seconds. The caller limits the whole call, because httpx's read timeout
    restarts with every byte. The pool has no limit, because cancelling a call that waits for a connection breaks it.
    """
    return PlainClient(
        transport=transport or HttpTransport(keep_connections=keep_connections),
        headers=headers,
        timeout=httpx.Timeout(None, connect=connect_timeout),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        trust_env=False,
    )


class HttpTransport(httpx.AsyncBaseTransport):
    """A transport for httpx: a pool of httpcore's, whose connections ``network`` opens.

    It raises httpx's exceptions, like httpx's own transport, and ignores proxy settings.
    """

    def __init__(self, *, keep_connections: bool = False, network: httpcore.AsyncNetworkBackend | None = None) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls_context(),
            max_connections=None,
            max_keepalive_connections=None if keep_connections else 0,
            keepalive_expiry=KEPT,
            network_backend=network or AsyncioNetwork(),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request, and return the response as soon as its headers have arrived."""
        url = request.url
        with _httpx_errors():
            response = await self._pool.handle_async_request(
                httpcore.Request(
                    request.method,
                    httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            response.status, headers=response.headers, stream=_Body(response), extensions=response.extensions
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    """The body of a response."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _httpx_errors():
            async for chunk in self._response.aiter_stream():
                yield chunk

    async def aclose(self) -> None:
        with _httpx_errors():
            await self._response.aclose()


@contextmanager
def _httpx_errors() -> Iterator[None]:
    """Raise httpx's exception of the same name in place of one of httpcore's."""
    try:
        yield
    except _HTTPCORE_ERRORS as exc:
        raise getattr(httpx, type(exc).__name__)(str(exc)) from exc


class RewriteHostTransport(HttpTransport):
    """Sends every request to one address, such as a simulated venue here, whatever host the request names."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._address = httpx.URL(address)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request to the address. Its Host header stays unchanged."""
        there = self._address
        request.url = request.url.copy_with(scheme=there.scheme, host=there.host, port=there.port)
        return await super().handle_async_request(request)


def preload_http() -> None:
    """Import modules at process start that would otherwise be imported during the first request."""
    import anyio._backends._asyncio  # noqa: F401, PLC0415 - anyio imports it by name at the first request

    with suppress(SettingsError):  # the first request reports it
        tls_context()
