"""Content codings are decoded under every name that servers use, and never beyond the limit."""

from __future__ import annotations

import gzip
import time
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prebooking.content_coding import Undecodable, decoded

LIMIT = 1000
PLAIN = '{"bookState": 1, "name": "Ñandú"}'.encode()


def raw_deflate(text: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(text) + deflate.flush()


GZIP, ZLIB, RAW = gzip.compress(PLAIN), zlib.compress(PLAIN), raw_deflate(PLAIN)

READABLE = {
    "no header": ("", PLAIN),
    "identity": ("identity", PLAIN),
    "a charset in the wrong header": ("utf-8", PLAIN),
    "a charset in capitals": ("UTF-8", PLAIN),
    "a media type in the wrong header": ("application/json", PLAIN),
    "none": ("none", PLAIN),
    "an empty list": (" , ,", PLAIN),
    "gzip": ("gzip", GZIP),
    "gzip in capitals, with spaces": ("  GZip ", GZIP),
    "gzip under its old name": ("x-gzip", GZIP),
    "gzip and a charset": ("gzip, utf-8", GZIP),
    "gzip in two members": ("gzip", gzip.compress(PLAIN[:9]) + gzip.compress(PLAIN[9:])),
    "gzip in sixteen members": ("gzip", GZIP + gzip.compress(b"") * 15),
    "gzip with bytes after it": ("gzip", GZIP + b"\0\0\0"),
    "gzip announced but not applied": ("gzip", PLAIN),
    "deflate as the standard has it": ("deflate", ZLIB),
    "deflate as some servers send it": ("deflate", RAW),
    "two codings": ("deflate, gzip", gzip.compress(ZLIB)),
    "three codings": ("deflate, gzip, gzip", gzip.compress(gzip.compress(ZLIB))),
    "the same coding twice": ("gzip, gzip", gzip.compress(GZIP)),
    "the same coding announced twice, applied once": ("gzip, gzip", GZIP),
}

UNREADABLE = {
    "brotli": ("br", PLAIN),
    "zstandard": ("zstd", PLAIN),
    "compress": ("compress", PLAIN),
    "gzip cut off": ("gzip", GZIP[:-1]),
    "gzip cut off in its header": ("gzip", GZIP[:5]),
    "gzip with a wrong checksum": ("gzip", GZIP[:-8] + b"12345678"),
    "gzip broken in the middle": ("gzip", GZIP[:15] + b"\xff" * 9 + GZIP[24:]),
    "deflate cut off": ("deflate", ZLIB[:-1]),
    "raw deflate cut off": ("deflate", RAW[:-1]),
    "deflate broken": ("deflate", b"\xff" * 20),
    "the second coding broken": ("gzip, deflate", GZIP),
    "four codings": ("gzip, gzip, gzip, gzip", GZIP),
    "too long": ("", b"x" * (LIMIT + 1)),
    "too long once it is decoded": ("gzip", gzip.compress(b"x" * (LIMIT + 1))),
    "too long by deflate": ("deflate", zlib.compress(b"x" * (LIMIT + 1))),
    "too long by its second member": ("gzip", gzip.compress(b"x" * LIMIT) + gzip.compress(b"x")),
    "seventeen members": ("gzip", GZIP + gzip.compress(b"") * 16),
}


@pytest.mark.parametrize(("header", "body"), READABLE.values(), ids=READABLE.keys())
def test_a_body_is_decoded_under_every_name_of_its_coding(header: str, body: bytes) -> None:
    assert decoded(body, header, LIMIT) == PLAIN


@pytest.mark.parametrize("header", ["gzip", "deflate", "identity", "utf-8", "gzip, deflate"])
def test_an_empty_body_is_empty_in_every_coding(header: str) -> None:
    assert decoded(b"", header, LIMIT) == b""


@pytest.mark.parametrize(("header", "body"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_undecodable_body_is_refused_without_its_text(header: str, body: bytes) -> None:
    with pytest.raises(Undecodable) as refused:
        decoded(body, header, LIMIT)
    assert len(str(refused.value)) < 30


@pytest.mark.parametrize(("header", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_body_of_exactly_the_limit_is_read(header: str, compress: Callable[[bytes], bytes]) -> None:
    whole = b"x" * LIMIT
    assert decoded(compress(whole), header, LIMIT) == whole


def test_many_members_cost_no_time() -> None:
    started = time.process_time()
    with pytest.raises(Undecodable):
        decoded(gzip.compress(b"") * 200_000, "gzip", 10_000_000)
    assert time.process_time() - started < 2


def test_the_memory_for_many_members_is_limited() -> None:
    limit, member = 1_000_000, gzip.compress(bytes(900_000))
    tracemalloc.start()
    try:
        with pytest.raises(Undecodable):
            decoded(member * 16, "gzip", limit)
        assert tracemalloc.get_traced_memory()[1] < 4 * limit
    finally:
        tracemalloc.stop()


CODINGS = st.sampled_from(["gzip", "x-gzip", "deflate", "br", "utf-8", "identity", ",", " "])
BODIES = st.one_of(
    st.binary(max_size=200),
    st.builds(gzip.compress, st.binary(max_size=3000)),
    st.builds(zlib.compress, st.binary(max_size=3000)),
    st.builds(lambda text, cut: gzip.compress(text)[:cut], st.binary(max_size=300), st.integers(0, 300)),
    st.builds(lambda text: gzip.compress(gzip.compress(text * 50)), st.binary(max_size=100)),
)


@settings(deadline=None)
@given(header=st.one_of(st.lists(CODINGS, max_size=6).map(", ".join), st.text(max_size=30)), body=BODIES)
def test_no_header_or_body_raises_another_error_or_exceeds_the_limit(header: str, body: bytes) -> None:
    with suppress(Undecodable):
        assert len(decoded(body, header, LIMIT)) <= LIMIT
