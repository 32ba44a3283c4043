"""The database's client with scripted answers: what is tried again, when and how often, and what an error contains."""

from __future__ import annotations

import socket
import ssl
import traceback
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import uuid4

import httpx
import pytest

from prebooking.clock import Deadline
from prebooking.database.client import LOCK_WAIT, Answer, create_isolated_supabase
from prebooking.errors import StoreBusy, StoreError, StoreRefused, StoreUnavailable
from prebooking.settings import Settings
from tests.support.doubles import VirtualClock, run_virtual
from tests.support.peers import GOOD, Reply, ScriptedTransport
from tests.support.world import ENVIRONMENT

T = TypeVar("T")

SETTINGS = Settings.from_environment(ENVIRONMENT)


def ask(script: ScriptedTransport, *, seconds: float = 60, read: Callable[[Any], T] = lambda value: value) -> Answer[T]:
    """Call a function with this many seconds left, on a virtual clock."""

    async def steps() -> Answer[T]:
        clock = VirtualClock()
        until = Deadline.within(clock, seconds)
        async with create_isolated_supabase(SETTINGS, uuid4(), clock=clock, transport=script) as database:
            return await database.call("a_function_v1", {"p": 1}, read, until=until)

    return run_virtual(steps())


def failure(script: ScriptedTransport, **how: Any) -> StoreError:
    with pytest.raises(StoreError) as caught:
        ask(script, **how)
    return caught.value


def refusal(code: str | None, status: int = 400, **more: str) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "message": "no", "details": None, "hint": None} | more)


def test_an_answered_call_is_made_once() -> None:
    script = ScriptedTransport(GOOD)
    assert ask(script) == Answer({"a": 1}, tries=1)
    assert script.asked_at == [0]


def test_a_failed_call_is_made_three_times_after_100_and_200_ms() -> None:
    script = ScriptedTransport(httpx.ConnectError(""))
    failed = failure(script)
    assert isinstance(failed, StoreUnavailable)
    assert (failed.function, failed.code) == ("a_function_v1", "ConnectError")
    assert script.asked_at == [0, 0.1, 0.3]


@pytest.mark.parametrize(("failing", "at"), [(1, [0, 0.1]), (2, [0, 0.1, 0.3])])
def test_an_answer_to_a_later_try_counts_the_tries(failing: int, at: list[float]) -> None:
    script = ScriptedTransport(*[httpx.ReadError("")] * failing, GOOD)
    assert ask(script) == Answer({"a": 1}, tries=failing + 1)
    assert script.asked_at == at


def test_every_try_sends_the_same_request() -> None:
    script = ScriptedTransport(httpx.ReadError(""))
    failure(script)
    assert len({(request.method, str(request.url), request.content) for request in script.requests}) == 1


TRANSPORT_ERRORS = [
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.ReadTimeout,
    httpx.WriteTimeout,
    httpx.PoolTimeout,
    httpx.ReadError,
    httpx.WriteError,
    httpx.CloseError,
    httpx.RemoteProtocolError,
    httpx.LocalProtocolError,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.DecodingError,
    httpx.TooManyRedirects,
    TimeoutError,
]


@pytest.mark.parametrize("error", TRANSPORT_ERRORS)
def test_every_transport_error_is_tried_again(error: type[Exception]) -> None:
    script = ScriptedTransport(error("canary"))
    failed = failure(script)
    assert isinstance(failed, StoreUnavailable)
    assert failed.code == error.__name__
    assert len(script.asked_at) == 3


# Errors, by their SQLSTATE or PostgREST code.

FINAL: dict[str, list[str]] = {
    "bad input": ["22P02", "22003", "22023"],
    "a broken rule": ["23505", "23514", "23502", "23503"],
    "a transaction that may not write": ["25006"],
    "no right, no function, no table, no column": ["42501", "42883", "42P01", "42703"],
    "an error raised on purpose": ["P0001", "PT409", "PT400"],
    "a request that cannot be read": ["PGRST100", "PGRST102", "PGRST125"],
    "not migrated": ["PGRST202", "PGRST203", "PGRST205"],
    "a wrong key": ["PGRST300", "PGRST301", "PGRST302", "PGRST303"],
}
PASSING: dict[str, list[str | None]] = {
    "no connection to the database": ["PGRST000", "PGRST001", "PGRST002", "PGRST003"],
    "a connection that broke": ["08000", "08006"],
    "a database that is stopping or starting": ["57P01", "57P02", "57P03"],
    "out of time": ["57014"],
    "out of connections or memory": ["53300", "53200", "53000"],
    "a conflict with another transaction": ["40001", "40P01"],
    "an inner error": ["XX000", "58030", "PGRSTX00"],
    "no code": [None, ""],
}


