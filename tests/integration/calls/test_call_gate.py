"""A call sends its first byte when its gate opens, and keeps nothing of an answer for the next call."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trustme

from prebooking.bookers import STALE_CONNECTION, Gate
from prebooking.bookers import call as call_module
from prebooking.errors import SendRefused
from prebooking.http import isolated_client, tls_context
from prebooking.model import Kind, Outcome
from tests.support.bookers import post
from tests.support.peers import OK, Peer, Server, answers, requests, serve, silence

pytestmark = pytest.mark.anyio


class WaitingGate:
    """A gate that stays closed until it is opened. ``reached``: a call waits in it; ``sent``: calls that passed it."""

    def __init__(self) -> None:
        self.reached, self.opened = asyncio.Event(), asyncio.Event()
        self.sent = 0
        self.gate = Gate(self._mark_sent, self._wait)

    async def _wait(self) -> None:
        self.reached.set()
        await self.opened.wait()

    def _mark_sent(self) -> None:
        self.sent += 1


@pytest.fixture
async def client(anyio_backend: str) -> AsyncIterator[httpx.AsyncClient]:
    async with isolated_client() as client:
        yield client


async def everything_arrives() -> None:
    """Let the event loop run until the bytes that were sent on this machine have been read."""
    for _ in range(20):
        await asyncio.sleep(0)


async def waits_in(gate: WaitingGate, server: Server, call: asyncio.Task[Any]) -> None:
    """Return when a call waits in the gate with an open connection; nothing has arrived by then."""
    await asyncio.wait_for(gate.reached.wait(), 20)
    await server.connected()
    await everything_arrives()
    assert not call.done()


async def test_while_the_gate_is_closed_the_connection_is_open_and_nothing_is_sent(client: httpx.AsyncClient) -> None:
    gate = WaitingGate()
    async with serve(answers(OK)) as server, asyncio.TaskGroup() as group:
        calling = group.create_task(post(client, server.url, gate.gate))
        await waits_in(gate, server, calling)
        assert server.received == [b""]
        assert not server.peers[0].ended.is_set()
        gate.opened.set()
        assert await calling == Outcome(Kind.BOOKED)
        assert len(server.requests()) == 1


def refuse() -> None:
    raise SendRefused("too late")


def must_not_be_called() -> None:
    raise AssertionError("nothing is sent")


async def go_wrong() -> None:
    raise LookupError("in the gate")


@pytest.mark.parametrize(
    ("gate", "error", "message"),
    [(Gate(refuse), SendRefused, "too late"), (Gate(must_not_be_called, go_wrong), LookupError, "in the gate")],
)
async def test_a_gate_that_raises_sends_nothing(
    client: httpx.AsyncClient, gate: Gate, error: type[Exception], message: str
) -> None:
    async with serve(silence) as server:
        with pytest.raises(error, match=message):
            await post(client, server.url, gate)
        await server.left()
        assert server.received == [b""]


async def test_a_call_cancelled_in_the_gate_sends_nothing(client: httpx.AsyncClient) -> None:
    gate = WaitingGate()
    async with serve(silence) as server:
        calling = asyncio.create_task(post(client, server.url, gate.gate))
        await waits_in(gate, server, calling)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await server.left()
        assert server.received == [b""]


async def test_a_call_that_times_out_in_the_gate_was_not_sent(client: httpx.AsyncClient) -> None:
    async with serve(silence) as server:
        outcome = await post(client, server.url, WaitingGate().gate, timeout=0.1)
        assert outcome == Outcome(Kind.NOT_SENT, detail="TimeoutError")
        await server.left()
        assert server.received == [b""]


async def test_a_call_cancelled_after_the_gate_was_sent(client: httpx.AsyncClient) -> None:
    async with serve(silence) as server:
        calling = asyncio.create_task(post(client, server.url))
        await server.connected()
        await server.peers[0].request()
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await server.left()
        assert len(server.requests()) == 1


async def test_calls_are_sent_in_the_order_of_their_gates(client: httpx.AsyncClient) -> None:
    gates = [WaitingGate() for _ in range(5)]
    async with serve(answers(OK)) as server, asyncio.TaskGroup() as group:
        calls = [group.create_task(post(client, f"{server.url}/{n}", gate.gate)) for n, gate in enumerate(gates)]
        await server.connected(5)
        for n in (3, 0, 4, 2, 1):
            gates[n].opened.set()
            await calls[n]
            assert sum(map(len, server.received)) == (len(server.requests())) * len(server.requests()[0])
    assert {call.result().kind for call in calls} == {Kind.BOOKED}


# An answer has no effect on other calls.


async def test_a_redirect_is_not_followed(client: httpx.AsyncClient) -> None:
    async with serve(answers(OK)) as other:
        for status in (301, 302, 303, 307, 308):
            moved = f"HTTP/1.1 {status} Moved\r\nLocation: {other.url}/\r\nContent-Length: 0\r\n\r\n".encode()
            async with serve(answers(moved)) as server:
                assert await post(client, server.url) == Outcome(Kind.UNSURE, detail=f"HTTP {status}")
                assert len(server.requests()) == 1
        assert other.peers == []


@pytest.mark.parametrize(
    "location",
    [
        b"",
        b"/",
        b"//",
        b"http://",
        b"http://[",
        b"http://[zz]/",
        b"http://a:99999/",
        b"\xff\xfe",
        b"?",
        b"ftp://a/",
        b"mailto:x",
        b"http://xn--a.com/",
        b"http://[::1",
    ],
)
async def test_a_redirect_with_an_invalid_location_is_unsure(client: httpx.AsyncClient, location: bytes) -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n"
    async with serve(answers(moved)) as server:
        assert (await post(client, server.url)).kind is Kind.UNSURE
        assert len(server.requests()) == 1


@pytest.mark.parametrize(
    "cookie",
    [
        b"session=ana",
        b"session=ana; Path=/; Domain=127.0.0.1; HttpOnly; SameSite=Lax; Max-Age=3600",
        b"session=ana; Expires=not a date; Version=one; Port=x",
        b"=; ;;",
    ],
)
async def test_a_cookie_is_not_sent_with_the_next_call(client: httpx.AsyncClient, cookie: bytes) -> None:
    sets = b"HTTP/1.1 200 OK\r\nSet-Cookie: " + cookie + b"\r\nContent-Length: 2\r\n\r\n{}"
    async with serve(answers(sets)) as server:
        assert [(await post(client, server.url)).kind for _ in range(2)] == [Kind.BOOKED] * 2
        first, second = server.requests()
        assert first == second
        assert b"cookie" not in second.lower()
    assert list(client.cookies.jar) == []


async def test_bytes_after_an_answer_are_not_the_next_answer(client: httpx.AsyncClient) -> None:
    async with serve(answers(OK + b"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n")) as server:
        assert [(await post(client, server.url)).kind for _ in range(3)] == [Kind.BOOKED] * 3
        assert len(server.peers) == 3, "the connection is closed with the bytes on it"


async def test_a_connection_with_a_too_long_answer_is_closed_at_once(client: httpx.AsyncClient) -> None:
    async with serve(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 99_999)) as server:
        async with asyncio.timeout(10):  # the last byte never comes
            assert (await post(client, server.url)).kind is Kind.UNSURE
        await server.left()


async def test_every_call_has_its_own_connection_which_is_closed_after_its_answer(
    client: httpx.AsyncClient,
) -> None:
    async with serve(answers(OK)) as server:
        for calls in (1, 2, 3):
            assert await post(client, server.url) == Outcome(Kind.BOOKED)
            await server.left()
            assert [len(requests(received)) for received in server.received] == [1] * calls


# Nothing is sent on a connection that was lost before its slot.


async def close(peer: Peer) -> None:
    peer.close()


async def reset(peer: Peer) -> None:
    peer.reset()


async def time_out(peer: Peer) -> None:
    await peer.say(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")


@asynccontextmanager
async def held_call(server: Server, url: str) -> AsyncIterator[tuple[WaitingGate, asyncio.Task[Outcome]]]:
    """Make a call whose connection is open and that waits for its slot."""
    held = WaitingGate()
    async with isolated_client() as client, asyncio.TaskGroup() as group:
        calling = group.create_task(post(client, url, held.gate))
        await waits_in(held, server, calling)
        yield held, calling


@asynccontextmanager
async def silent_server(*, secure: bool) -> AsyncIterator[tuple[Server, str]]:
    """Yield a server that never answers, and its address."""
    async with serve(silence, tls=certificate("localhost") if secure else None) as server:
        yield server, secured(server.url) if secure else server.url


def secured(url: str) -> str:
    return url.replace("http://127.0.0.1", "https://localhost")


@pytest.mark.parametrize("ends", [close, reset, time_out])
@pytest.mark.parametrize("secure", [False, True])
async def test_nothing_is_sent_on_a_connection_that_the_server_closed(
    ends: Callable[[Peer], Awaitable[None]], *, secure: bool
) -> None:
    async with silent_server(secure=secure) as (server, url):
        async with held_call(server, url) as (held, calling):
            await ends(server.peers[0])
            await everything_arrives()
            held.opened.set()
            assert await calling == STALE_CONNECTION
        await server.left()
        assert (held.sent, server.received) == (0, [b""])


async def test_tls_session_tickets_do_not_make_a_connection_stale() -> None:
    """TLS 1.3 servers send tickets after the handshake: a socket that can be read is not one that was closed."""
    async with serve(answers(OK), tls=certificate("localhost")) as server:
        async with held_call(server, secured(server.url)) as (held, calling):
            held.opened.set()
            assert await calling == Outcome(Kind.BOOKED)
        assert (held.sent, len(server.requests()), len(server.peers)) == (1, 1, 1)


@pytest.mark.parametrize(("age", "sent"), [(0.0, 0), (20.0, 1)])
async def test_nothing_is_sent_on_a_connection_that_is_too_old(
    monkeypatch: pytest.MonkeyPatch, age: float, sent: int
) -> None:
    monkeypatch.setattr(call_module, "FRESH", age)
    async with serve(answers(OK)) as server:
        async with held_call(server, server.url) as (held, calling):
            held.opened.set()
            assert (await calling == STALE_CONNECTION) is (sent == 0)
        assert (held.sent, len(server.requests())) == (sent, sent)


async def test_a_certificate_of_another_host_is_refused_and_nothing_is_sent() -> None:
    async with serve(answers(OK), tls=certificate("elsewhere.example")) as server, isolated_client() as client:
        outcome = await post(client, secured(server.url))
        assert (outcome.kind, server.requests()) == (Kind.NOT_SENT, [])


def certificate(name: str) -> ssl.SSLContext:
    """Return a server's side of TLS, with a certificate that this process trusts."""
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.configure_trust(tls_context())
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.mark.parametrize("secure", [False, True])
async def test_nothing_is_sent_on_a_connection_that_breaks_at_its_slot(
    monkeypatch: pytest.MonkeyPatch, *, secure: bool
) -> None:
    """The break is not read yet when the call looks at its connection, which it watches no further by its age."""
    monkeypatch.setattr(call_module, "NEW", 0.0)
    async with silent_server(secure=secure) as (server, url):
        async with held_call(server, url) as (held, calling):
            server.peers[0].reset()
            held.opened.set()
            assert await calling == STALE_CONNECTION
        await server.left()
        assert (held.sent, server.received) == (0, [b""])
