"""Connections on real sockets: ours, and httpcore's own, which have to behave alike."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial

import httpcore
import httpx
import pytest

from prebooking.http import HttpTransport
from prebooking.network import AT_ONCE, BUFFER, AsyncioNetwork
from tests.support.peers import Peer, Server, serve, silence, unused_port

pytestmark = pytest.mark.anyio
both = pytest.mark.parametrize("network", [AsyncioNetwork(), httpcore.AnyIOBackend()], ids=["ours", "httpcore"])
TIMEOUT = 20.0  # seconds
MANY = 64 * 1024 * 1024  # bytes: more than the buffers of two sockets


@asynccontextmanager
async def connected(
    network: httpcore.AsyncNetworkBackend, server: Server
) -> AsyncIterator[httpcore.AsyncNetworkStream]:
    """Yield the client's side of a connection."""
    connection = await network.connect_tcp("127.0.0.1", server.port, timeout=TIMEOUT)
    await server.connected()
    yield connection
    await connection.aclose()


async def everything_arrives() -> None:
    """Let the event loop run until what was sent on this machine has arrived."""
    for _ in range(200):
        await asyncio.sleep(0)


async def read_all(connection: httpcore.AsyncNetworkStream, at_once: int) -> bytes:
    """Read until the server has closed the connection."""
    received = bytearray()
    async with asyncio.timeout(TIMEOUT):
        while chunk := await connection.read(at_once):
            assert len(chunk) <= at_once
            received += chunk
    return bytes(received)


@both
@pytest.mark.parametrize("at_once", [1, 1000, 65_536])
async def test_all_bytes_arrive_in_order(network: httpcore.AsyncNetworkBackend, at_once: int) -> None:
    text = bytes(range(256)) * (16 if at_once == 1 else 8192)

    async def send(peer: Peer) -> None:
        await peer.say(text[:100])
        await peer.say(text[100:])
        peer.close()

    async with serve(send) as server, connected(network, server) as connection:
        assert await read_all(connection, at_once) == text


