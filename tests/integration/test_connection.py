"""One connection to the venue is open before anybody asks for it; the first who does gets it, and none is left."""

from __future__ import annotations

import asyncio
import ssl

import pytest
import trustme

from prebooking import connection
from prebooking.bookers.call import HEADERS, call
from prebooking.bookers.webhook import classify
from prebooking.connection import ConnectedBy, OpenedAhead
from prebooking.http import isolated_client, tls_context
from prebooking.model import Kind
from tests.doubles import at_once
from tests.peers import answers, serve, silence

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


async def posts(network: OpenedAhead, url: str) -> Kind:
    """Make a call, as a venue's first one: by a client that has no connection of its own yet."""
    async with isolated_client(transport=ConnectedBy(network)) as client:
        request = client.build_request("POST", f"{url}/book", content=b"{}", headers=HEADERS)
        return (await call(client, request, classify, timeout=20, gate=at_once)).kind


def a_certificate(name: str) -> ssl.SSLContext:
    """Return a server's side of TLS, with a certificate that this process trusts."""
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.configure_trust(tls_context())
    authority.issue_cert(name).configure_cert(context)
    return context


async def everything_arrives() -> None:
    """Let the loop go round until both ends know of each other."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_first_call_leaves_on_the_connection_that_was_there_before_it() -> None:
    async with serve(answers(OK)) as server, OpenedAhead(server.url) as network:
        await server.connected()
        assert await posts(network, server.url) is Kind.BOOKED
        assert len(server.peers) == 1


async def test_it_is_given_out_once() -> None:
    async with serve(answers(OK)) as server, OpenedAhead(server.url) as network:
        assert await asyncio.gather(*(posts(network, server.url) for _ in range(3))) == [Kind.BOOKED] * 3
        assert [len(server.peers), len(server.requests())] == [3, 3]


async def test_it_is_of_use_over_tls_with_the_handshake_done() -> None:
    async with serve(answers(OK), tls=a_certificate("localhost")) as server:
        url = server.url.replace("http://127.0.0.1", "https://localhost")
        async with OpenedAhead(url) as network:
            await server.connected()  # a peer is there when its handshake is done
            assert await posts(network, url) is Kind.BOOKED
            assert len(server.peers) == 1


async def test_a_certificate_of_somebody_else_is_refused_and_nothing_sent() -> None:
    async with serve(answers(OK), tls=a_certificate("elsewhere.example")) as server:
        url = server.url.replace("http://127.0.0.1", "https://localhost")
        async with OpenedAhead(url) as network:
            assert await posts(network, url) is Kind.NOT_SENT
            assert server.requests() == []


async def test_it_is_for_its_own_origin_alone() -> None:
    async with serve(answers(OK)) as server, serve(answers(OK)) as other, OpenedAhead(server.url) as network:
        await server.connected()
        assert await posts(network, other.url) is Kind.BOOKED
        assert [server.requests(), len(other.requests())] == [[], 1]


async def test_one_that_cannot_be_had_is_not_sent_on_and_the_next_call_connects_by_itself() -> None:
    async with serve(answers(OK)) as server:
        url = server.url
    async with OpenedAhead(url) as network:
        assert await posts(network, url) is Kind.NOT_SENT
        assert await posts(network, url) is Kind.NOT_SENT


async def test_one_that_has_waited_too_long_is_closed_and_another_one_made(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve(answers(OK)) as server, OpenedAhead(server.url) as network:
        await server.connected()
        monkeypatch.setattr(connection, "FRESH", 0.0)
        assert await posts(network, server.url) is Kind.BOOKED
        assert [len(peer.received) > 0 for peer in server.peers] == [False, True]
        await server.left()


async def test_it_is_closed_if_nobody_comes_for_it() -> None:
    async with serve(silence) as server:
        async with OpenedAhead(server.url):
            await server.connected()
            await everything_arrives()
        await server.left()


async def test_one_that_is_still_in_its_handshake_is_closed_too() -> None:
    async with serve(silence) as server:
        async with OpenedAhead(server.url.replace("http:", "https:")):
            await server.connected()
            await everything_arrives()
        await server.left()
