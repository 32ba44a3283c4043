"""The limits of the database's client on the length of an answer."""

from __future__ import annotations

import gzip
import zlib
from uuid import uuid4

import pytest

from prebooking.clock import Clock, Deadline
from prebooking.database import client
from prebooking.database.client import ANSWER_LIMIT, Answer, create_isolated_supabase
from prebooking.errors import StoreUnavailable
from prebooking.run.scheduler import CLAIM_LIMIT
from prebooking.settings import Settings
from tests.support.allocations import at_most_allocated
from tests.support.database import Database
from tests.support.peers import Script, answers, serve
from tests.support.world import ENVIRONMENT
from tests.verification.hostile_replies import (
    MEBIBYTE,
    TOO_MUCH,
    ok,
)

pytestmark = pytest.mark.anyio

CLOCK = Clock()


async def ask(script: Script) -> tuple[Answer[str], bytes]:
    """Call a function once; return its answer and the request."""
    async with serve(script) as server:
        settings = Settings.from_environment(ENVIRONMENT | {"SUPABASE_URL": server.url})
        async with create_isolated_supabase(settings, uuid4(), clock=CLOCK) as database:
            until = Deadline.within(CLOCK, 20)
            answer = await database.call("a_function_v1", {}, str, until=until)
        return answer, server.requests()[0]


async def test_no_compression_is_asked_for() -> None:
    _, request = await ask(answers(ok(b"1")))
    assert b"accept-encoding: identity\r\n" in request.lower()


@pytest.mark.parametrize(
    ("coding", "body"), [("gzip", gzip.compress(b"12", mtime=0)), ("deflate", zlib.compress(b"12")), ("utf-8", b"12")]
)
async def test_a_compressed_answer_that_was_not_asked_for_is_read(coding: str, body: bytes) -> None:
    assert (await ask(answers(ok(body, f"Content-Encoding: {coding}"))))[0].value == "12"


@pytest.mark.parametrize(
    ("name", "error", "memory"),
    [
        ("bomb", "DecodingError", 48 * MEBIBYTE),
        ("bomb in capitals", "DecodingError", 48 * MEBIBYTE),
        ("endless body", "AnswerTooLong", 32 * MEBIBYTE),
        ("endless body without a length", "AnswerTooLong", 32 * MEBIBYTE),
    ],
)
async def test_a_huge_answer_is_read_and_unpacked_up_to_the_limit(name: str, error: str, memory: int) -> None:
    with at_most_allocated(memory), pytest.raises(StoreUnavailable, match=error):
        await ask(TOO_MUCH[name])


async def test_an_answer_of_exactly_the_limit_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER_LIMIT", 5)
    assert (await ask(answers(ok(b"12345"))))[0].value == "12345"
    with pytest.raises(StoreUnavailable, match="AnswerTooLong"):
        await ask(answers(ok(b"123456")))


_LONGEST = r"""
select conname, substring(pg_get_constraintdef(oid) from '<= (\d+)')::int from pg_constraint
where conname in ('booking_data_is_short', 'member_sessions_sealed_check')
"""


def test_the_longest_possible_claim_fits_into_the_limit(database: Database) -> None:
    longest = dict(database.connection.execute(_LONGEST).fetchall())
    data = 2 * longest["booking_data_is_short"]  # each character of it may need a backslash
    assert CLAIM_LIMIT * (data + longest["member_sessions_sealed_check"] + 2048) <= ANSWER_LIMIT
