"""An answer's content coding (RFC 9110, 8.4), undone with a cap: 272 compressed bytes can become 200 MB.

We ask for none, and some servers and gateways compress all the same.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

MOST_CODINGS = 3  # each costs a pass over the body
MOST_MEMBERS = 16  # of one gzip body: each costs a copy of the rest, so that thousands would take seconds

_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_GZIP_MAGIC = b"\x1f\x8b"
# Codings that the standard library cannot undo (IANA's registry). Any other name is no coding and changes nothing.
_UNREADABLE = frozenset({"br", "compress", "x-compress", "zstd", "dcb", "dcz", "aes128gcm", "exi", "pack200-gzip"})


class Undecodable(ValueError):
    """The body is cut off, broken, too long, or in a coding that we cannot undo. It holds nothing of the body."""


def decoded(body: bytes, content_encoding: str, limit: int) -> bytes:
    """Return the body without its content codings.

    Names that are no coding ("utf-8") are ignored, and so is gzip that was announced but not applied.

    Raises:
        Undecodable: also if the body is longer than ``limit`` bytes, coded or not.

    """
    codings = [name.strip().lower() for name in content_encoding.split(",")]
    codings = [name for name in codings if name in _UNREADABLE or name in _DECODERS]
    if len(codings) > MOST_CODINGS:
        raise Undecodable("too many codings")
    for name in reversed(codings):
        if name in _UNREADABLE:
            raise Undecodable("unknown coding")
        if body:
            body = _DECODERS[name](body, limit)
    if len(body) > limit:
        raise Undecodable("too long")
    return body


def _gunzipped(body: bytes, limit: int) -> bytes:
    """Undo gzip. Several members make one body; bytes after the last one are ignored, as by gzip itself."""
    if not body.startswith(_GZIP_MAGIC):
        return body
    whole = b""
    for _ in range(MOST_MEMBERS):
        part, body = _inflated(body, _GZIP, limit - len(whole))
        whole += part
        if not body.startswith(_GZIP_MAGIC):
            return whole
    raise Undecodable("too many members")


def _deflate_undone(body: bytes, limit: int) -> bytes:
    """Undo deflate, which is zlib's format by the standard, and raw with some servers."""
    try:
        return _inflated(body, _ZLIB, limit)[0]
    except Undecodable:
        return _inflated(body, _RAW, limit)[0]


def _inflated(body: bytes, format_: int, limit: int) -> tuple[bytes, bytes]:
    """Return what one stream holds, and the bytes after it."""
    stream = zlib.decompressobj(format_)
    try:
        out = stream.decompress(body, limit + 1)
    except zlib.error:
        raise Undecodable("broken") from None
    if len(out) > limit:
        raise Undecodable("too long")
    if not stream.eof:
        raise Undecodable("cut off")
    return out, stream.unused_data


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gunzipped,
    "x-gzip": _gunzipped,
    "deflate": _deflate_undone,
}
