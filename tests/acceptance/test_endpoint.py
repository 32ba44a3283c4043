"""What a caller gets: raw requests to the function on a socket, judged by status, headers and body."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from prebooking.local.function import PATH, Function
from tests.world import ENVIRONMENT

HYPHEN = "/api/cron/prebooking-scheduler"
SECRET = ENVIRONMENT["CRON_SECRET"]
UNAUTHORISED = b'{"success":false,"error":"unauthorized"}'
NOT_CONFIGURED = b'{"success":false,"error":"server_not_configured"}'


@pytest.fixture(scope="module")
def database_socket() -> Iterator[socket.socket]:
    """Where the database should be: it listens, and nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.0)
        yield listening


@pytest.fixture(scope="module")
def log() -> list[str]:
    return []


@pytest.fixture(scope="module")
def function(database_socket: socket.socket, log: list[str]) -> Iterator[Function]:
    address = "http://{}:{}".format(*database_socket.getsockname())
    previous = {"CRON_SECRET_PREVIOUS": "the-secret-of-last-month"}
    with Function(ENVIRONMENT | previous | {"SUPABASE_URL": address}, log=log.append) as function:
        yield function.ready()


@pytest.fixture(scope="module")
def without_database(log: list[str]) -> Iterator[Function]:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = "http://{}:{}".format(*closed.getsockname())
    settings = ENVIRONMENT | {"CRON_SECRET_PREVIOUS": "the-secret-of-last-month", "SUPABASE_URL": nobody}
    with Function(settings, log=log.append) as function:
        yield function.ready()


def raw(function: Function, request: str, *headers: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    """Send the bytes as they stand, and return status, headers and body of the answer."""
    lines = [f"{request} HTTP/1.1", "Host: app.example", "Connection: close", *headers, "", ""]
    address = urlsplit(function.address)
    with socket.create_connection((str(address.hostname), address.port or 0), timeout=20) as connection:
        connection.sendall("\r\n".join(lines).encode("latin-1") + body)
        with connection.makefile("rb") as answer:
            head, _, said = answer.read().partition(b"\r\n\r\n")
    status, *fields = head.decode("latin-1").split("\r\n")
    return int(status.split(" ")[1]), {k.lower(): v for k, _, v in (f.partition(": ") for f in fields)}, said


WRONG = [
    [],
    ["Authorization:"],
    ["Authorization: Bearer"],
    ["Authorization: Bearer "],
    ["Authorization: Bearer None"],
    ["Authorization: Bearer undefined"],
    ["Authorization: Bearer null"],
    ["Authorization: Bearer ''"],
    [f"Authorization: {SECRET}"],
    [f"Authorization: Basic {SECRET}"],
    [f"Authorization: Token {SECRET}"],
    [f"Authorization: Bearer:{SECRET}"],
    [f"Authorization: Bearer={SECRET}"],
    [f"Authorization: Bearer\t{SECRET}"],
    [f"Authorization: Bearer{SECRET}"],
    [f'Authorization: Bearer "{SECRET}"'],
    [f"Authorization: Bearer '{SECRET}'"],
    [f"Authorization: Bearer <{SECRET}>"],
    [f"Authorization: Bearer Bearer {SECRET}"],
    [f"Authorization: Bearer {SECRET},"],
    [f"Authorization: Bearer {SECRET}, Bearer {SECRET}"],
    [f"Authorization: Bearer {SECRET} {SECRET}"],
    [f"Authorization: Bearer {SECRET[:-1]}"],
    [f"Authorization: Bearer {SECRET}x"],
    [f"Authorization: Bearer {SECRET.upper()}"],
    [f"Authorization: Bearer {SECRET[::-1]}"],
    ["Authorization: Bearer sécrèt-é-lon-gue-et-franche"],
    ["Authorization: Bearer \xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8"],
    ["Authorization: Bearer " + "x" * 8_000],
    ["Authorization: Bearer *"],
    ["Authorization: Bearer %s"],
    ["Authorization: Bearer $CRON_SECRET"],
    ["Authorization: Bearer the-secret-of-yesterday-year"],
    [f"Authorization: Bearer {SECRET}", f"Authorization: Bearer {SECRET}"],
    [f"Authorization: Bearer {SECRET}", "Authorization: Bearer wrong"],
    ["Authorization: Bearer wrong", f"Authorization: Bearer {SECRET}"],
    [f"Authorization: Bearer {SECRET}", "authorization:"],
    [f"X-Authorization: Bearer {SECRET}"],
    [f"Proxy-Authorization: Bearer {SECRET}"],
    [f"Cookie: Authorization=Bearer {SECRET}"],
    [f"apikey: {SECRET}"],
]


@pytest.mark.parametrize("headers", WRONG, ids=range(len(WRONG)))
@pytest.mark.parametrize("path", [PATH, HYPHEN])
def test_a_wrong_bearer_gets_one_fixed_answer_and_opens_no_connection(
    function: Function, database_socket: socket.socket, path: str, headers: list[str]
) -> None:
    status, said, body = raw(function, f"POST {path}", *headers)
    assert (status, body) == (401, UNAUTHORISED)
    assert (said["www-authenticate"], said["cache-control"]) == ("Bearer", "no-store")
    with pytest.raises(BlockingIOError):
        database_socket.accept()


def test_a_secret_in_the_address_is_no_bearer(function: Function) -> None:
    assert raw(function, f"POST {PATH}?CRON_SECRET={SECRET}&authorization=Bearer%20{SECRET}")[0] == 401


@pytest.mark.parametrize("path", [PATH, HYPHEN])
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "BREW"])
def test_other_methods_are_not_allowed_whoever_asks(function: Function, path: str, method: str) -> None:
    status, said, _ = raw(function, f"{method} {path}", f"Authorization: Bearer {SECRET}")
    assert status == 405
    assert set(said["allow"].split(", ")) <= {"GET", "POST"}


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/docs",
        "/redoc",
        "/openapi.json",
        "/api",
        "/api/cron",
        "/api/cron/",
        PATH + "/",
        HYPHEN + "/",
        PATH + ".py",
        PATH.upper(),
        "/" + PATH,
        PATH + "/..",
        PATH + "%2f",
        "/api/cron/../../etc/passwd",
        "/robots.txt",
        "/.env",
        "/.git/config",
    ],
)
def test_other_paths_are_not_found_and_lead_nowhere(function: Function, path: str) -> None:
    status, said, _ = raw(function, f"POST {path}", f"Authorization: Bearer {SECRET}")
    assert status == 404
    assert "location" not in said


