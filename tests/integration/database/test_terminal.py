"""A settled row never changes, and a row whose call may have been sent cannot be cancelled."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.support.calls import cancel, claim, claimed, complete, fail, finish, prebooking, release
from tests.support.database import At, Connection, Database
from tests.support.factories import add_prebooking, add_venue, noon
from tests.support.races import result_after_commit

ME = "me@example.com"
_ENDS = {"completed": "booked", "failed": "full", "cancelled": None}


@pytest.mark.parametrize("status", _ENDS)
@pytest.mark.parametrize(
    "change",
    [
        b"update public.prebookings set status = 'pending', settled_at = null, outcome = null",
        b"update public.prebookings set attempts = 9",
    ],
)
def test_a_terminal_row_never_changes(owner: Connection, status: str, change: bytes) -> None:
    end = {"status": status, "outcome": _ENDS[status], "settled_at": noon()}
    row = add_prebooking(owner, add_venue(owner), **end)
    before = prebooking(owner, row)
    with pytest.raises(psycopg.Error, match="is settled") as refused:
        owner.execute(change)
    assert refused.value.sqlstate == "PT409"
    assert prebooking(owner, row) == before


def test_a_refusal_contains_the_row_s_id_and_no_member_data(owner: Connection) -> None:
    row = add_prebooking(owner, add_venue(owner), status="cancelled", settled_at=noon())
    with pytest.raises(psycopg.Error) as refused:
        owner.execute("update public.prebookings set attempts = 9")
    assert refused.value.diag.message_primary == f"prebooking {row} is settled, or is being booked"
    assert refused.value.diag.message_detail is None


def test_a_member_cancels_an_unclaimed_row(owner: Connection, service: Connection, at: At) -> None:
    row = add_prebooking(owner, add_venue(owner), user_email="Me@Example.com")
    assert cancel(service, row, "me@example.COM") == "cancelled"
    stored = prebooking(owner, row)
    assert (stored["status"], stored["outcome"], stored["settled_at"]) == ("cancelled", None, noon())


def test_cancelling_twice_returns_the_same_result(owner: Connection, service: Connection) -> None:
    row = add_prebooking(owner, add_venue(owner), user_email=ME)
    assert [cancel(service, row, ME) for _ in range(2)] == ["cancelled", "cancelled"]


def test_a_cancelled_row_is_never_claimed(owner: Connection, service: Connection) -> None:
    row = add_prebooking(owner, add_venue(owner), user_email=ME)
    cancel(service, row, ME)
    assert claimed(service, uuid4()) == []


@pytest.mark.parametrize("maybe_sent", [False, True])
def test_a_claimed_row_and_a_row_in_doubt_cannot_be_cancelled(
    owner: Connection, service: Connection, *, maybe_sent: bool
) -> None:
    row = add_prebooking(owner, add_venue(owner), user_email=ME, maybe_sent=maybe_sent)
    if not maybe_sent:
        claim(service, uuid4())
    assert cancel(service, row, ME) == "being_booked"
    assert prebooking(owner, row)["status"] == "pending"


@pytest.mark.parametrize(
    "give_back",
    [lambda db, me, row: release(db, me, [row]), lambda db, me, _: finish(db, me)],
    ids=["release", "finish"],
)
def test_a_row_that_was_given_back_can_be_cancelled(owner: Connection, service: Connection, give_back: Any) -> None:
    row, me = add_prebooking(owner, add_venue(owner), user_email=ME), uuid4()
    claim(service, me)
    give_back(service, me, row)
    assert cancel(service, row, ME) == "cancelled"


@pytest.mark.parametrize("settle", [complete, fail])
def test_a_settled_row_cannot_be_cancelled(owner: Connection, service: Connection, settle: Any) -> None:
    row, me = add_prebooking(owner, add_venue(owner), user_email=ME), uuid4()
    claim(service, me)
    settle(service, row, me)
    assert cancel(service, row, ME) == "settled"


def test_a_member_cannot_cancel_another_member_s_row(owner: Connection, service: Connection) -> None:
    row = add_prebooking(owner, add_venue(owner), user_email=ME)
    assert cancel(service, row, "you@example.com") == "not_found"
    assert prebooking(owner, row)["status"] == "pending"


def test_a_row_that_does_not_exist_is_not_found(service: Connection) -> None:
    assert cancel(service, uuid4(), ME) == "not_found"


@pytest.mark.parametrize("held", [{"maybe_sent": True}, {"claimed": True}])
def test_no_update_cancels_a_row_whose_call_may_have_been_sent(owner: Connection, held: dict[str, bool]) -> None:
    claimed_by = {"claimed_by": uuid4(), "claimed_until": noon(), "turn_until": noon()}
    row = add_prebooking(owner, add_venue(owner), **(claimed_by if "claimed" in held else held))
    with pytest.raises(psycopg.Error, match="may already be at the venue") as refused:
        owner.execute(
            "update public.prebookings set status = 'cancelled', settled_at = now(), "
            "claimed_by = null, claimed_until = null, turn_until = null, maybe_sent = false"
        )
    assert refused.value.sqlstate == "PT409"
    assert prebooking(owner, row)["status"] == "pending"


def test_a_cancellation_waits_for_a_concurrent_claim_and_is_refused(database: Database, owner: Connection) -> None:
    row = add_prebooking(owner, add_venue(owner), user_email=ME)
    claiming, cancelling = database.connect("service_role"), database.connect("service_role")
    with claiming.transaction():
        assert claimed(claiming, uuid4()) == [row]
        answer = result_after_commit(
            lambda: cancel(cancelling, row, ME), owner, cancelling, by=claiming, lock="transactionid"
        )
        assert answer == "being_booked"


def test_a_claim_skips_a_row_with_a_concurrent_cancellation(database: Database, owner: Connection) -> None:
    row = add_prebooking(owner, add_venue(owner), user_email=ME)
    cancelling, claiming = database.connect("service_role"), database.connect("service_role")
    with cancelling.transaction():
        assert cancel(cancelling, row, ME) == "cancelled"
        assert claimed(claiming, uuid4()) == []
    assert claimed(claiming, uuid4()) == []