@pytest.mark.parametrize("code", [code for codes in FINAL.values() for code in codes])
def test_a_permanent_error_is_final(code: str) -> None:
    script = ScriptedTransport(refusal(code))
    failed = failure(script)
    assert isinstance(failed, StoreRefused)
    assert (failed.code, len(script.asked_at)) == (code, 1)


@pytest.mark.parametrize("code", [code for codes in PASSING.values() for code in codes])
def test_a_transient_error_is_tried_again(code: str | None) -> None:
    script = ScriptedTransport(refusal(code, 500))
    failed = failure(script)
    assert isinstance(failed, StoreUnavailable)
    assert (failed.code, len(script.asked_at)) == (code or "500", 3)


BODIES_WITHOUT_A_CODE = [
    "",
    "<html>no</html>",
    "{",
    "[]",
    "null",
    '{"message": "Legacy API keys are disabled", "hint": "Your legacy API keys were disabled on 2026-11-01."}',
    '{"message": "Invalid API key", "hint": "Double check your API key."}',
    '{"message": "exceed_egress_quota"}',
    '{"code": 401, "message": "a number"}',
    '{"code": "UNAUTHORIZED_LEGACY_KEY", "message": "a word"}',
]


@pytest.mark.grid
@pytest.mark.parametrize("status", [301, 308, 307, 400, 401, 402, 403, 404, 405, 406, 409, 413, 431, 451, 540])
@pytest.mark.parametrize("body", BODIES_WITHOUT_A_CODE)
def test_a_refusal_of_the_gateway_is_final_with_any_body(status: int, body: str) -> None:
    script = ScriptedTransport(httpx.Response(status, text=body, headers={"location": "https://other.example/"}))
    assert isinstance(failed := failure(script), StoreRefused)
    assert (failed.code, len(script.asked_at)) == (str(status), 1)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520, 522, 530, 544])
@pytest.mark.parametrize("body", ["<html>wait</html>", '{"message": "wait"}'])
def test_an_overloaded_gateway_is_tried_again(status: int, body: str) -> None:
    script = ScriptedTransport(httpx.Response(status, text=body))
    assert isinstance(failed := failure(script), StoreUnavailable)
    assert (failed.code, len(script.asked_at)) == (str(status), 3)


def test_a_redirect_is_not_followed_because_of_the_key() -> None:
    script = ScriptedTransport(httpx.Response(302, headers={"location": "https://other.example/"}))
    assert failure(script).code == "302"
    assert [request.url.host for request in script.requests] == ["127.0.0.1"]


@pytest.mark.parametrize("status", [401, 503])
@pytest.mark.parametrize(("content", "coding"), [(b"", {"content-encoding": "br"}), (b"[" * 100_000, {})])
def test_an_unreadable_refusal_still_has_its_status(status: int, content: bytes, coding: dict[str, str]) -> None:
    script = ScriptedTransport(httpx.Response(status, content=content, headers=coding))
    assert failure(script).code == str(status)


def _count(value: Any) -> int:
    if not isinstance(value, int):
        raise ValueError("canary")  # noqa: TRY004 - as pydantic's
    return value


