"""What an app may write, what is refused, and which warnings the database writes at once."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support.calls import claim, claimed, finish, prebooking
from tests.support.database import At, Connection, Database
from tests.support.factories import add_prebooking, add_session, add_venue, noon
from tests.support.races import result_after_commit

ME = "me@example.com"


# five of one member at one opening


def test_a_member_has_at_most_five_pending_rows_per_opening(owner: Connection, at: At) -> None:
    venue = _venue_with_rows(owner, 5)
    with pytest.raises(psycopg.Error, match="five pending prebookings for one opening") as refused:
        add_prebooking(owner, venue, user_email=ME.upper(), available_at=noon(60))
    assert (refused.value.sqlstate, refused.value.diag.constraint_name) == ("PT409", "five_for_one_opening")
    assert ME not in str(refused.value).lower()


@pytest.mark.parametrize("apart", [0.0, 0.001], ids=["at one instant", "a millisecond apart"])
def test_many_rows_of_one_member_take_no_slot_of_another(
    owner: Connection, service: Connection, at: At, apart: float
) -> None:
    venue = add_venue(owner)
    for number in range(200):
        with suppress(psycopg.Error):
            add_prebooking(owner, venue, user_email=ME, available_at=noon(-1 - number * apart))
    victim = add_prebooking(owner, venue, available_at=noon(-1))
    assert victim in claimed(service, uuid4(), fire_within_ms=250, stagger_ms=50)


@pytest.mark.parametrize("other", ["another venue", "another opening", "another member", "an ended row"])
def test_rows_that_do_not_compete_are_not_counted(owner: Connection, at: At, other: str) -> None:
    venue = _venue_with_rows(owner, 5)
    there: dict[str, Any] = {"user_email": ME, "available_at": noon(60)}
    if other == "another opening":
        there["available_at"] = noon(120)
    if other == "another member":
        there["user_email"] = "you@example.com"
    if other == "an ended row":
        there |= {"status": "cancelled", "settled_at": noon(0)}
    add_prebooking(owner, add_venue(owner) if other == "another venue" else venue, **there)


@pytest.mark.parametrize("moved", [b"set available_at = '2026-11-23 12:01+00'", b"set user_email = 'Me@example.com'"])
def test_a_row_that_is_moved_to_a_full_opening_is_refused(owner: Connection, at: At, moved: bytes) -> None:
    venue = _venue_with_rows(owner, 5)
    elsewhere = {"available_at": noon(180), "user_email": ME} if b"available" in moved else {"available_at": noon(60)}
    row = add_prebooking(owner, venue, **elsewhere)
    with pytest.raises(psycopg.Error, match="five pending prebookings"):
        owner.execute(b"update public.prebookings " + moved + b" where id = %s", [row])
    owner.execute(
        "update public.prebookings set expires_at = expires_at + interval '1 hour' where user_email = %s", [ME]
    )


def test_concurrent_connections_cannot_both_add_the_fifth_row(database: Database, owner: Connection, at: At) -> None:
    venue = _venue_with_rows(owner, 4)
    one, other = database.connect(), database.connect()
    with one.transaction():
        add_prebooking(one, venue, user_email=ME, available_at=noon(60))
        refused = result_after_commit(lambda: _refused(other, venue), owner, other, by=one, lock="advisory")
        assert refused == "PT409"


def test_concurrent_connections_can_both_add_allowed_rows(database: Database, owner: Connection, at: At) -> None:
    venue, one, other = add_venue(owner), database.connect(), database.connect()
    with one.transaction():
        add_prebooking(one, venue, user_email=ME, available_at=noon(60))
        refused = result_after_commit(lambda: _refused(other, venue), owner, other, by=one)
        assert refused is None


def test_adding_a_row_does_not_wait_for_another_member_s(database: Database, owner: Connection, at: At) -> None:
    venue, other = add_venue(owner), database.connect()
    other.execute("set lock_timeout = '100ms'")
    with owner.transaction():
        add_prebooking(owner, venue, user_email="ana@example.com")
        add_prebooking(other, venue, user_email="ben@example.com")


def test_a_prebooking_expires_a_day_after_its_opening_by_default(owner: Connection) -> None:
    venue = add_venue(owner)
    row = {"venue_id": venue, "user_email": "ana@example.com", "booking_data": Jsonb({}), "available_at": noon()}
    owner.execute(
        "insert into public.prebookings (venue_id, user_email, booking_data, available_at)"
        " values (%(venue_id)s, %(user_email)s, %(booking_data)s, %(available_at)s)",
        row,
    )
    assert owner.execute("select expires_at from public.prebookings").fetchone() == (noon(86_400),)


def test_ten_thousand_members_can_be_added_at_once(owner: Connection) -> None:
    owner.execute(
        """insert into public.prebookings (venue_id, user_email, booking_data, available_at)
        select %s, n || '@example.com', jsonb_build_object('class_id', n), now() from generate_series(1, 10000) n""",
        [add_venue(owner)],
    )


def _venue_with_rows(owner: Connection, count: int) -> UUID:
    """Add a venue with this many rows of one member for one opening."""
    venue = add_venue(owner)
    for _ in range(count):
        add_prebooking(owner, venue, user_email=ME, available_at=noon(60))
    return venue


def _refused(connection: Connection, venue: UUID) -> str | None:
    try:
        add_prebooking(connection, venue, user_email=ME, available_at=noon(60))
    except psycopg.Error as refused:
        return refused.sqlstate
    return None


# edits of rows that are being booked

_EDITS = [
    b"available_at = available_at + interval '9 seconds'",
    b"expires_at = expires_at + interval '1 hour'",
    b"user_email = 'you@example.com'",
    b"""booking_data = '{"class_id": "another"}'""",
    b"venue_id = (select id from public.venues where name = 'another')",
    b"id = gen_random_uuid()",
    b"status = 'cancelled', settled_at = now()",
]


@pytest.mark.grid
@pytest.mark.parametrize("edit", _EDITS)
@pytest.mark.parametrize("state", ["claimed", "in doubt", "its lease is over"])
def test_a_row_that_is_being_booked_cannot_be_edited(
    owner: Connection, service: Connection, at: At, edit: bytes, state: str
) -> None:
    """I1, I10: an edit neither makes a second place, nor leaves a call at the earlier opening."""
    add_venue(owner, name="another")
    row = add_prebooking(owner, add_venue(owner), maybe_sent=state == "in doubt")
    if state != "in doubt":
        claim(service, uuid4())
    if state == "its lease is over":
        at(60)
    before = prebooking(owner, row)
    with pytest.raises(psycopg.Error, match="may already be at the venue") as refused:
        owner.execute(b"update public.prebookings set " + edit + b" where id = %s", [row])
    assert refused.value.sqlstate == "PT409"
    assert prebooking(owner, row) == before


@pytest.mark.parametrize("edit", _EDITS)
def test_a_released_row_can_be_edited(owner: Connection, service: Connection, at: At, edit: bytes) -> None:
    add_venue(owner, name="another")
    row, me = add_prebooking(owner, add_venue(owner)), uuid4()
    claim(service, me)
    finish(service, me)
    owner.execute(b"update public.prebookings set " + edit + b" where id = %s", [row])


_NOTES = {
    "attempts": 0,
    "unclear": 0,
    "early_since": None,
    "missing_since": None,
    "blocks": 0,
    "blocked_at": None,
    "setbacks": 0,
    "retry_after": None,
    "if_not_booked": None,
    "fired_at": None,
}


def _with_notes(owner: Connection) -> UUID:
    """Add a released row with every note that an earlier run can make."""
    notes: dict[str, Any] = {"attempts": 3, "unclear": 1, "blocks": 1, "setbacks": 3, "if_not_booked": "full"}
    notes |= dict.fromkeys(["early_since", "missing_since", "blocked_at", "fired_at"], noon(-900))
    return add_prebooking(owner, add_venue(owner), **notes, retry_after=noon(600))


@pytest.mark.parametrize("edit", _EDITS[:1] + _EDITS[2:5])
def test_an_edit_of_the_prebooking_clears_the_notes_of_earlier_runs(owner: Connection, at: At, edit: bytes) -> None:
    """Otherwise a corrected opening would wait for a back-off, and fail at its first "too early"."""
    add_venue(owner, name="another")
    row = _with_notes(owner)
    owner.execute(b"update public.prebookings set " + edit + b" where id = %s", [row])
    after = prebooking(owner, row)
    assert {name: after[name] for name in _NOTES} == _NOTES
    assert (after["fresh"], after["lateness_ms"]) == (True, None)


@pytest.mark.parametrize("edit", [b"warning = 'log in'", b"expires_at = expires_at + interval '1 hour'"])
def test_an_edit_of_other_columns_keeps_the_notes(owner: Connection, at: At, edit: bytes) -> None:
    row = _with_notes(owner)
    before = prebooking(owner, row)
    owner.execute(b"update public.prebookings set " + edit + b" where id = %s", [row])
    after = prebooking(owner, row)
    assert {name: after[name] for name in _NOTES} == {name: before[name] for name in _NOTES}


@pytest.mark.parametrize("edit", [b"host = 'other.example'", b"host = null", b"provider = 'aimharder'"])
@pytest.mark.parametrize("state", ["claimed", "in doubt"])
def test_a_venue_with_rows_being_booked_keeps_its_identity(
    owner: Connection, service: Connection, at: At, edit: bytes, state: str
) -> None:
    """I1: otherwise the other venue would deny the place, and the row would be booked again."""
    venue = add_venue(owner)
    add_prebooking(owner, venue, status="failed", outcome="unknown", settled_at=noon(), maybe_sent=True)
    row = add_prebooking(owner, venue, maybe_sent=state == "in doubt")
    if state == "claimed":
        claim(service, uuid4())
    change = b"update public.venues set " + edit + b" where id = %s"
    with pytest.raises(psycopg.Error, match="are being booked there") as refused:
        owner.execute(change, [venue])
    assert refused.value.sqlstate == "PT409"
    owner.execute("update public.venues set name = 'n', enabled = false, provider_box_id = '7' where id = %s", [venue])
    owner.execute(
        "update public.prebookings set maybe_sent = false, claimed_by = null, claimed_until = null,"
        " turn_until = null where id = %s",
        [row],
    )
    owner.execute(change, [venue])


@pytest.mark.parametrize("edit", [b"warning = 'log in'", b"user_email = user_email", b"created_at = created_at"])
def test_other_columns_of_a_claimed_row_can_be_written(owner: Connection, service: Connection, edit: bytes) -> None:
    row = add_prebooking(owner, add_venue(owner))
    claim(service, uuid4())
    owner.execute(b"update public.prebookings set " + edit + b" where id = %s", [row])


# data that AimHarder's booker cannot read

_GOOD = {"class_id": "4711", "day": "20300111"}
_UNREADABLE: list[tuple[str, Any]] = [
    *(
        ("class_id", value)
        for value in (None, "", "47 11", ["4711"], True, 4711.5, "4" * 41, "\uff14\uff17\uff11\uff11")
    ),
    *(("day", value) for value in (None, "11/01/2030", "2030-0111", "20301301", "20300230", "20290229", "2030-02-31")),
    *[("day", "00000101"), ("insist", 2), ("insist", "yes"), ("family_id", "a b"), ("family_id", {})],
]


@pytest.fixture
def box(owner: Connection, at: At) -> UUID:
    return add_venue(owner, provider="aimharder", host="box.aimharder.com")


@pytest.mark.grid
@pytest.mark.parametrize(("name", "value"), _UNREADABLE)
def test_unreadable_data_is_warned_about(owner: Connection, box: UUID, name: str, value: Any) -> None:
    row = add_prebooking(owner, box, booking_data=_GOOD | {name: value})
    assert (prebooking(owner, row)["warning"] or "").startswith(f"bad_data: {name} is n")
    owner.execute("update public.prebookings set booking_data = %s where id = %s", [Jsonb(_GOOD), row])
    assert prebooking(owner, row)["warning"] is None
    owner.execute("update public.prebookings set booking_data = %s where id = %s", [Jsonb(_GOOD | {name: value}), row])
    assert prebooking(owner, row)["warning"].startswith("bad_data: ")


def test_the_data_of_a_webhook_venue_is_not_checked(owner: Connection) -> None:
    row = add_prebooking(owner, add_venue(owner), booking_data={"whatever": "the endpoint wants"})
    assert prebooking(owner, row)["warning"] is None


def test_a_row_moved_to_aimharder_is_checked_again(owner: Connection, box: UUID) -> None:
    row = add_prebooking(owner, add_venue(owner), booking_data={"class_id": "a b"})
    owner.execute("update public.prebookings set venue_id = %s where id = %s", [box, row])
    assert prebooking(owner, row)["warning"].startswith("bad_data: ")


def test_a_login_or_claim_keeps_the_warning_about_bad_data(owner: Connection, service: Connection, box: UUID) -> None:
    row = add_prebooking(owner, box, user_email=ME, booking_data={"class_id": "a b"})
    assert claim(service, uuid4())["no_login"] == 1
    owner.execute("update public.prebookings set warning = null where id = %s", [row])
    add_session(owner, box, ME)
    assert claimed(service, uuid4()) == [row]
    assert prebooking(owner, row)["warning"].startswith("bad_data: ")
