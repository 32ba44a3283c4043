"""Responses of a hostile server, as scripts: broken, endless, slow, too large or misleading."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable

from tests.support.peers import Peer, Script, silence

MEBIBYTE = 1_048_576
BOMB = gzip.compress(gzip.compress(b"\0" * 64 * MEBIBYTE))


def after_a_request(text: bytes, then: Callable[[Peer], None] = Peer.close) -> Script:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(text)
        then(peer)

    return script


# No valid response.

BROKEN = {
    "no answer": b"",
    "half a status line": b"HTTP/1.1 20",
    "a status line alone": b"HTTP/1.1 200 OK\r\n",
    "half of the headers": b"HTTP/1.1 200 OK\r\nContent-Len",
    "headers without a body": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
    "a length that is no number": b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n{}",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a length beyond all bounds": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n{}",
    "chunks that are none": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nbooked, really\r\n",
    "a chunk shorter than it says": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}x\r\n0\r\n\r\n",
    "chunks without an end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    "another transfer coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "garbage": bytes(range(256)),
    "another protocol": b"SSH-2.0-OpenSSH_9.9\r\n",
    "HTTP/0.9": b"<html>booked</html>",
    "a status that is none": b"HTTP/1.1 booked\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "a null byte in a header": b"HTTP/1.1 200 OK\r\nX: \0\r\nContent-Length: 2\r\n\r\n{}",
    "a huge header": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\nContent-Length: 2\r\n\r\n{}",
    "a switch of protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
}


_OK = b"HTTP/1.1 200 OK\r\n"


def never_ends(head: bytes, *, drip: bytes = b"", pour: bytes = b"") -> Script:
    """Return a script that sends a head, and then the same bytes slowly (drip) or quickly (pour) or none."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(head)
        if drip:
            await peer.drip(drip)
        elif pour:
            await peer.pour(pour)
        else:
            await peer.ended.wait()

    return script


endless_continues = never_ends(b"", pour=b"HTTP/1.1 100 Continue\r\n\r\n" * 100)

