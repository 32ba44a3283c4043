"""A seal opens only for its member, its venue and its key."""

from __future__ import annotations

import base64
import json
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from prebooking.bookers.aimharder.seal import SEALED_LIMIT, Purpose, Seal, sealed_size
from prebooking.errors import SealBroken
from prebooking.files import MIGRATIONS

OLD, NEW = bytes(32), bytes(range(32))
VENUE, OTHER = UUID(int=1), UUID(int=2)
SECRET = {"token": "canary"}


def sealed(seal: Seal | None = None) -> str:
    return (seal or Seal(NEW)).seal(SECRET, venue_id=VENUE, member="ana@example.com")


def test_a_seal_opens_for_its_member_in_any_case_of_the_address() -> None:
    assert Seal(NEW).open(sealed(), venue_id=VENUE, member="Ana@Example.com") == SECRET


def test_a_seal_hides_its_content_and_is_never_the_same() -> None:
    first, second = sealed(), sealed()
    assert b"canary" not in base64.b64decode(first)
    assert first != second


@pytest.mark.parametrize(("venue", "member"), [(OTHER, "ana@example.com"), (VENUE, "ben@example.com")])
def test_a_seal_does_not_open_for_another_member_or_venue(venue: UUID, member: str) -> None:
    with pytest.raises(SealBroken, match="log in again"):
        Seal(NEW).open(sealed(), venue_id=venue, member=member)


def test_a_seal_does_not_open_for_another_purpose() -> None:
    kept = Seal(NEW).seal(SECRET, venue_id=VENUE, member="ana@example.com", purpose=Purpose.PASSWORD)
    assert Seal(NEW).open(kept, venue_id=VENUE, member="Ana@example.com", purpose=Purpose.PASSWORD) == SECRET
    for text, purpose in ((kept, Purpose.SESSION), (sealed(), Purpose.PASSWORD)):
        with pytest.raises(SealBroken):
            Seal(NEW).open(text, venue_id=VENUE, member="ana@example.com", purpose=purpose)


@pytest.mark.parametrize("member", ["password:ana@example.com", "ana@example.com:password:", f"password:{VENUE}"])
def test_no_address_imitates_another_purpose(member: str) -> None:
    kept = Seal(NEW).seal(SECRET, venue_id=VENUE, member="ana@example.com", purpose=Purpose.PASSWORD)
    with pytest.raises(SealBroken):
        Seal(NEW).open(kept, venue_id=VENUE, member=member)


def test_a_session_of_an_earlier_version_opens() -> None:
    nonce = bytes(12)
    old = AESGCM(NEW).encrypt(nonce, json.dumps(SECRET).encode(), f"{VENUE}:ana@example.com".encode())
    assert Seal(NEW).open(base64.b64encode(nonce + old).decode(), venue_id=VENUE, member="ana@example.com") == SECRET


def test_the_previous_key_opens_and_does_not_seal() -> None:
    rotating = Seal(NEW, OLD)
    assert rotating.open(sealed(Seal(OLD)), venue_id=VENUE, member="ana@example.com") == SECRET
    with pytest.raises(SealBroken):
        Seal(OLD).open(sealed(rotating), venue_id=VENUE, member="ana@example.com")


@pytest.mark.parametrize("position", [0, 11, 12, 20, -1])
def test_a_changed_bit_breaks_a_seal(position: int) -> None:
    raw = bytearray(base64.b64decode(sealed()))
    raw[position] ^= 1
    with pytest.raises(SealBroken):
        Seal(NEW).open(base64.b64encode(raw).decode(), venue_id=VENUE, member="ana@example.com")


@pytest.mark.parametrize(
    "text", ["", "?", "AAAA", "A" * 40, "é", pytest.param(f"{sealed()}?", id="one character more")]
)
def test_invalid_text_does_not_open_and_is_not_shown(text: str) -> None:
    with pytest.raises(SealBroken) as broken:
        Seal(NEW).open(text, venue_id=VENUE, member="ana@example.com")
    assert not text or text not in str(broken.value)


def test_without_a_key_nothing_opens() -> None:
    with pytest.raises(SealBroken):
        Seal().open(sealed(), venue_id=VENUE, member="ana@example.com")


def test_a_key_has_an_id_that_does_not_show_it() -> None:
    assert Seal(NEW, OLD).key_ids == [Seal(NEW).key_ids[0], Seal(OLD).key_ids[0]]
    assert Seal(OLD).key_ids == ["66687aadf862bd77"], "the first 16 digits of SHA-256"
    assert Seal().key_ids == []


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4096, 9000])
def test_the_sealed_size_is_known_before_anything_is_sealed(length: int) -> None:
    content = {"token": "x" * length}
    assert len(Seal(NEW).seal(content, venue_id=VENUE, member="ana@example.com")) == sealed_size(content)


def test_the_limit_of_a_sealed_login_is_that_of_its_column() -> None:
    [schema] = MIGRATIONS.glob("*_tables.sql")
    for column in ("sealed", "password"):
        assert f"check (length({column}) <= {SEALED_LIMIT})" in schema.read_text()
