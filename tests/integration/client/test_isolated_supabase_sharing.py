"""Each invocation has its own database client: what it sends and closes, and the only object that two share."""

from __future__ import annotations

import asyncio
import json
import ssl
import types
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from enum import Enum
from typing import Any
from uuid import uuid4

import httpx
import pytest
import trustme
import yarl
from pydantic import SecretStr

from prebooking.clock import Clock, Deadline
from prebooking.database.client import IsolatedSupabase, create_isolated_supabase
from prebooking.errors import StoreRefused, StoreUnavailable
from prebooking.http import isolated_client, tls_context
from prebooking.settings import Settings
from supabase import AsyncClient, AsyncClientOptions
from tests.support.peers import GOOD, ScriptedTransport, answers, serve, silence
from tests.support.programs import run_python
from tests.support.world import ENVIRONMENT

pytestmark = pytest.mark.anyio

CLOCK = Clock()
KEY = ENVIRONMENT["SUPABASE_SERVICE_ROLE_KEY"]


def settings(url: str = "https://project.supabase.co") -> Settings:
    endpoint = "https://book.example.com"
    return Settings.from_environment(ENVIRONMENT | {"SUPABASE_URL": url, "BOOKING_WEBHOOK_URL": endpoint})


def open_client(url: str) -> AbstractAsyncContextManager[IsolatedSupabase]:
    return create_isolated_supabase(settings(url), uuid4(), clock=CLOCK)


async def ask(database: IsolatedSupabase, *, seconds: float = 20) -> None:
    await database.call("a_function_v1", {}, dict, until=deadline(seconds))


def deadline(seconds: float = 20) -> Deadline:
    return Deadline.within(CLOCK, seconds)


def json_answer(status: str, text: str, more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\n{more}Content-Type: application/json\r\nContent-Length: {len(text)}"
    return f"{head}\r\n\r\n{text}".encode()


EMPTY = json_answer("200 OK", "{}")

# What is sent.


async def code_of_failure(url: str) -> str:
    async with open_client(url) as database:
        with pytest.raises(StoreUnavailable) as failed:
            await ask(database)
    return failed.value.code


async def test_a_host_that_does_not_exist_has_its_own_code() -> None:
    assert await code_of_failure("https://nothing.invalid") == "unknown_host"


async def test_a_certificate_that_is_not_trusted_has_its_own_code() -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    async with serve(answers(b""), tls=context) as server:
        secure = server.url.replace("http://127.0.0.1", "https://localhost")
        assert (await code_of_failure(secure), server.requests()) == ("certificate", [])


async def test_a_call_is_one_post_to_the_function_with_the_key_and_the_instance() -> None:
    script, instance = ScriptedTransport(GOOD), uuid4()
    async with create_isolated_supabase(settings(), instance, clock=CLOCK, transport=script) as database:
        await database.call("a_function_v1", {"p": 1}, dict, until=deadline())
    [request] = script.requests
    assert (request.method, str(request.url)) == ("POST", "https://project.supabase.co/rest/v1/rpc/a_function_v1")
    assert json.loads(request.content) == {"p": 1}
    assert request.headers["x-instance-id"] == str(instance)
    assert request.headers["apikey"] == KEY
    assert request.headers["authorization"] == f"Bearer {KEY}"


async def test_a_call_is_what_a_client_of_supabase_sends() -> None:
    ours, theirs, instance = ScriptedTransport(GOOD), ScriptedTransport(GOOD), uuid4()
    async with create_isolated_supabase(settings(), instance, clock=CLOCK, transport=ours) as database:
        await database.call("a_function_v1", {"p": 1}, dict, until=deadline())
    async with isolated_client(headers={"Accept-Encoding": "identity"}, transport=theirs) as http:
        options = AsyncClientOptions(httpx_client=http, headers={"x-instance-id": str(instance)})
        supabase = AsyncClient(settings().supabase_url, KEY, options)
        await supabase.rpc("a_function_v1", {"p": 1}).execute()
    assert type(database.client) is type(supabase.postgrest)
    mine, other = (
        [(one.method, one.url, one.headers, one.content) for one in script.requests] for script in (ours, theirs)
    )
    assert mine == other


async def test_only_the_calls_are_sent_on_one_connection() -> None:
    async with serve(answers(EMPTY)) as server:
        async with open_client(server.url) as database:
            for _ in range(3):
                await ask(database)
        assert [request.split(b"\r\n")[0] for request in server.requests()] == [
            b"POST /rest/v1/rpc/a_function_v1 HTTP/1.1"
        ] * 3
        assert len(server.peers) == 1, "successive calls share a connection"


async def test_a_cookie_of_the_gateway_is_not_sent_back() -> None:
    unavailable = json_answer("503 Service Unavailable", "{}", "Set-Cookie: __cf_bm=1; Path=/\r\n")
    async with serve(answers(unavailable)) as server:
        async with open_client(server.url) as database:
            with pytest.raises(StoreUnavailable):
                await ask(database)
        assert len(server.requests()) == 3
        assert not any(b"cookie" in request.lower() for request in server.requests())


async def test_a_redirect_is_not_followed_and_the_key_goes_nowhere_else() -> None:
    async with serve(answers(EMPTY)) as other:
        moved = json_answer("307 Temporary Redirect", "", f"Location: {other.url}/\r\n")
        async with (
            serve(answers(moved)) as server,
            open_client(server.url) as database,
        ):
            with pytest.raises(StoreRefused, match="307"):
                await ask(database)
        assert other.peers == []


# Nothing stays open.


async def test_no_connection_stays_open() -> None:
    async with serve(answers(EMPTY)) as server:
        async with open_client(server.url) as database:
            await asyncio.gather(*(ask(database) for _ in range(5)))
            assert not any(peer.ended.is_set() for peer in server.peers)
        await server.left()


async def raise_after_a_call(url: str) -> None:
    async with open_client(url) as database:
        await ask(database)
        raise LookupError


async def test_no_connection_stays_open_after_an_exception() -> None:
    async with serve(answers(EMPTY)) as server:
        with pytest.raises(LookupError):
            await raise_after_a_call(server.url)
        await server.left()


async def test_no_connection_stays_open_after_a_cancelled_call() -> None:
    async with serve(silence) as server:
        task = asyncio.create_task(raise_after_a_call(server.url))
        await server.connected()
        await server.peers[0].request()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.left()


async def test_a_call_after_its_deadline_sends_nothing_on_an_open_connection() -> None:
    async with serve(answers(EMPTY)) as server:
        async with open_client(server.url) as database:
            await ask(database)
            with pytest.raises(StoreUnavailable):
                await ask(database, seconds=0)
        await server.left()
        assert len(server.requests()) == 1


# What is shared: one TLS context.

DATA = (str, bytes, int, float, complex, type(None), type, Enum, SecretStr, yarl.URL)
OURS = (Settings, Clock, asyncio.AbstractEventLoop)  # handed in, or the test's own
CODE = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType, property)