@pytest.mark.parametrize("body", [b"", b"{}", b"not json", b"\x00\xff" * 1000])
def test_a_body_is_never_read_into_an_answer(function: Function, body: bytes) -> None:
    length = f"Content-Length: {len(body)}"
    assert raw(function, f"POST {PATH}", length, "Content-Type: application/json", body=body)[0] == 401


@pytest.mark.parametrize("secret", [SECRET, "the-secret-of-last-month"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
@pytest.mark.parametrize("request_line", [f"POST {PATH}", f"GET {PATH}", f"POST {HYPHEN}", f"GET {HYPHEN}?x=1"])
def test_both_secrets_open_in_any_case_and_a_database_out_of_reach_is_a_500(
    without_database: Function, log: list[str], request_line: str, scheme: str, secret: str
) -> None:
    status, said, body = raw(without_database, request_line, f"Authorization: {scheme} {secret}")
    summary = json.loads(body)
    assert (status, said["cache-control"], summary["success"]) == (500, "no-store", False)
    assert summary["details"] == dict.fromkeys(["total", "completed", "failed", "released", "unsure", "lost"], 0)
    assert len(body) < 4096
    assert "ConnectError" in "".join(log)
    assert secret not in "".join(log)


@pytest.mark.parametrize(
    "broken",
    [
        {"CRON_SECRET": ""},
        {"CRON_SECRET": "short"},
        {"CRON_SECRET": "                    "},
        {"CRON_SECRET": f" {SECRET}"},
        {"CRON_SECRET": f"{SECRET}\n"},
        {"LEASE_SECONDS": "nan"},
        {"SUPABASE_SERVICE_ROLE_KEY": "sb_publishable_canary"},
        {"STAGGER_MS": "canary"},
    ],
)
def test_a_server_that_is_not_configured_refuses_everyone_and_names_the_variable(broken: dict[str, str]) -> None:
    lines: list[str] = []
    [name] = broken
    with Function(ENVIRONMENT | broken, log=lines.append) as function:
        for bearer in (SECRET, broken[name].strip() or "none", "wrong"):
            status, said, body = raw(function, f"POST {PATH}", f"Authorization: Bearer {bearer}")
            assert (status, said["cache-control"], body) == (500, "no-store", NOT_CONFIGURED)
    problems = json.loads(lines[0])["problems"]
    assert list(problems) == [name]
    assert "canary" not in "".join(lines)


def test_every_line_of_the_log_is_json_with_the_instance_and_the_platform_s_request(
    function: Function, log: list[str]
) -> None:
    raw(function, f"POST {PATH}", "x-vercel-id: cdg1::iad1::abc12-1795481612577-677841b5eb4a")
    raw(function, f"POST {PATH}", "x-vercel-id: canary@example.com")
    httpx.get(function.address, trust_env=False)
    lines = [json.loads(line) for line in log]
    assert all(line["instance_id"] for line in lines)
    assert lines[-2]["vercel_id"] == "cdg1::iad1::abc12-1795481612577-677841b5eb4a"
    assert "canary" not in "".join(log)
