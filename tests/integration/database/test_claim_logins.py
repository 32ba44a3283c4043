"""Rows whose login this deployment cannot open are left to others, with a warning."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.support.calls import claim, claimed, prebooking
from tests.support.database import At, Connection
from tests.support.factories import add_prebooking, add_session, add_venue, noon

MEMBER = "ana@example.com"
OURS, THEIRS = "0123456789abcdef", "fedcba9876543210"


@pytest.fixture
def box(owner: Connection, at: At) -> UUID:
    return add_venue(owner, provider="aimharder", host="box.aimharder.com")


@pytest.mark.parametrize("keys", [[OURS], [], None])
def test_a_row_without_login_is_left(owner: Connection, service: Connection, box: UUID, keys: list[str] | None) -> None:
    row = add_prebooking(owner, box, user_email="Ana@example.com")
    answer = claim(service, uuid4(), keys=keys)
    assert (answer["rows"], answer["no_login"]) == ([], 1)
    stored = prebooking(owner, row)
    assert (stored["status"], stored["claimed_by"]) == ("pending", None)
    assert stored["warning"].startswith("no_login: ")


@pytest.mark.parametrize("keys", [[OURS], []])
def test_a_row_whose_login_has_another_key_is_not_claimed(
    owner: Connection, service: Connection, box: UUID, keys: list[str]
) -> None:
    row = add_prebooking(owner, box, user_email="Ana@example.com")
    add_session(owner, box, MEMBER, key_id=THEIRS)
    assert (claim(service, uuid4(), keys=keys)["no_login"], prebooking(owner, row)["status"]) == (1, "pending")
    assert prebooking(owner, row)["warning"].startswith("other_key: ")
    assert claimed(service, uuid4(), keys=[THEIRS]) == [row], "a deployment with that key takes it"


@pytest.mark.parametrize(
    ("session", "keys"),
    [({"key_id": OURS}, [THEIRS, OURS]), ({"key_id": None}, [OURS]), ({"key_id": None}, []), ({"key_id": OURS}, None)],
)
def test_a_login_with_a_known_key_is_claimed_with_its_row(
    owner: Connection, service: Connection, box: UUID, session: dict[str, Any], keys: list[str] | None
) -> None:
    row = add_prebooking(owner, box, user_email="Ana@example.com")
    add_session(owner, box, MEMBER, **session)
    answer = claim(service, uuid4(), keys=keys)
    assert [(taken["id"], taken["session_over"]) for taken in answer["rows"]] == [(str(row), False)]
    assert answer["rows"][0]["session"]["sealed"] == "sealed"
    assert answer["no_login"] == 0


@pytest.mark.parametrize("key_id", [OURS, THEIRS, None])
def test_an_ended_login_is_returned_as_over(
    owner: Connection, service: Connection, box: UUID, key_id: str | None
) -> None:
    row = add_prebooking(owner, box, user_email=MEMBER)
    add_session(owner, box, MEMBER, expired_at=noon(-60), key_id=key_id)
    answer = claim(service, uuid4(), keys=[OURS])
    (taken,) = answer["rows"]
    assert (answer["no_login"], prebooking(owner, row)["warning"]) == (0, None)
    assert (taken["id"], taken["session_over"], taken["session"]) == (str(row), True, None)


def test_a_new_login_lets_its_row_be_claimed_unwarned(owner: Connection, service: Connection, box: UUID) -> None:
    row = add_prebooking(owner, box, user_email=MEMBER)
    claim(service, uuid4())
    add_session(owner, box, MEMBER)
    assert claimed(service, uuid4()) == [row]
    assert prebooking(owner, row)["warning"] is None


def test_a_claim_keeps_another_warning(owner: Connection, service: Connection) -> None:
    row = add_prebooking(owner, add_venue(owner), warning="session_expired: log in")
    claim(service, uuid4())
    assert prebooking(owner, row)["warning"] == "session_expired: log in"


def test_members_without_a_login_take_no_slots(owner: Connection, service: Connection, box: UUID) -> None:
    for number in range(210):
        add_prebooking(owner, box, user_email=f"nobody{number}@example.com", available_at=noon(-60))
    row = add_prebooking(owner, box, user_email=MEMBER, available_at=noon(-1))
    add_session(owner, box, MEMBER)
    assert claimed(service, uuid4(), fire_within_ms=1000) == [row]


def test_a_login_of_another_venue_does_not_count(owner: Connection, service: Connection, box: UUID) -> None:
    add_prebooking(owner, box, user_email=MEMBER)
    add_session(owner, add_venue(owner, provider="aimharder", host="other.aimharder.com"), MEMBER)
    assert claim(service, uuid4())["no_login"] == 1


@pytest.mark.parametrize("why", ["not open yet", "webhook", "disabled", "not ours", "expired"])
def test_a_row_that_needs_no_login_now_is_not_counted(owner: Connection, service: Connection, why: str) -> None:
    aimharder = {"provider": "aimharder", "host": "box.aimharder.com"}
    venue = add_venue(owner, **({} if why == "webhook" else aimharder), enabled=why != "disabled")
    row = add_prebooking(owner, venue)
    if why == "not open yet":
        owner.execute("update public.prebookings set available_at = now() + interval '1 hour'")
    if why == "expired":
        owner.execute("update public.prebookings set expires_at = now()")
    assert (
        claim(service, uuid4(), providers=["webhook"] if why == "not ours" else ["webhook", "aimharder"])["no_login"]
        == 0
    )
    assert prebooking(owner, row)["warning"] is None


def test_a_warning_is_written_once(owner: Connection, service: Connection, box: UUID) -> None:
    add_prebooking(owner, box)
    claim(service, uuid4())
    before = owner.execute("select xmin, ctid from public.prebookings").fetchall()
    claim(service, uuid4())
    assert owner.execute("select xmin, ctid from public.prebookings").fetchall() == before


def test_a_locked_row_is_not_warned_about(owner: Connection, service: Connection, box: UUID, database: Any) -> None:
    row = add_prebooking(owner, box)
    editor = database.connect()
    with editor.transaction():
        editor.execute("select from public.prebookings for update")
        assert claim(service, uuid4())["no_login"] == 1
    assert prebooking(owner, row)["warning"] is None
