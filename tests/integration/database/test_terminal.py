"""A row that has ended stays as it is, and what may be at the venue is not cancelled."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.support.calls import cancel, claim, claimed, complete, fail, finish, prebooking, release
from tests.support.database import At, Connection, Database
from tests.support.factories import add_prebooking, add_venue, noon
from tests.support.races import at_the_same_time, wait_until_blocked

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


def test_a_refusal_names_the_row_and_nobodys_data(owner: Connection) -> None:
    row = add_prebooking(owner, add_venue(owner), status="cancelled", settled_at=noon())
    with pytest.raises(psycopg.Error) as refused:
        owner.execute("update public.prebookings set attempts = 9")
    assert refused.value.diag.message_primary == f"prebooking {row} is settled, or is being booked"
    assert refused.value.diag.message_detail is None


def test_a_member_cancels_what_nobody_has_claimed(owner: Connection, service: Connection, at: At) -> None:
    row = add_prebooking(owner, add_venue(owner), user_email="Me@Example.com")
    assert cancel(service, row, "me@example.COM") == "cancelled"
    stored = prebooking(owner, row)
    assert (stored["status"], stored["outcome"], stored["settled_at"]) == ("cancelled", None, noon())


def test_cancelling_twice_says_so_twice(owner: Connection, service: Connection) -> None:
    row = add_prebooking(owner, add_venue(owner), user_email="me@example.com")
    assert [cancel(service, row, "me@example.com") for _ in range(2)] == ["cancelled", "cancelled"]


def test_a_cancelled_row_is_never_claimed(owner: Connection, service: Connection) -> None:
    row = add_prebooking(owner, add_venue(owner), user_email="me@example.com")
    cancel(service, row, "me@example.com")
    assert claimed(service, uuid4()) == []


def test_a_claimed_row_is_being_booked(owner: Connection, service: Connection) -> None:
    row = add_prebooking(owner, add_venue(owner), user_email="me@example.com")
    claim(service, uuid4())
    assert cancel(service, row, "me@example.com") == "being_booked"
    assert prebooking(owner, row)["status"] == "pending"


def test_a_row_in_doubt_is_being_booked(owner: Connection, service: Connection) -> None:
    row = add_prebooking(owner, add_venue(owner), user_email="me@example.com", maybe_sent=True)
    assert cancel(service, row, "me@example.com") == "being_booked"
    assert prebooking(owner, row)["status"] == "pending"


def test_a_released_row_can_be_cancelled_again(owner: Connection, service: Connection) -> None:
    row, me = add_prebooking(owner, add_venue(owner), user_email="me@example.com"), uuid4()
    claim(service, me)
    release(service, me, [row])
    assert cancel(service, row, "me@example.com") == "cancelled"


@pytest.mark.parametrize("settle", [complete, fail])
def test_a_settled_row_cannot_be_cancelled(owner: Connection, service: Connection, settle: Any) -> None:
    row, me = add_prebooking(owner, add_venue(owner), user_email="me@example.com"), uuid4()
    claim(service, me)
    settle(service, row, me)
    assert cancel(service, row, "me@example.com") == "settled"


def test_nobody_cancels_for_another_member(owner: Connection, service: Connection) -> None:
    row = add_prebooking(owner, add_venue(owner), user_email="me@example.com")
    assert cancel(service, row, "you@example.com") == "not_found"
    assert prebooking(owner, row)["status"] == "pending"


def test_a_row_that_does_not_exist_is_not_found(service: Connection) -> None:
    assert cancel(service, uuid4(), "me@example.com") == "not_found"


@pytest.mark.parametrize("held", [{"maybe_sent": True}, {"claimed": True}])
def test_no_update_cancels_what_may_be_at_the_venue(owner: Connection, held: dict[str, bool]) -> None:
    claimed_by = {"claimed_by": uuid4(), "claimed_until": noon(), "turn_until": noon()}
    row = add_prebooking(owner, add_venue(owner), **(claimed_by if "claimed" in held else held))
    with pytest.raises(psycopg.Error, match="is being booked") as refused:
        owner.execute(
            "update public.prebookings set status = 'cancelled', settled_at = now(), "
            "claimed_by = null, claimed_until = null, turn_until = null, maybe_sent = false"
        )
    assert refused.value.sqlstate == "PT409"
    assert prebooking(owner, row)["status"] == "pending"


def test_a_cancellation_that_meets_a_claim_waits_and_then_is_too_late(database: Database, owner: Connection) -> None:
    row = add_prebooking(owner, add_venue(owner), user_email="me@example.com")
    claiming, cancelling = database.connect("service_role"), database.connect("service_role")
    with claiming.transaction():
        assert claimed(claiming, uuid4()) == [row]
        with at_the_same_time(lambda: cancel(cancelling, row, "me@example.com")) as answer:
            assert wait_until_blocked(owner, cancelling, by=claiming) == "transactionid"
            claiming.execute("commit; begin")
            assert answer.result() == "being_booked"


def test_a_claim_that_meets_a_cancellation_leaves_the_row_and_does_not_wait(
    database: Database, owner: Connection
) -> None:
    row = add_prebooking(owner, add_venue(owner), user_email="me@example.com")
    cancelling, claiming = database.connect("service_role"), database.connect("service_role")
    with cancelling.transaction():
        assert cancel(cancelling, row, "me@example.com") == "cancelled"
        assert claimed(claiming, uuid4()) == []
    assert claimed(claiming, uuid4()) == []


def test_a_finished_run_gives_a_cancellable_row_back(owner: Connection, service: Connection) -> None:
    row, me = add_prebooking(owner, add_venue(owner), user_email="me@example.com"), uuid4()
    claim(service, me)
    finish(service, me)
    assert cancel(service, row, "me@example.com") == "cancelled"
