"""How this process speaks HTTP: one TLS context for all, and for everybody else a client of one's own.

Loading the authorities' certificates costs 20 to 40 ms of CPU, a client beside a loaded context under a millisecond.
So the context is shared, and nothing else is: no pool, no cookie, no header ever crosses from one client to another.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

CONNECT_TIME = 2.0  # seconds a connection may take
KEPT = 30.0  # seconds a connection is kept for the next request: longer than any invocation


@cache
def tls_context() -> ssl.SSLContext:
    """Return the process's one TLS context (HTTP/1.1 only: a context carries the protocols it offers)."""
    context = httpx.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def isolated_client(
    *,
    headers: Mapping[str, str] | None = None,
    connect_timeout: float = CONNECT_TIME,
    transport: httpx.AsyncBaseTransport | None = None,
) -> httpx.AsyncClient:
    """Return a client with a pool of its own that follows no redirect, keeps no cookie and reads no proxy setting.

    Only connecting has a timeout here, in seconds; a whole call is timed by its caller, because a timeout a read never
    fires on an answer that drips. The pool has no limit: cancelling calls that wait for a connection would kill it.
    """
    return httpx.AsyncClient(
        headers=headers,
        verify=tls_context(),
        timeout=httpx.Timeout(None, connect=connect_timeout),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=KEPT),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        http2=False,
        trust_env=False,
        transport=transport,
    )


class CarriedTo(httpx.AsyncHTTPTransport):
    """Carries every request to one address, whatever host it names and still says: to a stand-in on this machine."""

    def __init__(self, address: str) -> None:
        super().__init__(verify=tls_context(), trust_env=False)
        self._address = httpx.URL(address)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it there; its Host header is of the host it was made for."""
        there = self._address
        request.url = request.url.copy_with(scheme=there.scheme, host=there.host, port=there.port)
        return await super().handle_async_request(request)


def prime() -> None:
    """Load what a first request would otherwise import: do it while the process starts, not while a class opens."""
    import anyio._backends._asyncio  # noqa: PLC0415 - chosen by name at the first request
    import anyio.streams.tls  # noqa: F401, PLC0415 - as above
    import httpcore._backends.anyio  # noqa: F401, PLC0415 - as above

    tls_context()
