"""Later choices that are locked, added or cancelled while the earlier one ends (I11)."""

from __future__ import annotations

from uuid import UUID, uuid4

import psycopg
import pytest

from tests.support.calls import cancel, claimed, complete, fail, prebooking
from tests.support.choices import MEMBER, add_choices, hold, states
from tests.support.database import At, Connection
from tests.support.factories import add_prebooking, add_venue, noon
from tests.support.questions import ask
from tests.support.races import at_the_same_time, result_after_commit, wait_until_blocked

_LOCK = "select from public.prebookings where id = any (%s) for update"


@pytest.fixture
def venue(owner: Connection, at: At) -> UUID:
    return add_venue(owner)


@pytest.mark.parametrize("locked", [1, 2])
def test_a_choice_that_was_locked_when_the_earlier_one_was_booked_is_repaired(
    owner: Connection, service: Connection, editor: Connection, venue: UUID, locked: int
) -> None:
    rows, me = add_choices(owner, venue), uuid4()
    hold(service, rows[0], me)
    with editor.transaction():
        editor.execute(_LOCK, [[rows[locked]]])
        assert complete(service, rows[0], me)
        assert ask(service, "prebooking_repair_choices") == 0, "it is still locked"
    assert states(owner, rows[locked:]) == ["waiting"] * (3 - locked)
    assert claimed(service, uuid4()) == []
    ask(service, "upkeep_due_v1", [], [])
    assert states(owner, rows) == ["completed", "cancelled", "cancelled"]
    assert {prebooking(owner, row)["error_message"] for row in rows[1:]} == {
        "not needed: the earlier choice is booked."
    }
    assert ask(service, "prebooking_repair_choices") == 0


def test_a_choice_whose_earlier_one_was_deleted_is_repaired(
    owner: Connection, service: Connection, editor: Connection, venue: UUID
) -> None:
    first, later = add_choices(owner, venue, 2)
    with editor.transaction():
        editor.execute(_LOCK, [[later]])
        assert cancel(service, first, MEMBER) == "cancelled"
    owner.execute("delete from public.prebookings where id = %s", [first])
    with pytest.raises(psycopg.Error, match="is promoted only when"):
        service.execute("update public.prebookings set promoted_at = %s where id = %s", [noon(), later])
    assert ask(service, "prebooking_repair_choices") == 1
    assert prebooking(owner, later)["error_message"] == "not tried: the earlier choice is gone."


def test_a_repair_leaves_waiting_and_promoted_choices(owner: Connection, service: Connection, venue: UUID) -> None:
    rows, me = add_choices(owner, venue), uuid4()
    hold(service, rows[0], me)
    assert fail(service, rows[0], me)
    assert ask(service, "prebooking_repair_choices") == 0
    assert states(owner, rows) == ["failed", "promoted", "waiting"]


def test_the_expiry_of_an_earlier_choice_waits_for_no_lock(
    owner: Connection, service: Connection, editor: Connection, at: At, venue: UUID
) -> None:
    """The claim holds the lock of all claims then. A locked choice goes on waiting, and is repaired."""
    first = add_prebooking(owner, venue, user_email=MEMBER, expires_at=noon(10))
    later = add_prebooking(owner, venue, user_email=MEMBER, stands_after=first)
    at(10)
    with editor.transaction():
        editor.execute(_LOCK, [[later]])
        service.execute("set lock_timeout = '1ms'")
        assert claimed(service, uuid4()) == []
    assert states(owner, [first, later]) == ["failed", "waiting"]
    assert ask(service, "prebooking_repair_choices") == 1


def test_a_refusal_waits_for_a_lock_on_the_next_choice_and_promotes_it(
    owner: Connection, service: Connection, editor: Connection, venue: UUID
) -> None:
    rows, me = add_choices(owner, venue), uuid4()
    hold(service, rows[0], me)
    with editor.transaction():
        editor.execute(_LOCK, [[rows[1]]])
        assert result_after_commit(lambda: fail(service, rows[0], me), owner, service, by=editor)
    assert states(owner, rows) == ["failed", "promoted", "waiting"]


def test_a_refusal_that_cannot_lock_the_next_choice_changes_nothing_and_can_be_repeated(
    owner: Connection, service: Connection, editor: Connection, venue: UUID
) -> None:
    rows, me = add_choices(owner, venue), uuid4()
    hold(service, rows[0], me)
    with editor.transaction():
        editor.execute(_LOCK, [[rows[1]]])
        with pytest.raises(psycopg.errors.LockNotAvailable):
            fail(service, rows[0], me)
        assert states(owner, rows) == ["pending", "waiting", "waiting"]
    assert fail(service, rows[0], me)
    assert states(owner, rows) == ["failed", "promoted", "waiting"]


def test_a_choice_that_is_cancelled_while_the_earlier_one_is_refused_is_not_promoted(
    owner: Connection, service: Connection, editor: Connection, venue: UUID
) -> None:
    rows, me = add_choices(owner, venue), uuid4()
    hold(service, rows[0], me)
    with editor.transaction():
        assert cancel(editor, rows[1], MEMBER) == "cancelled"
        assert result_after_commit(lambda: fail(service, rows[0], me), owner, service, by=editor)
    assert states(owner, rows) == ["failed", "cancelled", "cancelled"]


def test_a_choice_that_is_added_while_the_earlier_one_ends_is_seen_by_its_end(
    owner: Connection, service: Connection, editor: Connection, venue: UUID
) -> None:
    [first], me = add_choices(owner, venue, 1), uuid4()
    hold(service, first, me)
    with editor.transaction():
        later = add_prebooking(editor, venue, user_email=MEMBER, stands_after=first)
        assert result_after_commit(lambda: complete(service, first, me), owner, service, by=editor)
    assert states(owner, [first, later]) == ["completed", "cancelled"]


def test_a_choice_is_not_added_after_one_that_ends_meanwhile(
    owner: Connection, service: Connection, editor: Connection, venue: UUID
) -> None:
    [first], me = add_choices(owner, venue, 1), uuid4()
    hold(service, first, me)
    with service.transaction():
        assert complete(service, first, me)
        with at_the_same_time(lambda: add_prebooking(editor, venue, user_email=MEMBER, stands_after=first)) as added:
            wait_until_blocked(owner, editor, by=service)
            service.execute("commit; begin")
            with pytest.raises(psycopg.errors.CheckViolation, match="is not pending"):
                added.result()


def test_an_edit_that_locks_choices_in_another_order_ends_in_no_two_places(
    owner: Connection, service: Connection, editor: Connection, venue: UUID
) -> None:
    """A deadlock: Postgres ends one of the two transactions, and the refusal can be repeated."""
    (first, later), me = add_choices(owner, venue, 2), uuid4()
    hold(service, first, me)
    editor.execute("begin")
    editor.execute(_LOCK, [[later]])
    with at_the_same_time(lambda: fail(service, first, me)) as refused:
        wait_until_blocked(owner, service, by=editor)
        lost = _loses_the_deadlock(editor, first)
        editor.execute("rollback")
        assert (refused.exception() is None) == lost
    assert fail(service, first, me)
    assert states(owner, [first, later]) == ["failed", "promoted"]


def _loses_the_deadlock(connection: Connection, row: UUID) -> bool:
    try:
        connection.execute(_LOCK, [[row]])
    except psycopg.errors.DeadlockDetected:
        return True
    return False
