"""An imitation of PostgREST for ``POST /rest/v1/rpc/<function>``, so that Supabase's client runs with the real SQL.

It follows PostgREST's source, and tests compare it with the real PostgREST. The key determines the role, the catalog
determines the types of the arguments, each call is a transaction, and the SQLSTATE of an error determines the HTTP
status. Other parts of Supabase's REST API are missing: tables, filters and row limits.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, LiteralString

import psycopg
from aiohttp import web
from psycopg import sql
from psycopg_pool import ConnectionPool, PoolTimeout

from prebooking.local.keys import BadToken, Keys

_CONNECTIONS = 20  # calls at once; further calls wait for a connection, as in PostgREST
_POOL_TIMEOUT = 10.0  # seconds for which a call waits for a connection
_BODY_BYTES = 10_000_000

# SQLSTATE to HTTP status, longest prefix first: the table of PostgREST 12 (Error.hs). See _status for 42501 and PTxyz.
_STATUS = {
    "08": 503, "09": 500, "0L": 403, "0P": 403, "21000": 400, "23503": 409, "23505": 409, "25006": 405, "25": 500,
    "28": 403, "2D": 500, "38": 500, "39": 500, "3B": 500, "40": 500, "42883": 404, "42P01": 404,
    "53": 503, "54": 413, "55": 500, "57P01": 503, "57": 500, "58": 500, "F0": 500, "HV": 500, "P0001": 400,
    "P0": 500, "XX": 500,
}  # fmt: skip

# A function as in PostgREST's schema cache: its arguments, how many are required, and the kind of its result.
_FUNCTION: LiteralString = """
select a.names, a.types, cardinality(a.names) - p.pronargdefaults as required, p.proretset as many,
       p.prorettype = 'void'::regtype as void
from pg_catalog.pg_proc p cross join lateral (
  select coalesce(array_agg(coalesce(_.name, '') order by n), '{}') as names,
         coalesce(array_agg(pg_catalog.format_type(_.type, null) order by n), '{}') as types
  from unnest(p.proargnames, p.proargtypes::oid[]) with ordinality as _(name, type, n) where _.type is not null) a
where p.pronamespace = 'public'::regnamespace and p.proname = %s
  and p.prokind = 'f' and p.prorettype <> 'trigger'::regtype
"""

_BEGIN: LiteralString = """
select set_config('search_path', 'public', true), set_config('request.method', %s, true),
       set_config('request.jwt.claims', %s, true), set_config('role', %s, true)
"""


@dataclass(frozen=True, slots=True)
class RestReply:
    """An HTTP response."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def call(
    connection: psycopg.Connection[Any],
    *,
    keys: Keys,
    function: str,
    headers: Mapping[str, str],
    body: bytes,
    method: str = "POST",
) -> RestReply:
    """Execute one RPC in its own transaction on an idle connection, and return PostgREST's response.

    It is synchronous and needs no server, so that a test can call it while its virtual clock is stopped. The names of
    ``headers`` are in lower case. A GET is read-only, and its ``body`` has its arguments as JSON.
    """
    try:
        claims = keys.claims(headers)
    except BadToken as error:
        return _refusal(401, error.code, str(error), bearer=f'error="invalid_token", error_description="{error}"')
    try:
        arguments = json.loads(body or b"{}")
    except ValueError:
        return _refusal(400, "PGRST102", "Empty or invalid json")
    if not isinstance(arguments, dict):
        return _refusal(400, "PGRST102", "All object keys must match")
    try:
        with connection.transaction():
            return _run(connection, method, function, claims, arguments)
    except psycopg.Error as error:
        return _failure(error, claims["role"])


def _run(
    connection: psycopg.Connection[Any],
    method: str,
    function: str,
    claims: dict[str, Any],
    arguments: dict[str, Any],
) -> RestReply:
    if method == "GET":
        connection.execute("set transaction read only")
    connection.execute(_BEGIN, [method, json.dumps(claims), claims["role"]])
    for names, types, required, many, void in connection.execute(_FUNCTION, [function]).fetchall():
        if set(names[:required]) <= arguments.keys() <= set(names):
            given = {name: kind for name, kind in zip(names, types, strict=True) if name in arguments}
            answer = connection.execute(_query(function, given), [json.dumps(arguments)]).fetchall()
            return (
                RestReply(204)
                if void
                else RestReply(200, _joined([text for (text,) in answer], many=many), dict(_JSON))
            )
    return _unknown(function, sorted(arguments))


def _query(function: str, given: dict[str, str]) -> sql.Composed:
    """Return the SQL of a call. Every argument is read from one JSON value, with the type that is declared for it."""
    named = [sql.SQL("{0} := a.{0}").format(sql.Identifier(name)) for name in given]
    typed = [sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in given.items()]
    return sql.SQL(
        "with body as (select %s::json as value) "
        "select coalesce(to_json(r), 'null')::text from body, lateral {source}, lateral {function}({named}) r"
    ).format(
        source=sql.SQL("json_to_record(value) a({})").format(sql.SQL(", ").join(typed))
        if given
        else sql.SQL("(select) a"),
        function=sql.Identifier("public", function),
        named=sql.SQL(", ").join(named),
    )


