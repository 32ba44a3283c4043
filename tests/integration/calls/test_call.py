"""Calls on real sockets to servers that misbehave: they end in time, in little memory, and with the right outcome."""

from __future__ import annotations

import gzip
import time
import zlib

import httpx
import pytest

from prebooking.bookers import Gate
from prebooking.bookers.call import REPLY_LIMIT, Reply, call
from prebooking.bookers.webhook.booker import classify
from prebooking.http import isolated_client
from prebooking.model import Kind, Outcome
from tests.support.allocations import at_most_allocated
from tests.support.bookers import post
from tests.support.doubles import at_once
from tests.support.peers import OK, Peer, Script, answers, serve, silence, unused_port
from tests.verification.hostile_replies import BROKEN, MEBIBYTE, SLOW, TOO_MUCH, after_a_request, endless_continues

pytestmark = pytest.mark.anyio


async def outcome_of(script: Script, *, timeout: float = 20) -> Outcome:  # noqa: ASYNC109 - as call's
    """Call a server that runs the script; require one request and a closed connection."""
    async with serve(script) as server:
        async with isolated_client() as client:
            outcome = await post(client, server.url, timeout=timeout)
        await server.left()
        assert len(server.requests()) == 1, "a call is sent once"
    return outcome


async def test_a_clear_answer_is_its_outcome() -> None:
    assert await outcome_of(answers(OK)) == Outcome(Kind.BOOKED)


# Nothing was sent: the call may be tried again.


async def test_a_refused_connection_sends_nothing() -> None:
    async with isolated_client() as client:
        outcome = await post(client, f"http://127.0.0.1:{unused_port()}")
    assert outcome == Outcome(Kind.NOT_SENT, detail="ConnectError")


async def test_an_unknown_host_gets_nothing() -> None:
    async with isolated_client() as client:
        assert (await post(client, "https://nobody.invalid")).kind is Kind.NOT_SENT


async def test_a_server_without_tls_gets_nothing() -> None:
    async def script(peer: Peer) -> None:
        await peer.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        peer.close()

    async with serve(script) as server, isolated_client() as client:
        outcome = await post(client, server.url.replace("http", "https"))
    assert outcome.kind is Kind.NOT_SENT


async def test_a_server_with_a_hanging_tls_handshake_gets_nothing() -> None:
    async with serve(silence) as server:
        async with isolated_client(connect_timeout=0.1) as client:
            outcome = await post(client, server.url.replace("http", "https"))
        await server.left()
    assert outcome == Outcome(Kind.NOT_SENT, detail="ConnectTimeout")


# Something may have been sent: only the venue can tell the result.


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN.keys())
async def test_a_malformed_answer_is_unsure(text: bytes) -> None:
    assert (await outcome_of(after_a_request(text))).kind is Kind.UNSURE


