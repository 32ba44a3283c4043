"""Raw requests to the function, byte by byte, and the exact response that each must get."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from prebooking.local.function import PATH, Function
from tests.support.world import ENVIRONMENT

HYPHEN = "/api/cron/prebooking-scheduler"
SECRET = ENVIRONMENT["CRON_SECRET"]
_TIMEOUT = 20.0  # seconds; a response takes less than a tenth of one


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """A response: status, headers by their names in lower case, and body."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Expected:
    """The expected response: this status, exactly this body, and these headers among others."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()

    def complaint(self, answer: RawAnswer) -> str | None:
        """Return how the response differs, or None."""
        if (answer.status, answer.body) != (self.status, self.body):
            return f"HTTP {answer.status} {answer.body[:100]!r} instead of {self.status} {self.body!r}"
        wrong = [
            f"{name}: {answer.headers.get(name)}" for name, value in self.headers if answer.headers.get(name) != value
        ]
        return ", ".join(wrong + [name for name in ("location", "set-cookie") if name in answer.headers]) or None


UNAUTHORISED = Expected(
    401,
    b'{"success":false,"error":"unauthorized"}',
    (("www-authenticate", "Bearer"), ("cache-control", "no-store"), ("content-type", "application/json")),
)
NOT_ALLOWED = Expected(405, b'{"detail":"Method Not Allowed"}')
NOT_ALLOWED_HEAD = Expected(405, b"")
NOT_FOUND = Expected(404, b'{"detail":"Not Found"}')
NO_REQUEST = Expected(400, b"Invalid HTTP request received.")
NOT_CONFIGURED = b'{"success":false,"error":"server_not_configured"}'


@dataclass(frozen=True, slots=True)
class Raw:
    """One request as it is sent (text is latin-1), and the expected response."""

    request: str  # the first line without its version
    headers: tuple[str, ...]
    expected: Expected
    body: bytes = b""
    version: str = "HTTP/1.1"

    @property
    def name(self) -> str:
        return f"{self.request} {', '.join(self.headers)} {self.body[:20]!r}"[:150]


def _receive_all(connection: socket.socket) -> bytes:
    """Read to the end, or until a reset, with which a server closes a connection that has unread bytes."""
    received = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(65_536):
            received += part
    return received


def send(function: Function, request: str, *headers: str, body: bytes = b"", version: str = "HTTP/1.1") -> RawAnswer:
    """Send the bytes unchanged, and read the whole response."""
    lines = [f"{request} {version}", "Host: app.example", "Connection: close", *headers, "", ""]
    address = urlsplit(function.address)
    with socket.create_connection((str(address.hostname), address.port or 0), timeout=_TIMEOUT) as connection:
        connection.sendall("\r\n".join(lines).encode("latin-1") + body)
        head, _, content = _receive_all(connection).partition(b"\r\n\r\n")
    status, *fields = head.decode("latin-1").split("\r\n")
    return RawAnswer(
        int(status.split(" ")[1]), {k.lower(): v for k, _, v in (f.partition(": ") for f in fields)}, content
    )


_WRONG: list[list[str]] = [
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

_METHODS = ["PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "BREW"]

_PATHS = [
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
]

# Bodies that are announced and never sent, that never end, or that are not JSON: the function reads none of them.
_BODIES: list[tuple[tuple[str, ...], bytes]] = [
    (("Content-Length: 0",), b""),
    (("Content-Length: 2", "Content-Type: application/json"), b"{}"),
    (("Content-Length: 8", "Content-Type: application/json"), b"not json"),
    (("Content-Length: 2000", "Content-Type: application/octet-stream"), b"\x00\xff" * 1000),
    (("Content-Length: 1000000000",), b""),
    (("Content-Length: 1000000000", "Expect: 100-continue"), b""),
    (("Transfer-Encoding: chunked",), b"8\r\n"),
    (("Transfer-Encoding: chunked",), b"ffffffff\r\nx"),
    (("Content-Length: 70", "Content-Type: application/x-www-form-urlencoded"), b"authorization=Bearer+" + b"x" * 49),
]

_HEADERS = [
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-For: 127.0.0.1",
    "X-HTTP-Method-Override: DELETE",
    "X-Original-URL: /api/admin",
    "Origin: https://evil.example",
    "Cookie: session=1",
    "Upgrade: websocket",
    "Range: bytes=0-1",
    "Accept-Encoding: gzip",
    "X-Filler: " + "x" * 50_000,
]

_NO_HTTP = [
    Raw(f"POST {PATH}", ("Content-Length: -1",), NO_REQUEST),
    Raw(f"POST {PATH}", ("Content-Length: two",), NO_REQUEST),
    Raw(f"POST {PATH}", ("Content-Length: 1", "Content-Length: 2"), NO_REQUEST),
    Raw(f"POST {PATH}", (f"Authorization : Bearer {SECRET}",), NO_REQUEST),
    Raw(f"POST {PATH}", ("Authorization: Bearer \x00",), NO_REQUEST),
    Raw(f"POST {PATH} and more", (), NO_REQUEST),
    Raw(f"POST {PATH}", ("Host: evil.example",), NO_REQUEST),
    Raw(f"POST {PATH}", (), NO_REQUEST, version="HTTP/two"),
    Raw(f"POST {PATH}", ("X-Filler: " + "x" * 200_000,), NO_REQUEST),
]


def _all() -> Iterator[Raw]:
    right = (f"Authorization: Bearer {SECRET}",)
    for path in (PATH, HYPHEN):
        yield from (Raw(f"POST {path}", tuple(headers), UNAUTHORISED) for headers in _WRONG)
        for method in _METHODS:
            yield Raw(f"{method} {path}", right, NOT_ALLOWED_HEAD if method == "HEAD" else NOT_ALLOWED)
    yield Raw(f"GET {PATH}", (), UNAUTHORISED)
    yield Raw(f"POST {PATH}?CRON_SECRET={SECRET}&authorization=Bearer%20{SECRET}", (), UNAUTHORISED)
    yield from (Raw(f"POST {path}", right, NOT_FOUND) for path in _PATHS)
    yield from (Raw(f"POST {PATH}", headers, UNAUTHORISED, body) for headers, body in _BODIES)
    yield from (Raw(f"POST {PATH}", (header,), UNAUTHORISED) for header in _HEADERS)
    yield from _NO_HTTP


REQUESTS = list(_all())