def _joined(rows: list[str], *, many: bool) -> bytes:
    text = f"[{', '.join(rows)}]" if many else rows[0]
    return text.encode()


_JSON = {"content-type": "application/json; charset=utf-8"}


def _refusal(
    status: int,
    code: str,
    message: str,
    *,
    details: str | None = None,
    hint: str | None = None,
    bearer: str | None = None,
) -> RestReply:
    """Return an error in PostgREST's format; ``bearer`` is the error of the token, for a 401."""
    body = {"code": code, "details": details, "hint": hint, "message": message}
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    extra = {401: {"www-authenticate": f"Bearer {bearer or ''}".strip()}, 503: {"retry-after": "0"}}
    return RestReply(status, text.encode(), _JSON | extra.get(status, {}))


def _unknown(function: str, names: list[str]) -> RestReply:
    given = f"({', '.join(names)})" if names else " without parameters"
    searched = f" with parameter{'s' * (len(names) > 1)} {', '.join(names)}" if names else given
    return _refusal(
        404,
        "PGRST202",
        f"Could not find the function public.{function}{given} in the schema cache",
        details=f"Searched for the function public.{function}{searched} or with a single unnamed json/jsonb parameter, "
        "but no matches were found in the schema cache.",
    )


def _failure(error: psycopg.Error, role: str) -> RestReply:
    """Return an error of the database in PostgREST's format, with its message and details."""
    if error.sqlstate is None:  # the connection broke
        return _refusal(503, "PGRST001", "Database client error. Retrying the connection.")
    diagnosis = error.diag
    return _refusal(
        _status(error.sqlstate, anonymous=role == "anon"),
        error.sqlstate,
        diagnosis.message_primary or "",
        details=diagnosis.message_detail,
        hint=diagnosis.message_hint,
    )


def _status(sqlstate: str, *, anonymous: bool) -> int:
    if sqlstate == "42501":
        return 401 if anonymous else 403
    if sqlstate.startswith("PT"):
        return int(sqlstate[2:]) if sqlstate[2:].isdecimal() else 500
    return next((status for prefix, status in _STATUS.items() if sqlstate.startswith(prefix)), 400)


class _Server:
    """An HTTP server for ``call``. A call runs to its end even if its client disconnects."""

    def __init__(self, pool: ConnectionPool[psycopg.Connection[Any]], keys: Keys) -> None:
        self._pool, self._keys = pool, keys
        self._threads = ThreadPoolExecutor(_CONNECTIONS + 1, thread_name_prefix="rest")

    async def answer(self, request: web.Request) -> web.Response:
        reply = await self._reply(request)
        return web.Response(status=reply.status, body=reply.body or None, headers=reply.headers)

    async def _reply(self, request: web.Request) -> RestReply:
        root, _, function = request.path.rpartition("/")
        if root != "/rest/v1/rpc":
            return _refusal(404, "PGRST125", "Invalid path specified in request URL")
        if request.method not in {"GET", "POST"}:
            return _refusal(405, "PGRST101", f"Cannot use the {request.method} method on RPC")
        body = await request.read() if request.method == "POST" else json.dumps(dict(request.query)).encode()
        headers, loop = request.headers, asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: self._call(request.method, function, headers, body))

    def _call(self, method: str, function: str, headers: Mapping[str, str], body: bytes) -> RestReply:
        try:
            with self._pool.connection() as connection:
                return call(connection, keys=self._keys, function=function, headers=headers, body=body, method=method)
        except PoolTimeout:
            return _refusal(504, "PGRST003", "Timed out acquiring connection from connection pool.")

    def close(self) -> None:
        self._threads.shutdown()


@contextlib.asynccontextmanager
async def serve(dsn: str, keys: Keys, *, port: int = 0) -> AsyncIterator[str]:
    """Serve a database on this machine during the context, whose value is the project's URL.

    ``dsn`` connects as ``authenticator``, which may switch to any of Supabase's roles and has no other privileges.
    """
    pool: ConnectionPool[psycopg.Connection[Any]] = ConnectionPool(
        dsn,
        min_size=1,
        max_size=_CONNECTIONS,
        timeout=_POOL_TIMEOUT,
        open=False,
        kwargs={"autocommit": True},
        configure=_configure,
    )
    application = web.Application(client_max_size=_BODY_BYTES)
    with pool, contextlib.closing(_Server(pool, keys)) as server:
        application.router.add_route("*", "/{path:.*}", server.answer)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", port)
            await site.start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


def _configure(connection: psycopg.Connection[Any]) -> None:
    connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