def mutable_parts(thing: Any) -> dict[int, Any]:
    """Return everything that can be reached from a thing by its attributes and items, and that could be changed."""
    seen, todo = dict[int, Any](), [thing]
    while todo:
        one = todo.pop()
        if id(one) not in seen and not isinstance(one, (*DATA, *OURS, *CODE)):
            seen[id(one)] = one
            todo += parts(one)
    return {key: one for key, one in seen.items() if not isinstance(one, tuple | frozenset)}


def parts(one: Any) -> Iterator[Any]:
    if isinstance(one, dict):
        yield from one.keys()
        yield from one.values()
    elif isinstance(one, list | tuple | set | frozenset):
        yield from one
    yield from getattr(one, "__dict__", {}).values()
    for kind in type(one).__mro__:
        slots = getattr(kind, "__slots__", ())
        for name in [slots] if isinstance(slots, str) else slots:
            yield getattr(one, name, None)
    yield getattr(one, "__self__", None)
    yield from [cell.cell_contents for cell in getattr(one, "__closure__", None) or ()]


async def test_two_clients_share_one_tls_context_and_nothing_else_mutable() -> None:
    one_settings, other_settings = settings(), settings()
    async with (
        create_isolated_supabase(one_settings, uuid4(), clock=Clock()) as one,
        create_isolated_supabase(other_settings, uuid4(), clock=Clock()) as other,
    ):
        one.client.rpc("a_function_v1", {})
        other.client.rpc("a_function_v1", {})
        mine, theirs = mutable_parts(one), mutable_parts(other)
    shared = [mine[key] for key in mine.keys() & theirs.keys()]
    assert any(isinstance(part, httpx.AsyncClient) for part in mine.values()), "the walk has reached the client"
    assert [type(part).__name__ for part in shared if part is not tls_context()] == []
    assert shared == [tls_context()]


_COUNT_LOADS = """
import asyncio, json, os, ssl, sys

loads = []
load = ssl.SSLContext.load_verify_locations

def counted(self, *args, **kwargs):
    loads.append(1)
    return load(self, *args, **kwargs)

ssl.SSLContext.load_verify_locations = counted

from uuid import uuid4
from api.cron import prebooking_scheduler  # what the platform imports
from prebooking.clock import Clock, Deadline
from prebooking.errors import StoreError
from prebooking.http import isolated_client
from prebooking.settings import Settings
from prebooking.database.client import IsolatedSupabase, create_isolated_supabase

at_import = len(loads)
settings = Settings.from_environment(json.loads(sys.argv[1]))

async def invocation():
    clock = Clock()
    async with create_isolated_supabase(settings, uuid4(), clock=clock) as database, isolated_client():
        try:
            await database.call("a_function_v1", {}, dict, until=Deadline.within(clock, 10))
        except StoreError as exc:
            return exc.code

async def main():
    return await asyncio.gather(*(invocation() for _ in range(5)))

print(json.dumps([at_import, len(loads), asyncio.run(main()), len(loads)]))
"""


def test_certificates_are_loaded_once_per_process_at_its_start() -> None:
    environment = ENVIRONMENT | {"SUPABASE_URL": "https://127.0.0.1:9"}
    done = run_python("-c", _COUNT_LOADS, json.dumps(environment), environment={})
    assert json.loads(done.stdout) == [1, 1, ["ConnectError"] * 5, 1]
    assert isinstance(tls_context(), ssl.SSLContext)