SLOW: dict[str, Script] = {
    "dripping headers": never_ends(_OK, drip=b"X-Wait: a moment\r\n"),
    "dripping body": never_ends(_OK + b"Content-Length: 1000000\r\n\r\n", drip=b"{}"),
    "dripping chunks": never_ends(_OK + b"Transfer-Encoding: chunked\r\n\r\n", drip=b"1\r\n \r\n"),
    "endless continues": endless_continues,
    "endless hints": never_ends(b"", pour=b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n" * 100),
    "stalls in the body": never_ends(_OK + b"Content-Length: 2\r\n\r\n{"),
}

_BOMB_HEAD = b"content-encoding: GZIP\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"

TOO_MUCH: dict[str, Script] = {
    "endless body": never_ends(_OK + b"Transfer-Encoding: chunked\r\n\r\n", pour=b"8000\r\n" + b"x" * 0x8000 + b"\r\n"),
    "endless body without a length": never_ends(_OK + b"\r\n", pour=b"x" * 65_536),
    "endless header": never_ends(_OK + b"X: ", pour=b"x" * 65_536),
    "endless headers": never_ends(_OK, pour=b"X-Header: value\r\n" * 1000),
    "bomb": after_a_request(
        _OK + b"Content-Encoding: gzip, gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB, lambda _: None
    ),
    "bomb in capitals": after_a_request(_OK + _BOMB_HEAD + BOMB),
}


# A valid response, mostly with a status of success, whose body is no clear result.


def ok(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """Return a well-formed response."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


_PAGE = b"<html><title>canary</title><meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'>booked</html>"

UNCLEAR = {
    "a page": ok(_PAGE, "Content-Type: text/html"),
    "a list": ok(b'["booked", "canary"]'),
    "a text": ok(b'"booked"'),
    "a number": ok(b"1"),
    "null": ok(b"null"),
    "a state that is a number": ok(b'{"state": 1}'),
    "a state that is a list": ok(b'{"state": ["booked"]}'),
    "an unknown state": ok(b'{"state": "canary"}'),
    "a state in capitals": ok(b'{"state": "BOOKED"}'),
    "half of an object": ok(b'{"state": "booked"'),
    "two objects": ok(b'{"state": "booked"} {"state": "booked"}'),
    "a hundred thousand brackets": ok(b"[" * 60_000),
    "objects in objects": ok(b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
    "a number of sixty thousand digits": ok(b'{"booking_id": ' + b"9" * 60_000 + b"}"),
    "invalid UTF-8": ok(b'{"state": "book\xff\xfe\xc0\x80"}'),
    "UTF-16 with half a character": ok(b'\xff\xfe{\x00"\x00\xd8'),
    "a redirect inward": ok(b"", "Location: http://127.0.0.1:9/canary", status="302 Found"),
    "a redirect to another scheme": ok(b"", "Location: file:///etc/hosts", status="307 Temporary Redirect"),
    "a redirect without a scheme": ok(b"", "Location: //169.254.169.254/latest", status="308 Permanent Redirect"),
    "a redirect to itself": ok(b"", "Location: /book", status="303 See Other"),
    "a proxy's demand": ok(b"", "Proxy-Authenticate: Basic", status="511 Network Authentication Required"),
    "an error with a page": ok(_PAGE, "Content-Type: text/html", status="502 Bad Gateway"),
    "accepted, for later": ok(b'{"state": "booked"}', status="202 Accepted"),
}

# A clear result, with something besides that must have no effect.

_BOOKED = json.dumps({"state": "booked"}).encode()

CLEAR = {
    "foreign cookies": ok(
        _BOOKED,
        "Set-Cookie: session=canary; Domain=example.com; Path=/",
        "Set-Cookie: session=canary; Max-Age=99999999",
        "Set-Cookie: __Host-session=canary; Secure",
    ),
    "an invitation elsewhere": ok(
        _BOOKED,
        'Alt-Svc: h2="127.0.0.1:9"',
        "Refresh: 0; url=http://127.0.0.1:9/",
        "Link: <//127.0.0.1:9/>; rel=preload",
    ),
    "bytes after the response": ok(_BOOKED) + ok(b'{"state": "canary"}', status="409 Conflict"),
    "a number that is none": ok(b'{"state": "booked", "booking_id": "<script>canary</script>"}'),
    "a number in invalid UTF-8": ok(b'{"state": "booked", "booking_id": "\xff\xfe\xc0\x80"}'),
    "a number that is a list": ok(b'{"state": "booked", "booking_id": ["canary"]}'),
    "a number of ten thousand characters": ok(b'{"state": "booked", "booking_id": "' + b"canary" * 10_000 + b'"}'),
    "a number that is a truth": ok(b'{"state": "booked", "booking_id": true}'),
}


_AT_AIMHARDER = {
    "a state that is true": ok(b'{"bookState": true}'),
    "a state in brackets": ok(b'{"bookState": [1], "bookings": [{"id": 1, "bookState": {"canary": 1}}]}'),
    "a state beyond all numbers": ok(b'{"bookState": ' + b"9" * 400 + b"}"),
    "a state in other digits": ok('{"bookState": "\u0661"}'.encode()),
    "a key that is a list": ok(b'{"errorMssgLang": ["canary"], "errorMssg": "canary", "bookState": null}'),
    "a day of a hundred thousand nothings": ok(b'{"bookings": [' + b"{}," * 300_000 + b"{}]}"),
    "a day that is a text": ok(b'{"bookings": "canary"}'),
    "a day of lists": ok(b'{"bookings": [[["canary"]]]}'),
}
_PLACE = b'{"bookState": 1, "id": "77"}'
_CLEAR_AT_AIMHARDER = {
    "cookies of another session": ok(_PLACE, "Set-Cookie: amhrdrauth=canary; Domain=.aimharder.es; Path=/; Secure"),
    "a place, and bytes after it": ok(_PLACE) + ok(b'{"logout": 1}'),
    "a place with a script for a number": ok(b'{"bookState": 1, "id": "<script>canary</script>"}'),
}


def says(text: bytes) -> Script:
    """Return a script that sends this once and leaves the connection open."""

    async def script(peer: Peer) -> None:
        await peer.say(text)

    return script


UNSURE: dict[str, Script] = (
    {name: after_a_request(text) for name, text in BROKEN.items()}
    | {name: says(text) for name, text in UNCLEAR.items()}
    | {
        "silence": silence,
        "a connection that breaks off": after_a_request(b"", Peer.reset),
        "a connection that breaks off in the body": after_a_request(
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", Peer.reset
        ),
    }
    | SLOW
    | TOO_MUCH
)
BOOKED: dict[str, Script] = {name: says(text) for name, text in CLEAR.items()}
CLEAR_AT_AIMHARDER: dict[str, Script] = {name: says(text) for name, text in _CLEAR_AT_AIMHARDER.items()}
AT_AIMHARDER: dict[str, Script] = {name: says(text) for name, text in _AT_AIMHARDER.items()} | CLEAR_AT_AIMHARDER