@pytest.mark.parametrize("text", [b"", b"HTTP/1.1 20", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}"])
async def test_a_reset_connection_is_unsure(text: bytes) -> None:
    assert (await outcome_of(after_a_request(text, Peer.reset))).kind is Kind.UNSURE


async def test_a_connection_reset_at_the_first_byte_is_unsure() -> None:
    async with serve(silence) as server, isolated_client() as client:

        def break_off() -> None:
            server.peers[0].reset()

        gate = Gate(break_off, server.connected)
        request = client.build_request("POST", server.url, content=b"{}")
        assert (await call(client, request, classify, timeout=20, gate=gate)).kind is Kind.UNSURE
        assert server.requests() == []


async def test_an_answer_that_raises_in_its_reader_is_unsure() -> None:
    def breaks(_: Reply) -> Outcome:
        raise RecursionError("canary")

    async with serve(answers(OK)) as server, isolated_client() as client:
        outcome = await call(client, client.build_request("POST", server.url), breaks, timeout=20, gate=at_once)
    assert outcome == Outcome(Kind.UNSURE, detail="RecursionError")


@pytest.mark.parametrize("script", [silence, *SLOW.values()], ids=["silence", *SLOW])
async def test_an_answer_without_end_is_unsure_at_the_timeout(script: Script) -> None:
    async with serve(script) as server, isolated_client() as client:
        started = time.monotonic()
        outcome = await post(client, server.url, timeout=0.3)
        took = time.monotonic() - started
    assert outcome == Outcome(Kind.UNSURE, detail="TimeoutError")
    assert 0.3 <= took < 2


# Answers that are too long are not read.


@pytest.mark.parametrize("script", [*TOO_MUCH.values(), endless_continues], ids=[*TOO_MUCH, "endless continues"])
async def test_a_huge_answer_is_unsure_and_costs_little_memory(script: Script) -> None:
    await outcome_of(answers(OK))  # the caches of the libraries do not count
    with at_most_allocated(32 * MEBIBYTE):
        assert (await outcome_of(script, timeout=0.5)).kind is Kind.UNSURE


@pytest.mark.parametrize(("length", "read"), [(REPLY_LIMIT, True), (REPLY_LIMIT + 1, False)])
async def test_a_body_is_read_up_to_the_limit(*, length: int, read: bool) -> None:
    replies = list[Reply]()

    def keep(reply: Reply) -> Outcome:
        replies.append(reply)
        return Outcome(Kind.BOOKED)

    async with (
        serve(answers(f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode() + b"x" * length)) as server,
        isolated_client() as client,
    ):
        await call(client, client.build_request("GET", server.url), keep, timeout=5, gate=at_once)
    assert replies == [Reply(200, b"x" * length if read else None)]


# Content codings that were not asked for are undone; unknown names of codings are ignored.


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        (b"utf-8", b'{"state": "full"}'),
        (b"gzip", gzip.compress(b'{"state": "full"}', mtime=0)),
        (b"deflate", zlib.compress(b'{"state": "full"}')),
        (b"GZIP, utf-8", gzip.compress(b'{"state": "full"}', mtime=0)),
    ],
)
async def test_a_compressed_answer_that_was_not_asked_for_is_read(coding: bytes, body: bytes) -> None:
    head = b"HTTP/1.1 422 No\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (coding, len(body))
    assert await outcome_of(answers(head + body)) == Outcome(Kind.FULL)


@pytest.mark.parametrize(
    ("type_", "body"),
    [
        (b"application/json; charset=ISO-8859-1", '{"state": "full", "why": "Básica está llena"}'.encode("latin-1")),
        (b"text/html; charset=windows-1252", '{"state": "full", "why": "5 €"}'.encode("cp1252")),
        (b"application/json", '{"state": "full", "why": "Básica"}'.encode("latin-1")),
        (b"application/json; charset=utf-8", '{"state": "full", "why": "Básic'.encode()[:-1] + b'\xc3"}'),
        (b"application/json", '{"state": "full", "why": "ñ"}'.encode("utf-8-sig")),
        (b"application/json; charset=utf-16", '{"state": "full", "why": "ñ"}'.encode("utf-16")),
    ],
)
async def test_an_answer_in_another_character_set_is_read(type_: bytes, body: bytes) -> None:
    """An answer is clear although a name in it is written in Latin-1, or cut off within a character."""
    head = b"HTTP/1.1 422 No\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (type_, len(body))
    assert await outcome_of(answers(head + body)) == Outcome(Kind.FULL)


def test_an_answer_is_decoded_with_the_character_set_that_it_names() -> None:
    latin = httpx.Headers({"content-type": 'application/json; charset="ISO-8859-1"'})
    assert Reply(200, '{"name": "Básica"}'.encode("latin-1"), latin).json_object() == {"name": "Básica"}
    assert Reply(200, '{"name": "Básica"}'.encode(), latin).json_object() == {"name": "Básica"}, "it is UTF-8"
    assert Reply(200, b'{"name": "B\xe1sica"}').json_object() == {"name": "B\ufffdsica"}


@pytest.mark.parametrize("coding", [b"br", b"gzip", b"deflate"])
async def test_an_answer_that_cannot_be_decompressed_is_unsure(coding: bytes) -> None:
    body = gzip.compress(b'{"state": "booked"}')[:-4]
    head = b"HTTP/1.1 201 Made\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (coding, len(body))
    assert (await outcome_of(answers(head + body))).kind is Kind.UNSURE
