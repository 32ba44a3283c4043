"""Responses of Supabase's RPC: the real PostgREST and its imitation give the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support.database import Database, Rest
from tests.support.factories import add_prebooking, add_venue
from tests.support.races import wait_until_somebody_is_blocked

Ask = Callable[..., Coroutine[Any, Any, httpx.Response]]

pytestmark = pytest.mark.anyio

FUNCTIONS = b"""
create function say_nothing() returns void language sql as '';
create function say_null() returns text language sql as 'select null::text';
create function say_text() returns text language sql as $$ select 'h\xc3\xa9 "there"'::text $$;
create function say_many() returns setof int language sql as 'select generate_series(1, 2)';
create function say_row(out a int, out b text) language sql as $$ select 1, 'x'::text $$;
create function say_rows() returns table (a int, b text) language sql as $$ values (1, 'x'), (2, null) $$;
create function add(a int, b int default 10) returns int language sql as 'select a + b';
create function same_ids(ids uuid[]) returns uuid[] language sql as 'select ids';
create function same_json(value jsonb) returns jsonb language sql as 'select value';
create function same_instant(at timestamptz) returns timestamptz language sql as 'select at';
create function is_more(a int) returns boolean language sql as 'select a > 0';
create function refuse(code text) returns int language plpgsql as $$
begin raise exception 'refused' using errcode = code, detail = 'some detail', hint = 'some hint'; end $$;
create table written (value int);
grant insert on written to service_role;
create function write(value int) returns void language sql as 'insert into written values (value)';
create function wait_and_write(value int) returns void language plpgsql as $$
begin perform pg_advisory_xact_lock(value); insert into written values (value); end $$;
create function be_cut() returns void language sql security definer
as 'select pg_cancel_backend(pg_backend_pid()), pg_sleep(30)';
create table rules (value int constraint not_negative check (value >= 0));
grant insert on rules to service_role;
create function obey(value int) returns void language sql as 'insert into rules values (value)';
create function look(what text) returns int language plpgsql as $$
declare n int; begin execute format('select count(*) from %I', what) into n; return n; end $$;
"""


def error(code: str, message: str, details: str | None = None, hint: str | None = None) -> dict[str, str | None]:
    """Return the body of an error."""
    return {"code": code, "message": message, "details": details, "hint": hint}


@pytest.fixture
async def ask(shared_rest: Rest) -> AsyncIterator[Ask]:
    async with httpx.AsyncClient(base_url=f"{shared_rest.url}/rest/v1") as client:

        async def _ask(
            function: str,
            arguments: Any = None,
            *,
            key: str = shared_rest.service_key,
            method: str = "POST",
            **more: Any,
        ) -> httpx.Response:
            headers = {"apikey": key, "Authorization": f"Bearer {key}"}
            return await client.request(method, f"/rpc/{function}", json=arguments, headers=headers, **more)

        yield _ask


@pytest.mark.parametrize(
    ("function", "arguments", "answer"),
    [
        ("add", {"a": 1, "b": 2}, "3"),
        ("add", {"a": 1}, "11"),
        ("add", {"a": "1", "b": 2}, "3"),
        ("add", {"a": None}, "null"),
        ("is_more", {"a": 1}, "true"),
        ("say_null", {}, "null"),
        ("say_null", None, "null"),
        ("say_text", {}, '"hé \\"there\\""'),
        ("same_json", {"value": {"b": [1, None, 1.0], "a": "x"}}, '{"a": "x", "b": [1, null, 1.0]}'),
        ("same_ids", {"ids": ["6f1f5f5e-0000-4000-8000-000000000000"]}, '["6f1f5f5e-0000-4000-8000-000000000000"]'),
        ("same_ids", {"ids": []}, "[]"),
        ("same_instant", {"at": "2026-01-01T00:00:00+02:00"}, '"2025-12-31T22:00:00+00:00"'),
        ("say_many", {}, "[1, 2]"),
        ("say_row", {}, '{"a":1,"b":"x"}'),
    ],
)
async def test_a_single_value_is_bare_json(
    ask: Ask, function: str, arguments: dict[str, Any] | None, answer: str
) -> None:
    reply = await ask(function, arguments)
    assert (reply.status_code, reply.text) == (200, answer)
    assert reply.headers["content-type"] == "application/json; charset=utf-8"


async def test_rows_are_a_list(ask: Ask) -> None:
    assert (await ask("say_rows")).json() == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]


async def test_void_is_204_without_a_body(ask: Ask) -> None:
    reply = await ask("say_nothing", {})
    assert (reply.status_code, reply.content) == (204, b"")


async def test_a_claim_is_one_value(ask: Ask, shared_database: Database) -> None:
    row = add_prebooking(shared_database.connection, add_venue(shared_database.connection))
    limits = {"p_limit": 10, "p_fire_within_ms": 5000, "p_stagger_ms": 50, "p_lead_ms": 0}
    leases = {"p_lease_ms": 30_000, "p_turn_ms": 8000}
    reply = await ask(
        "claim_due_prebookings_v1", {"p_instance": str(uuid4()), "p_providers": ["webhook"]} | limits | leases
    )
    assert [claimed["id"] for claimed in reply.json()["rows"]] == [str(row)]


@pytest.mark.parametrize(
    ("arguments", "given", "searched"),
    [
        ({}, " without parameters", " without parameters"),
        ({"b": 1}, "(b)", " with parameter b"),
        ({"c": 1, "a": 1}, "(a, c)", " with parameters a, c"),
    ],
)
async def test_a_function_with_other_arguments_is_unknown(
    ask: Ask, arguments: dict[str, Any], given: str, searched: str
) -> None:
    reply = await ask("add", arguments)
    body = reply.json()
    assert (reply.status_code, body["code"]) == (404, "PGRST202")
    assert body["message"] == f"Could not find the function public.add{given} in the schema cache"
    assert body["details"] == (
        f"Searched for the function public.add{searched} or with a single unnamed json/jsonb parameter, "
        "but no matches were found in the schema cache."
    )


@pytest.mark.parametrize("function", ["no_such_function_here", "prebookings_fill"])
async def test_a_missing_function_or_a_trigger_s_is_unknown(ask: Ask, function: str) -> None:
    reply = await ask(function, {})
    assert (reply.status_code, reply.json()["code"]) == (404, "PGRST202")


@pytest.mark.parametrize(
    ("function", "arguments", "code"),
    [
        ("add", {"a": "x"}, "22P02"),
        ("same_ids", {"ids": ["6f"]}, "22P02"),
        ("same_instant", {"at": "soon"}, "22007"),
        ("add", {"a": 2**31}, "22003"),
        ("add", {"a": 2**31 - 1, "b": 1}, "22003"),
    ],
)
async def test_a_value_of_the_wrong_kind_is_refused(
    ask: Ask, function: str, arguments: dict[str, Any], code: str
) -> None:
    reply = await ask(function, arguments)
    assert (reply.status_code, reply.json()["code"]) == (400, code)


@pytest.mark.grid
@pytest.mark.parametrize(
    ("code", "status"),
    {
        "08006": 503, "09000": 500, "0A000": 400, "0L000": 403, "0P000": 403, "21000": 400, "22004": 400, "22023": 400,
        "23503": 409, "23505": 409, "23514": 400, "25000": 500, "25006": 405, "28000": 403, "2D000": 500, "38000": 500,
        "39000": 500, "3B000": 500, "3F000": 400, "40P01": 500, "42501": 403, "42883": 404, "42P01": 404, "42P17": 400,
        "53300": 503, "53400": 503, "54000": 413, "55000": 500, "55P03": 500, "57014": 500, "57P01": 503, "58000": 500,
        "F0000": 500, "HV000": 500, "P0001": 400, "P0002": 500, "PT409": 409, "PT503": 503, "XX000": 500,
    }.items(),
)  # fmt: skip
async def test_the_sqlstate_of_an_error_decides_the_status(ask: Ask, code: str, status: int) -> None:
    reply = await ask("refuse", {"code": code})
    assert (reply.status_code, reply.json()) == (status, error(code, "refused", "some detail", "some hint"))


async def test_a_violated_check_has_the_row_in_its_details(ask: Ask, shared_database: Database) -> None:
    venue, me = add_venue(shared_database.connection), uuid4()
    lease = {"claimed_by": me, "claimed_until": "2100-01-01", "turn_until": "2100-01-01"}
    row = add_prebooking(shared_database.connection, venue, user_email="secret@example.com", **lease)
    arguments = {"p_id": str(row), "p_instance": str(me), "p_outcome": "full", "p_attempts": 1}
    absent = dict.fromkeys(("p_booking_id", "p_fired_at", "p_answered_at"))
    reply = await ask("complete_prebooking_v1", arguments | absent)
    assert (reply.status_code, reply.json()["code"]) == (400, "23514")
    assert "secret@example.com" in reply.json()["details"]


async def test_a_missing_privilege_is_401_for_anon_and_403_for_a_member(ask: Ask, shared_rest: Rest) -> None:
    cancel = ("cancel_prebooking_v1", {"p_id": str(uuid4()), "p_user_email": "me@example.com"})
    visitor = await ask(*cancel, key=shared_rest.anon_key)
    member = await ask(*cancel, key=shared_rest.keys.sign(role="authenticated"))
    for reply in (visitor, member):
        assert (reply.json()["code"], reply.json()["details"]) == ("42501", None)
        assert reply.json()["message"] == "permission denied for function cancel_prebooking_v1"
    assert (visitor.status_code, visitor.headers["www-authenticate"]) == (401, "Bearer")
    assert (member.status_code, member.headers.get("www-authenticate")) == (403, None)


async def test_a_cancelled_statement_is_an_error_with_its_sqlstate(ask: Ask) -> None:
    reply = await ask("be_cut")
    assert (reply.status_code, reply.json()) == (500, error("57014", "canceling statement due to user request"))


async def test_a_violated_check_is_named(ask: Ask) -> None:
    reply = await ask("obey", {"value": -1})
    assert (reply.status_code, reply.json()["code"]) == (400, "23514")
    assert 'violates check constraint "not_negative"' in reply.json()["message"]
    assert reply.json()["details"] == "Failing row contains (value) = (-1)."


@pytest.mark.parametrize(
    ("what", "status", "code"),
    [("nothing", 404, "42P01"), ("prebooking_runs", 200, None), ("pg_authid", 403, "42501")],
)
async def test_an_error_inside_a_function_is_the_call_s_error(
    ask: Ask, what: str, status: int, code: str | None
) -> None:
    reply = await ask("look", {"what": what})
    assert (reply.status_code, reply.json()["code"] if code else None) == (status, code)


async def test_a_get_can_read_but_not_write(ask: Ask) -> None:
    read = await ask("add", method="GET", params={"a": 1, "b": 2})
    write = await ask("write", method="GET", params={"value": 1})
    assert (read.status_code, read.text) == (200, "3")
    assert (write.status_code, write.json()["code"]) == (405, "25006")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_other_methods_are_refused(ask: Ask, method: str) -> None:
    reply = await ask("add", {"a": 1}, method=method)
    assert (reply.status_code, reply.json()) == (405, error("PGRST101", f"Cannot use the {method} method on RPC"))


async def test_a_body_without_json_is_refused(shared_rest: Rest) -> None:
    async with httpx.AsyncClient() as client:
        headers = {"Authorization": f"Bearer {shared_rest.service_key}", "content-type": "application/json"}
        reply = await client.post(f"{shared_rest.url}/rest/v1/rpc/add", content=b"{bad", headers=headers)
    assert (reply.status_code, reply.json()) == (400, error("PGRST102", "Empty or invalid json"))


@pytest.mark.parametrize("path", ["/rest/v1/rpc/a/b", "/rest/v1/venues/x", "/rest/v1/nothing"])
async def test_another_path_is_not_found(shared_rest: Rest, path: str) -> None:
    async with httpx.AsyncClient() as client:
        reply = await client.post(f"{shared_rest.url}{path}", json={}, headers={"apikey": shared_rest.service_key})
    assert reply.status_code == 404


async def test_each_call_is_a_transaction_of_its_own(ask: Ask, shared_database: Database) -> None:
    await ask("write", {"value": 1})
    await ask("write", {"value": "many"})
    assert shared_database.connection.execute("select value from written where value <> 7").fetchall() == [(1,)]


async def test_a_cancelled_request_does_not_undo_its_call(ask: Ask, shared_database: Database) -> None:
    lock, look = shared_database.connect(), shared_database.connection
    lock.execute("select pg_advisory_lock(7)")
    calling = asyncio.create_task(ask("wait_and_write", {"value": 7}))
    await asyncio.to_thread(wait_until_somebody_is_blocked, look, by=lock)
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)
    lock.execute("select pg_advisory_unlock(7)")
    lock.execute("select pg_advisory_lock(7)")  # waits for the call, whose transaction has the lock
    assert look.execute("select value from written where value = 7").fetchall() == [(7,)]
