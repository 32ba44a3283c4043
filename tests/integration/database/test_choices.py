"""Later choices: who promotes and who cancels them, and what nobody can change (I11)."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from prebooking.model import COMPLETED, ENDED_BY_DATABASE, FAILED
from tests.support.calls import cancel, claim, claimed, complete, fail, prebooking
from tests.support.choices import MEMBER, REFUSALS, add_choices, hold, states
from tests.support.database import At, Connection
from tests.support.factories import add_prebooking, add_venue, noon
from tests.support.questions import ask, preview

_OTHER_ENDS = sorted({*FAILED} - {*REFUSALS} - ENDED_BY_DATABASE)


def reasons(owner: Connection, rows: list[UUID]) -> list[str | None]:
    return [prebooking(owner, row)["error_message"] for row in rows]


def update(connection: Connection, row: UUID, **columns: Any) -> None:
    assignments = sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(name), value) for name, value in columns.items()
    )
    connection.execute(sql.SQL("update public.prebookings set {} where id = {}").format(assignments, row))


@pytest.fixture
def venue(owner: Connection, at: At) -> UUID:
    return add_venue(owner)


# the end of an earlier choice


@pytest.mark.parametrize("outcome", REFUSALS)
def test_a_refusal_about_the_class_promotes_the_next_choice(
    owner: Connection, service: Connection, at: At, venue: UUID, outcome: str
) -> None:
    rows, me = add_choices(owner, venue), uuid4()
    hold(service, rows[0], me)
    at(5)
    assert fail(service, rows[0], me, outcome)
    assert states(owner, rows) == ["failed", "promoted", "waiting"]
    assert prebooking(owner, rows[1])["promoted_at"] == noon(5)


def test_a_refusal_that_ends_a_doubt_promotes_the_next_choice(
    owner: Connection, service: Connection, venue: UUID
) -> None:
    rows, me = add_choices(owner, venue), uuid4()
    owner.execute("update public.prebookings set maybe_sent = true where id = %s", [rows[0]])
    hold(service, rows[0], me)
    assert fail(service, rows[0], me, "full")
    assert states(owner, rows) == ["failed", "promoted", "waiting"]


def test_a_repeated_refusal_promotes_once(owner: Connection, service: Connection, at: At, venue: UUID) -> None:
    rows, me = add_choices(owner, venue), uuid4()
    hold(service, rows[0], me)
    assert fail(service, rows[0], me)
    at(5)
    assert fail(service, rows[0], me)
    assert states(owner, rows) == ["failed", "promoted", "waiting"]
    assert prebooking(owner, rows[1])["promoted_at"] == noon()


def test_each_refused_choice_promotes_the_next_one(owner: Connection, service: Connection, venue: UUID) -> None:
    rows, me = add_choices(owner, venue, 4), uuid4()
    for row in rows:
        assert claimed(service, me) == [row]
        assert fail(service, row, me)
    assert states(owner, rows) == ["failed"] * 4


@pytest.mark.parametrize("outcome", sorted(COMPLETED))
def test_a_place_cancels_all_later_choices(owner: Connection, service: Connection, venue: UUID, outcome: str) -> None:
    rows, me = add_choices(owner, venue, 4), uuid4()
    hold(service, rows[0], me)
    assert complete(service, rows[0], me, outcome)
    why = "has a place on the waiting list" if outcome == "waitlisted" else "is booked"
    assert states(owner, rows) == ["completed", *["cancelled"] * 3]
    assert reasons(owner, rows[1:]) == [f"not needed: the earlier choice {why}."] * 3
    assert prebooking(owner, rows[3])["settled_at"] == noon()
    assert complete(service, rows[0], me, outcome)


@pytest.mark.parametrize("outcome", _OTHER_ENDS)
def test_a_refusal_about_the_member_cancels_all_later_choices(
    owner: Connection, service: Connection, venue: UUID, outcome: str
) -> None:
    rows, me = add_choices(owner, venue), uuid4()
    hold(service, rows[0], me)
    assert fail(service, rows[0], me, outcome)
    assert states(owner, rows) == ["failed", "cancelled", "cancelled"]
    why = f"not tried: the earlier choice ended as {outcome}, which is not about its class."
    assert reasons(owner, rows[1:]) == [why] * 2


def test_a_class_that_is_gone_while_its_call_is_in_doubt_promotes_nothing(
    owner: Connection, service: Connection, venue: UUID
) -> None:
    rows, me = add_choices(owner, venue), uuid4()
    owner.execute("update public.prebookings set maybe_sent = true where id = %s", [rows[0]])
    hold(service, rows[0], me)
    assert fail(service, rows[0], me, "class_gone")
    assert states(owner, rows) == ["failed", "cancelled", "cancelled"]
    assert reasons(owner, rows[1:]) == ["not tried: the earlier choice may have a place, check at the venue."] * 2


@pytest.mark.parametrize(
    "ends",
    [
        ("expired", "the earlier class began before it could be booked."),
        ("unknown", "the earlier choice may have a place, check at the venue."),
    ],
)
def test_the_expiry_of_an_earlier_choice_cancels_the_later_ones(
    owner: Connection, service: Connection, at: At, venue: UUID, ends: tuple[str, str]
) -> None:
    outcome, why = ends
    sent = outcome == "unknown"
    first = add_prebooking(owner, venue, user_email=MEMBER, expires_at=noon(10), maybe_sent=sent)
    rows = [first, add_prebooking(owner, venue, user_email=MEMBER, stands_after=first)]
    at(10)
    assert claimed(service, uuid4()) == []
    assert prebooking(owner, first)["outcome"] == outcome
    assert states(owner, rows) == ["failed", "cancelled"]
    assert reasons(owner, rows[1:]) == [f"not tried: {why}"]


def test_cancelling_the_first_choice_cancels_the_later_ones(
    owner: Connection, service: Connection, venue: UUID
) -> None:
    rows = add_choices(owner, venue)
    assert cancel(service, rows[0], MEMBER) == "cancelled"
    assert states(owner, rows) == ["cancelled"] * 3
    assert reasons(owner, rows) == [None, *["not tried: the earlier choice was cancelled."] * 2]
    assert cancel(service, rows[2], MEMBER) == "cancelled"


def test_cancelling_a_later_choice_leaves_the_earlier_ones(owner: Connection, service: Connection, venue: UUID) -> None:
    rows, me = add_choices(owner, venue), uuid4()
    assert cancel(service, rows[1], MEMBER) == "cancelled"
    assert states(owner, rows) == ["pending", "cancelled", "cancelled"]
    hold(service, rows[0], me)
    assert fail(service, rows[0], me)
    assert states(owner, rows) == ["failed", "cancelled", "cancelled"]


def test_a_forgotten_member_has_no_waiting_choices(owner: Connection, service: Connection, venue: UUID) -> None:
    rows, me = add_choices(owner, venue), uuid4()
    hold(service, rows[0], me)
    answer = ask(service, "forget_member_v1", MEMBER)
    assert (answer["cancelled"], answer["being_booked"]) == (2, 1)
    assert fail(service, rows[0], me)
    assert states(owner, rows) == ["failed", "cancelled", "cancelled"]


def test_a_later_choice_that_expires_leaves_the_earlier_ones(
    owner: Connection, service: Connection, at: At, venue: UUID
) -> None:
    first = add_prebooking(owner, venue, user_email=MEMBER, available_at=noon(60))
    later = add_prebooking(owner, venue, user_email=MEMBER, stands_after=first, expires_at=noon(10))
    at(10)
    assert claimed(service, uuid4()) == []
    assert states(owner, [first, later]) == ["pending", "failed"]
    assert prebooking(owner, later)["outcome"] == "expired"


# waiting


def test_a_waiting_choice_is_taken_by_no_claim(owner: Connection, service: Connection, venue: UUID) -> None:
    first, *later = add_choices(owner, venue)
    assert claimed(service, uuid4()) == [first]
    assert claimed(service, uuid4()) == []
    assert {prebooking(owner, row)["claimed_by"] for row in later} == {None}


def test_a_waiting_choice_with_a_back_off_is_taken_by_no_claim(
    owner: Connection, service: Connection, venue: UUID
) -> None:
    first, later = add_choices(owner, venue, 2)
    owner.execute("update public.prebookings set blocks = 1, retry_after = %s where id = %s", [noon(-60), later])
    answer = claim(service, uuid4())
    assert ([row["id"] for row in answer["rows"]], answer["locked"]) == ([str(first)], 0)


def test_no_row_is_held_while_it_waits(owner: Connection, venue: UUID) -> None:
    held = {"claimed_by": uuid4(), "claimed_until": noon(30), "turn_until": noon(8)}
    first, later = add_choices(owner, venue, 2)
    with pytest.raises(psycopg.errors.CheckViolation, match="waiting_is_not_held"):
        update(owner, later, **held)
    update(owner, first, **held)


def test_a_waiting_choice_is_not_previewed_due_or_rung_for(owner: Connection, service: Connection, venue: UUID) -> None:
    first, later = add_choices(owner, venue, 2)
    assert [row["id"] for row in preview(service)["rows"]] == [str(first)]
    assert ask(service, "due_elsewhere_v1", ["aimharder"]) == {"webhook": 1}
    rung = "select id from public.prebooking_bell_due(public.prebooking_clock(), '3 seconds')"
    assert owner.execute(rung).fetchall() == [(first,)]
    rows = ask(service, "prebooking_status_v1")["rows"]
    assert (rows["pending"], rows["due"]) == (2, 1)
    me = uuid4()
    hold(service, first, me)
    assert fail(service, first, me)
    assert [row["id"] for row in preview(service)["rows"]] == [str(later)]
    assert ask(service, "due_elsewhere_v1", ["aimharder"]) == {"webhook": 1}
    assert owner.execute(rung).fetchall() == [(later,)]
    assert ask(service, "prebooking_status_v1")["rows"]["due"] == 1


def test_a_waiting_choice_gets_no_warning_about_a_missing_login(owner: Connection, service: Connection, at: At) -> None:
    data = {"day": "20261123"}
    box = add_venue(owner, provider="aimharder")
    first = add_prebooking(owner, box, user_email=MEMBER, booking_data=data | {"class_id": 1})
    later = add_prebooking(owner, box, user_email=MEMBER, booking_data=data | {"class_id": 2}, stands_after=first)
    assert claim(service, uuid4())["no_login"] == 1
    assert prebooking(owner, later)["warning"] is None


def test_a_promoted_choice_is_overdue_and_late_from_its_promotion(
    owner: Connection, service: Connection, at: At, venue: UUID
) -> None:
    (first, later), me = add_choices(owner, venue, 2, available_at=noon(-3600)), uuid4()
    hold(service, first, me)
    assert fail(service, first, me)
    at(105)
    assert ask(service, "prebooking_watch_v1")["rows"]["overdue"] == 0
    at(106)
    assert ask(service, "prebooking_watch_v1")["rows"]["overdue"] == 1
    hold(service, later, me)
    assert complete(service, later, me, fired_at=noon(107))
    assert prebooking(owner, later)["lateness_ms"] == 107_000


# what is refused


@pytest.mark.parametrize(
    ("overrides", "constraint"),
    [
        ({"stands_after": uuid4()}, "choice_after_a_pending_one"),
        ({"user_email": "ben@example.com"}, "choice_of_the_same_member"),
        ({"promoted_at": noon()}, "choice_is_added_waiting"),
        ({"status": "cancelled", "settled_at": noon()}, "choice_is_added_waiting"),
    ],
)
def test_a_choice_is_added_only_after_a_pending_one_of_its_member(
    owner: Connection, venue: UUID, overrides: dict[str, Any], constraint: str
) -> None:
    [first] = add_choices(owner, venue, 1)
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        add_prebooking(owner, venue, **({"user_email": MEMBER, "stands_after": first} | overrides))
    assert refused.value.diag.constraint_name == constraint


def test_a_choice_is_of_the_same_venue(owner: Connection, venue: UUID) -> None:
    [first] = add_choices(owner, venue, 1)
    with pytest.raises(psycopg.errors.CheckViolation, match="of another member or venue"):
        add_prebooking(owner, add_venue(owner), user_email=MEMBER, stands_after=first)


def test_an_ended_prebooking_gets_no_later_choice(owner: Connection, service: Connection, venue: UUID) -> None:
    [first] = add_choices(owner, venue, 1)
    cancel(service, first, MEMBER)
    with pytest.raises(psycopg.errors.CheckViolation, match="is not pending"):
        add_prebooking(owner, venue, user_email=MEMBER, stands_after=first)


def test_a_fourth_later_choice_is_refused(owner: Connection, venue: UUID) -> None:
    rows = add_choices(owner, venue, 4)
    with pytest.raises(psycopg.errors.CheckViolation, match="three later choices"):
        add_prebooking(owner, venue, user_email=MEMBER, stands_after=rows[-1])


def test_two_choices_cannot_stand_after_the_same_one(owner: Connection, service: Connection, venue: UUID) -> None:
    first, second = add_choices(owner, venue, 2)
    with pytest.raises(psycopg.errors.UniqueViolation, match="prebookings_after"):
        add_prebooking(owner, venue, user_email=MEMBER, stands_after=first)
    cancel(service, second, MEMBER)
    add_prebooking(owner, venue, user_email=MEMBER, stands_after=first)


@pytest.mark.parametrize("ends", [None, "booked", "no_credit"])
def test_a_choice_cannot_be_promoted_by_hand(
    owner: Connection, service: Connection, venue: UUID, ends: str | None
) -> None:
    """I11: also not after another end, when the choice was locked and still waits."""
    (first, later), me = add_choices(owner, venue, 2), uuid4()
    if ends:
        hold(service, first, me)
        with owner.transaction():
            owner.execute("select from public.prebookings where id = %s for update", [later])
            assert complete(service, first, me) if ends == "booked" else fail(service, first, me, ends)
    with pytest.raises(psycopg.Error, match="is promoted only when"):
        update(service, later, promoted_at=noon())
    assert states(owner, [later]) == ["waiting"]


@pytest.mark.parametrize("columns", [{"stands_after": None}, {"stands_after": uuid4()}])
def test_a_choice_keeps_its_place(owner: Connection, service: Connection, venue: UUID, columns: dict[str, Any]) -> None:
    first, later = add_choices(owner, venue, 2)
    with pytest.raises(psycopg.Error, match="keeps its place among the choices"):
        update(service, later, **columns)
    with pytest.raises(psycopg.Error, match="keeps its place among the choices"):
        update(service, first, stands_after=later)


@pytest.mark.parametrize("column", ["id", "venue_id", "user_email"])
@pytest.mark.parametrize("row", [0, 1])
def test_one_of_several_choices_cannot_get_another_member_or_venue(
    owner: Connection, service: Connection, venue: UUID, column: str, row: int
) -> None:
    rows = add_choices(owner, venue, 2)
    new = {"id": uuid4(), "venue_id": add_venue(owner), "user_email": "ben@example.com"}[column]
    with pytest.raises(psycopg.Error, match="is one of several choices"):
        update(service, rows[row], **{column: new})
    update(service, rows[row], user_email=MEMBER.upper())


def test_a_promotion_is_not_taken_back(owner: Connection, service: Connection, venue: UUID) -> None:
    (first, later), me = add_choices(owner, venue, 2), uuid4()
    hold(service, first, me)
    fail(service, first, me)
    for promoted_at in (None, noon(60)):
        with pytest.raises(psycopg.Error, match="is promoted only when"):
            update(service, later, promoted_at=promoted_at)
    update(service, later, available_at=noon(-60))
    assert states(owner, [later]) == ["promoted"]


# the limit of five


def test_waiting_choices_count_in_the_limit_once_they_are_promoted(
    owner: Connection, service: Connection, venue: UUID
) -> None:
    chains, me = [add_choices(owner, venue, 2, available_at=noon(-60)) for _ in range(5)], uuid4()
    claimed(service, me)
    for first, _ in chains[:2]:
        assert fail(service, first, me)
    assert [states(owner, chain)[1] for chain in chains] == ["promoted"] * 2 + ["waiting"] * 3
    with pytest.raises(psycopg.Error, match="five pending prebookings"):
        add_prebooking(owner, venue, user_email=MEMBER, available_at=noon(-60))


def test_only_a_promoted_choice_cannot_move_to_an_opening_with_five(
    owner: Connection, service: Connection, venue: UUID
) -> None:
    (first, later), me = add_choices(owner, venue, 2), uuid4()
    for _ in range(5):
        add_prebooking(owner, venue, user_email=MEMBER, available_at=noon(3600))
    update(service, later, available_at=noon(7200))
    hold(service, first, me)
    assert fail(service, first, me)
    with pytest.raises(psycopg.Error, match="five pending prebookings"):
        update(service, later, available_at=noon(3600))


def test_a_waiting_choice_is_added_and_moved_to_any_opening(
    owner: Connection, service: Connection, venue: UUID
) -> None:
    """A promotion is the sixth one there, and is not refused."""
    first, later = add_choices(owner, venue, 2)
    update(service, later, available_at=noon(3600))
    for _ in range(5):
        add_prebooking(owner, venue, user_email=MEMBER, available_at=noon(3600))
    me = uuid4()
    hold(service, first, me)
    assert fail(service, first, me)
    assert states(owner, [later]) == ["promoted"]
    [other] = add_choices(owner, venue, 1, available_at=noon(7200))
    waiting = add_prebooking(owner, venue, user_email=MEMBER, stands_after=other, available_at=noon(3600))
    update(service, waiting, available_at=noon(7200))
    update(service, waiting, available_at=noon(3600))