@pytest.mark.parametrize("body", [b"{}", b"[1]", b"1.5", b"null"])
def test_an_answer_of_another_version_is_final(body: bytes) -> None:
    script = ScriptedTransport(httpx.Response(200, content=body))
    assert isinstance(failed := failure(script, read=_count), StoreRefused)
    assert (failed.code, len(script.asked_at)) == ("unreadable", 1)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'"1"', b"<html>ok</html>", b"1 2", b"\xff\xfe", b"[1", b"\x00", b"[" * 100_000]
)
def test_a_success_without_json_is_tried_again(body: bytes) -> None:
    script = ScriptedTransport(httpx.Response(200, content=body))
    failed = failure(script, read=_count)
    assert (failed.code, len(script.asked_at)) == ("no_json", 3)


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        (socket.gaierror(-2, "canary"), "unknown_host"),
        (ssl.SSLCertVerificationError(1, "canary"), "certificate"),
        (ConnectionRefusedError("canary"), "ConnectError"),
    ],
)
def test_the_error_names_why_the_connection_failed(cause: Exception, code: str) -> None:
    broken = httpx.ConnectError("canary")
    broken.__cause__ = cause
    failed = failure(ScriptedTransport(broken))
    assert (failed.code, "canary" in shown(failed)) == (code, False)


# The lock of all claims.


def test_a_held_lock_is_tried_again() -> None:
    script = ScriptedTransport(refusal("55P03", 500), refusal("55P03", 500), GOOD)
    assert ask(script).tries == 3
    script = ScriptedTransport(refusal("55P03", 500))
    assert isinstance(failure(script), StoreBusy)
    assert script.asked_at == [0, 0.1, 0.3]


def test_a_held_lock_is_not_tried_again_without_time() -> None:
    script = ScriptedTransport(refusal("55P03", 500))
    assert isinstance(failure(script, seconds=LOCK_WAIT + 0.05), StoreBusy)
    assert script.asked_at == [0]


# Deadlines.


@pytest.mark.parametrize(
    ("seconds", "at"), [(0.05, [0]), (0.1, [0]), (0.11, [0, 0.1]), (0.3, [0, 0.1]), (0.31, [0, 0.1, 0.3])]
)
def test_no_try_starts_after_the_deadline(seconds: float, at: list[float]) -> None:
    script = ScriptedTransport(httpx.ConnectError(""))
    failure(script, seconds=seconds)
    assert script.asked_at == at


def test_a_hanging_try_is_cut_after_two_seconds() -> None:
    script = ScriptedTransport(None)
    assert failure(script).code == "TimeoutError"
    assert script.asked_at == [0, 2.1, 4.3]


def test_an_answer_just_in_time_counts() -> None:
    assert ask(ScriptedTransport(1.99)).tries == 1
    assert ask(ScriptedTransport(2.01, GOOD)).tries == 2


@pytest.mark.parametrize("seconds", [0.5, 1.9, 2.05, 3.0])
def test_a_hanging_try_is_cut_at_the_deadline(seconds: float) -> None:
    assert isinstance(failure(script := ScriptedTransport(None), seconds=seconds), StoreUnavailable)
    assert script.ended_at == pytest.approx(min(seconds, 2.0) if seconds <= 2.1 else seconds)


# Contents of errors.


def shown(exc: BaseException) -> str:
    return "\n".join([str(exc), repr(exc), repr(exc.args), repr(vars(exc)), *traceback.format_exception(exc)])


LEAKS = {
    "a refusal": refusal("23514", 400, message="canary", details="Failing row contains (canary).", hint="canary"),
    "a refusal that may pass": refusal("57014", 500, message="canary", details="canary", hint="canary"),
    "a code that is a text": refusal("canary", 500),
    "a code in a header": httpx.Response(502, text="x", headers={"proxy-status": "PostgREST; error=canary"}),
    "a busy lock": refusal("55P03", 500, message="canary", details="canary", hint="canary"),
    "a gateway's page": httpx.Response(502, text="<title>canary</title>", headers={"x-canary": "canary"}),
    "an answer of another kind": httpx.Response(200, json={"canary": "canary"}),
    "a text": httpx.Response(200, text="canary"),
    "a broken connection": httpx.ConnectError("canary: cannot connect to https://canary.supabase.co"),
    "a broken header": httpx.LocalProtocolError("Illegal header value b'sb_secret_canary'"),
}


@pytest.mark.parametrize("reply", LEAKS.values(), ids=LEAKS.keys())
def test_an_error_contains_nothing_of_the_server_s_answer(reply: Reply) -> None:
    exc = failure(ScriptedTransport(reply), read=_count)
    assert "canary" not in shown(exc)
    assert ENVIRONMENT["SUPABASE_SERVICE_ROLE_KEY"] not in shown(exc)
    assert "127.0.0.1" not in shown(exc)