@both
async def test_the_server_waits_while_nothing_is_read(network: httpcore.AsyncNetworkBackend) -> None:
    sent = 0

    async def pour(peer: Peer) -> None:
        nonlocal sent
        for _ in range(MANY // BUFFER):
            await peer.say(bytes(BUFFER))
            sent += BUFFER
        peer.close()

    async with serve(pour) as server, connected(network, server) as connection:
        await everything_arrives()
        assert sent < MANY / 2
        assert len(await read_all(connection, BUFFER)) == MANY


@both
async def test_a_long_answer_leaves_the_event_loop_to_other_calls(network: httpcore.AsyncNetworkBackend) -> None:
    """An endless answer takes its reader's CPU time, so the reader has to wait between two chunks."""

    async def pour(peer: Peer) -> None:
        await peer.say(bytes(BUFFER))
        await peer.ended.wait()

    others = 0

    def other() -> None:
        nonlocal others
        others += 1
        asyncio.get_running_loop().call_soon(other)

    async with serve(pour) as server, connected(network, server) as connection:
        await everything_arrives()
        other()
        for _ in range(4):
            before = others
            assert await connection.read(1000)
            assert others > before


async def test_a_read_returns_few_bytes() -> None:
    """Parsing 64 KiB of empty informational answers takes 150 ms of CPU time, and other calls have to wait for it."""

    async def pour(peer: Peer) -> None:
        await peer.say(bytes(BUFFER))
        await peer.ended.wait()

    async with serve(pour) as server, connected(AsyncioNetwork(), server) as connection:
        await everything_arrives()
        assert [len(await connection.read(65_536)) for _ in range(4)] == [AT_ONCE] * 4


@both
async def test_a_broken_connection_is_an_error_and_a_closed_one_is_the_end(
    network: httpcore.AsyncNetworkBackend,
) -> None:
    async with serve(silence) as server, connected(network, server) as connection:
        server.peers[0].close()
        assert await read_all(connection, 10) == b""
    async with serve(silence) as server, connected(network, server) as connection:
        reading = asyncio.create_task(connection.read(10))
        await everything_arrives()
        server.peers[0].reset()
        with pytest.raises(httpcore.ReadError):
            await asyncio.wait_for(reading, TIMEOUT)


@both
async def test_a_closed_connection_is_readable_and_an_open_one_is_not(network: httpcore.AsyncNetworkBackend) -> None:
    async with serve(silence) as server, connected(network, server) as connection:
        await everything_arrives()
        assert not connection.get_extra_info("is_readable")
        server.peers[0].close()
        await everything_arrives()
        assert connection.get_extra_info("is_readable")


@both
async def test_a_closed_connection_is_readable_even_if_the_event_loop_had_no_time(
    network: httpcore.AsyncNetworkBackend,
) -> None:
    """Otherwise a request to the database is sent on an idle connection that its server has closed."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        connection = await network.connect_tcp("127.0.0.1", listening.getsockname()[1], timeout=TIMEOUT)
        with listening.accept()[0]:
            assert not connection.get_extra_info("is_readable")
        assert connection.get_extra_info("is_readable")
        assert not connection.get_extra_info("has_received"), "a TLS ticket that was not read yet stops no call"
        await connection.aclose()


async def test_nothing_is_written_to_a_connection_that_the_server_has_closed() -> None:
    async with serve(silence) as server, connected(AsyncioNetwork(), server) as connection:
        server.peers[0].close()
        await everything_arrives()
        with pytest.raises(httpcore.WriteError):
            await connection.write(b"a request")
        assert server.received == [b""]


async def test_an_answer_is_read_while_the_server_does_not_take_the_rest_of_the_request() -> None:
    """A server may refuse a long request by its headers. httpcore's own connection first sends all of it."""
    answer = b"HTTP/1.1 413 Too Long\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with httpx.AsyncClient(transport=HttpTransport()) as client, asyncio.timeout(TIMEOUT):
            posting = asyncio.create_task(client.post(url, content=bytes(MANY)))
            await everything_arrives()
            with listening.accept()[0] as server:
                server.sendall(answer)
                assert ((response := await posting).status_code, response.content) == (413, b"{}")


async def test_a_connection_can_be_closed_that_ended_before_all_bytes_were_sent() -> None:
    """asyncio closes it by itself when the rest has been sent, and must not be asked to close it again."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        connection = await AsyncioNetwork().connect_tcp("127.0.0.1", listening.getsockname()[1])
        with listening.accept()[0] as server:
            server.setblocking(False)  # noqa: FBT003 - the function takes it by position only
            await connection.write(bytes(MANY))
            server.shutdown(socket.SHUT_WR)
            assert await read_all(connection, 10) == b""
            async with asyncio.timeout(TIMEOUT):
                while connection.get_extra_info("socket").fileno() != -1:
                    with suppress(BlockingIOError):
                        server.recv(MANY)
                    await asyncio.sleep(0)
            await connection.aclose()


@both
async def test_a_handshake_has_a_timeout_and_closes_its_connection(network: httpcore.AsyncNetworkBackend) -> None:
    async with serve(silence) as server:
        connection = await network.connect_tcp("127.0.0.1", server.port, timeout=TIMEOUT)
        with pytest.raises(httpcore.ConnectTimeout):
            await connection.start_tls(ssl.create_default_context(), "localhost", timeout=0.01)
        await server.left()


@both
async def test_a_server_that_closes_during_the_handshake_is_an_error_of_connecting(
    network: httpcore.AsyncNetworkBackend,
) -> None:
    async def close(peer: Peer) -> None:
        peer.close()

    async with serve(close) as server:
        connection = await network.connect_tcp("127.0.0.1", server.port, timeout=TIMEOUT)
        with pytest.raises(httpcore.ConnectError):
            await connection.start_tls(ssl.create_default_context(), "localhost", timeout=TIMEOUT)


@both
@pytest.mark.parametrize("answer", [b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}", b""])
async def test_what_arrives_before_the_handshake_is_no_answer(
    network: httpcore.AsyncNetworkBackend, answer: bytes
) -> None:
    """Anyone on the way could have sent it. Without bytes, the server closes the connection."""

    async def speak(peer: Peer) -> None:
        await peer.say(answer)
        if not answer:
            peer.close()

    async with serve(speak) as server, connected(network, server) as connection:
        await everything_arrives()
        with pytest.raises(httpcore.ConnectError):
            await connection.start_tls(ssl.create_default_context(), "localhost", timeout=1)


@both
@pytest.mark.parametrize("host", ["venue..example", "a" * 64 + ".example"])
async def test_a_host_that_cannot_have_an_address_is_an_error_of_connecting(
    network: httpcore.AsyncNetworkBackend, host: str
) -> None:
    with pytest.raises(httpcore.ConnectError):
        await network.connect_tcp(host, 443, timeout=TIMEOUT)


@contextmanager
def full_server(port: int) -> Iterator[str]:
    """Yield an address that leaves connections unanswered, because its queue of new connections is full."""
    with ExitStack() as sockets:
        listening = sockets.enter_context(socket.socket())
        listening.bind(("127.0.0.2", port))
        listening.listen(0)
        for _ in range(4):
            waiting = sockets.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(("127.0.0.2", port))
        yield "127.0.0.2"


@both
async def test_connecting_has_a_timeout(network: httpcore.AsyncNetworkBackend) -> None:
    port = unused_port()
    with full_server(port) as address, pytest.raises(httpcore.ConnectTimeout):
        await network.connect_tcp(address, port, timeout=0.01)


@both
async def test_the_next_address_of_a_host_is_tried_while_the_first_does_not_answer(
    network: httpcore.AsyncNetworkBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def addresses(silent: str, *_: object, port: int, **__: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in (silent, "127.0.0.1")]

    async with serve(silence) as server:
        with full_server(server.port) as silent:
            found = partial(addresses, silent, port=server.port)
            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
            connection = await network.connect_tcp("venue.example", server.port, timeout=TIMEOUT)
        await server.connected()
        await connection.aclose()
