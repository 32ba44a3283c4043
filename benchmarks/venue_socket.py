"""The venue of the comparison: records the arrival of the first byte of each POST, and answers "booked" after a delay.

It uses raw sockets in its own thread, so that the parsing of a framework is not measured.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from anyio.from_thread import start_blocking_portal

ANSWER = 0.04  # seconds: the venue's time to answer
_BODY = b'{"state": "booked"}'
_REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)


class VenueSocket:
    """The venue for all systems. ``arrivals`` are the Unix times of POSTs; a GET only opens a connection."""

    def __init__(self) -> None:
        self.arrivals: list[float] = []
        self._news = threading.Condition()

    def note(self, at: float) -> None:
        with self._news:
            self.arrivals.append(at)
            self._news.notify_all()

    def wait_for(self, requests: int, *, until: float) -> bool:
        """Wait until this number of requests has arrived, or until a Unix time; return whether they have."""
        with self._news:
            return self._news.wait_for(lambda: len(self.arrivals) >= requests, max(0.0, until - time.time()))


class _Connection(asyncio.Protocol):
    def __init__(self, venue: VenueSocket) -> None:
        self._venue, self._request, self._began = venue, b"", 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._began = self._began or time.time()
        self._request += data
        head, end, body = self._request.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if not end or len(body) < int(length[1] if length else 0):
            return
        if head.startswith(b"POST"):
            self._venue.note(self._began)
        self._request, self._began = b"", 0.0
        asyncio.get_running_loop().call_later(ANSWER, self._transport.write, _REPLY)


@contextmanager
def venue_socket() -> Iterator[tuple[VenueSocket, str]]:
    """Serve a venue, and yield it with its address."""
    venue = VenueSocket()

    async def listen() -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(lambda: _Connection(venue), "127.0.0.1", 0, backlog=256)

    with start_blocking_portal() as portal:
        server = portal.call(listen)
        yield venue, "http://{}:{}/book".format(*server.sockets[0].getsockname())
        portal.call(server.close)
