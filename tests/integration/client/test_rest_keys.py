"""The role of a key: the real PostgREST and its imitation choose the same."""

from __future__ import annotations

import time

import httpx
import pytest

from prebooking.local.keys import Keys
from tests.support.database import Rest

pytestmark = pytest.mark.anyio

FUNCTIONS = b"""
create function who() returns jsonb language sql as $$ select jsonb_build_object('role', current_user,
  'claims', current_setting('request.jwt.claims')::jsonb, 'isolation', current_setting('transaction_isolation')) $$;
"""


async def who(rest: Rest, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.post(f"{rest.url}/rest/v1/rpc/who", json={}, headers=headers)


@pytest.mark.parametrize("header", ["apikey", "Authorization", "authorization"])
async def test_both_headers_accept_a_key(shared_rest: Rest, header: str) -> None:
    value = shared_rest.service_key if header == "apikey" else f"Bearer {shared_rest.service_key}"
    assert (await who(shared_rest, **{header: value})).json()["role"] == "service_role"


async def test_a_secret_key_is_service_role_and_a_publishable_key_is_anon(shared_rest: Rest) -> None:
    roles = [
        (await who(shared_rest, apikey=key)).json()["role"] for key in (shared_rest.service_key, shared_rest.anon_key)
    ]
    assert roles == ["service_role", "anon"]


@pytest.mark.parametrize("role", ["service_role", "anon", "authenticated"])
async def test_a_signed_key_names_its_role(shared_rest: Rest, role: str) -> None:
    identity = (await who(shared_rest, Authorization=f"Bearer {shared_rest.keys.sign(role=role, sub='m1')}")).json()
    assert identity == {"role": role, "claims": {"role": role, "sub": "m1"}, "isolation": "read committed"}


async def test_without_a_key_or_a_role_the_caller_is_anon(shared_rest: Rest) -> None:
    without_a_key = await who(shared_rest)
    without_a_role = await who(shared_rest, Authorization=f"Bearer {shared_rest.keys.sign(sub='m1')}")
    assert [reply.json()["role"] for reply in (without_a_key, without_a_role)] == ["anon", "anon"]


async def test_the_bearer_token_takes_precedence_over_the_key(shared_rest: Rest) -> None:
    bearer = f"Bearer {shared_rest.keys.sign(role='authenticated')}"
    assert (await who(shared_rest, apikey=shared_rest.anon_key, Authorization=bearer)).json()["role"] == "authenticated"


async def test_a_key_with_another_signature_is_refused(shared_rest: Rest) -> None:
    reply = await who(shared_rest, Authorization=f"Bearer {Keys().sign(role='service_role')}")
    assert (reply.status_code, reply.json()["code"]) == (401, "PGRST301")
    assert reply.headers["www-authenticate"].startswith('Bearer error="invalid_token"')


async def test_a_key_with_changed_claims_is_refused(shared_rest: Rest) -> None:
    (header, _, signature), (_, claims, _) = (
        shared_rest.keys.sign(role=role).split(".") for role in ("anon", "service_role")
    )
    reply = await who(shared_rest, Authorization=f"Bearer {header}.{claims}.{signature}")
    assert (reply.status_code, reply.json()["code"]) == (401, "PGRST301")


@pytest.mark.parametrize("key", ["junk", "two.parts", "not.a.key", "sb_secret_of_another_project"])
async def test_an_invalid_key_is_refused(shared_rest: Rest, key: str) -> None:
    reply = await who(shared_rest, Authorization=f"Bearer {key}")
    assert (reply.status_code, reply.json()["code"]) == (401, "PGRST301")


async def test_an_expired_key_is_refused(shared_rest: Rest) -> None:
    reply = await who(
        shared_rest, Authorization=f"Bearer {shared_rest.keys.sign(role='service_role', exp=int(time.time()) - 60)}"
    )
    assert (reply.status_code, reply.json()["message"]) == (401, "JWT expired")
    assert reply.json()["code"] in {"PGRST303", "PGRST301"}  # the latter up to PostgREST 12


async def test_a_key_that_has_not_expired_is_accepted(shared_rest: Rest) -> None:
    reply = await who(
        shared_rest, Authorization=f"Bearer {shared_rest.keys.sign(role='service_role', exp=int(time.time()) + 60)}"
    )
    assert reply.json()["role"] == "service_role"


async def test_a_key_with_a_role_that_the_gateway_lacks_is_refused(shared_rest: Rest) -> None:
    reply = await who(shared_rest, Authorization=f"Bearer {shared_rest.keys.sign(role='postgres')}")
    assert (reply.status_code, reply.json()["code"]) == (403, "42501")
