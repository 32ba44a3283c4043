"""The connection of a call on a virtual clock: its age, its end by the server, and the length of an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import httpcore
import pytest

from prebooking.bookers import STALE_CONNECTION, Gate
from prebooking.bookers.call import call
from prebooking.bookers.webhook.booker import classify
from prebooking.http import HttpTransport, isolated_client
from prebooking.model import Kind, Outcome
from tests.support.doubles import run_virtual

NEVER = 1e6  # seconds


class ScriptedConnection(httpcore.AsyncNetworkStream):
    """A connection that the server closes some seconds after accepting it, unless a request has arrived by then.

    ``answer`` has the chunks that the server sends after a request; then it hangs. ``sent`` and ``is_closed`` are of
    our side.
    """

    def __init__(self, answer: Iterable[bytes], closes_after: float) -> None:
        self.sent, self.is_closed = b"", False
        self._answer, self._closes_at = iter(answer), asyncio.get_running_loop().time() + closes_after

    async def read(self, *_: object, **__: object) -> bytes:
        if (chunk := next(self._answer, None)) is None:
            await asyncio.Event().wait()
        return chunk or b""

    async def write(self, buffer: bytes, *_: object, **__: object) -> None:
        self.sent += buffer

    async def aclose(self) -> None:
        self.is_closed = True

    def get_extra_info(self, info: str) -> bool | None:
        if info != "has_received":
            return None
        return not self.sent and asyncio.get_running_loop().time() >= self._closes_at


class ScriptedNetwork(httpcore.AsyncNetworkBackend):
    """A network whose every connection is the scripted one."""

    def __init__(self, connection: ScriptedConnection) -> None:
        self._connection = connection

    async def connect_tcp(self, *_: object, **__: object) -> httpcore.AsyncNetworkStream:
        return self._connection


def called(*answer: bytes, closes_after: float = NEVER, slot_after: float = 0.0) -> tuple[Outcome, bytes, bool]:
    """Make one call whose slot begins some seconds after it has connected.

    Return its outcome, what was sent, and whether the connection is closed when the call ends.
    """

    async def post() -> tuple[Outcome, bytes, bool]:
        connection = ScriptedConnection(answer, closes_after)

        async def wait() -> None:
            await asyncio.sleep(slot_after)

        async with isolated_client(transport=HttpTransport(network=ScriptedNetwork(connection))) as client:
            request = client.build_request("POST", "http://venue.example/", content=b"{}")
            outcome = await call(client, request, classify, timeout=20, gate=Gate(lambda: None, wait))
            return outcome, connection.sent, connection.is_closed

    return run_virtual(post())


def chunked_answer(body: bytes) -> list[bytes]:
    """Return the head of an answer and the chunks of its body."""
    head = b"HTTP/1.1 201 Made\r\nContent-Length: %d\r\n\r\n" % len(body)
    return [head, *(body[start : start + 1024] for start in range(0, len(body), 1024))]


def test_an_immediate_call_uses_a_connection_that_stays_open() -> None:
    outcome, sent, is_closed = called(*chunked_answer(b"{}"))
    assert (outcome, bool(sent), is_closed) == (Outcome(Kind.BOOKED), True, True)


def test_an_immediate_call_notices_that_the_server_closes() -> None:
    assert called(closes_after=0.001) == (STALE_CONNECTION, b"", True)


@pytest.mark.parametrize("slot_after", [0.95, 1.05])
def test_a_connection_can_wait_a_second_for_its_slot(slot_after: float) -> None:
    """Some servers close a connection that was idle for two seconds."""
    outcome, sent, is_closed = called(*chunked_answer(b"{}"), slot_after=slot_after)
    expected = Outcome(Kind.BOOKED) if slot_after < 1 else STALE_CONNECTION
    assert (outcome, bool(sent), is_closed) == (expected, slot_after < 1, True)


@pytest.mark.parametrize(("length", "kind"), [(65_536, Kind.BOOKED), (65_537, Kind.UNSURE)])
def test_at_most_64_kibibytes_of_an_answer_are_read(length: int, kind: Kind) -> None:
    outcome, _, is_closed = called(*chunked_answer(b"{}".ljust(length)))
    assert (outcome.kind, is_closed) == (kind, True)


def test_a_longer_answer_is_not_waited_for_and_closes_the_connection() -> None:
    """The server announces a megabyte, sends a byte more than is read, and hangs."""
    head = b"HTTP/1.1 201 Made\r\nContent-Length: 1048576\r\n\r\n"
    outcome, _, is_closed = called(head, b"x" * 65_537)
    assert (outcome, is_closed) == (Outcome(Kind.UNSURE, detail="unreadable"), True)
