"""Places after the booking: giving one back is recorded once, and places on waiting lists are looked at in time."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.support.calls import claim, prebooking
from tests.support.database import At, Connection, Database
from tests.support.factories import add_prebooking, add_session, add_venue, change, noon
from tests.support.questions import add_prebooking_by_command, ask
from tests.support.races import result_after_commit

pytestmark = pytest.mark.usefixtures("at")

ANA = "ana@example.com"
HOUR, DAY = 3600, 86_400
BOOKED: dict[str, Any] = {
    "status": "completed",
    "outcome": "booked",
    "settled_at": noon(-60),
    "available_at": noon(-61),
}
WAITLISTED = BOOKED | {"outcome": "waitlisted"}
SYSTEMS = ["webhook", "aimharder"]


def completed(owner: Connection, venue: UUID | None = None, **overrides: Any) -> UUID:
    """Add a booked class of Ana that begins in an hour."""
    row = BOOKED | {"user_email": ANA, "expires_at": noon(HOUR), "booking_id": "77"} | overrides
    return add_prebooking(owner, venue or add_venue(owner), **row)


def give_back(service: Connection, row: UUID, member: str = ANA) -> str:
    return str(ask(service, "give_back_v1", row, member))


def verdict(service: Connection, row: UUID, member: str = ANA) -> str:
    return str(ask(service, "prebooking_place_v1", row, member)["verdict"])


def leased(service: Connection, instance: UUID, *, limit: int = 10, systems: list[str] = SYSTEMS) -> list[UUID]:
    return [UUID(row["id"]) for row in ask(service, "claim_places_v1", instance, systems, limit)]


def note(service: Connection, instance: UUID, row: UUID, place: str | None, position: int | None = None) -> bool:
    return bool(ask(service, "note_place_v1", instance, row, place, position))


def stored(owner: Connection, row: UUID) -> Any:
    query = "select place, position, since, looked_at, tries from public.prebooking_places where prebooking_id = %s"
    return owner.execute(query.encode(), [row]).fetchone()


# giving back


def test_a_place_is_given_back_once(owner: Connection, service: Connection, at: At) -> None:
    row = completed(owner)
    before = prebooking(owner, row)
    assert give_back(service, row, ANA.upper()) == "given_back"
    at(5)
    assert (give_back(service, row), verdict(service, row)) == ("given_back", "given_back")
    assert prebooking(owner, row) == before | {"given_back_at": noon()}


@pytest.mark.parametrize("end", [{"status": "failed", "outcome": "full"}, {"status": "cancelled", "outcome": None}])
def test_only_a_completed_prebooking_is_given_back(owner: Connection, service: Connection, end: dict[str, Any]) -> None:
    row = completed(owner, **end)
    assert (give_back(service, row), verdict(service, row)) == ("not_completed", end["status"])
    with pytest.raises(psycopg.Error):
        change(owner, row, "given_back_at = now()")


def test_a_pending_row_and_another_member_s_row_are_not_given_back(owner: Connection, service: Connection) -> None:
    pending, row = add_prebooking(owner, add_venue(owner), user_email=ANA), completed(owner)
    assert (give_back(service, pending), verdict(service, pending)) == ("not_completed", "pending")
    assert (give_back(service, row, "x@example.com"), verdict(service, row, "x@example.com")) == ("not_found",) * 2
    assert (give_back(service, uuid4()), verdict(service, uuid4())) == ("not_found",) * 2


@pytest.mark.parametrize(
    "what",
    [
        "given_back_at = null",
        "given_back_at = given_back_at + interval '1 second'",
        "given_back_at = null, user_email = 'forgotten', booking_id = null, booking_data = '{}'",
    ],
)
def test_the_record_of_a_give_back_never_changes(owner: Connection, service: Connection, what: str) -> None:
    row = completed(owner)
    give_back(service, row)
    before = prebooking(owner, row)
    with pytest.raises(psycopg.Error, match="is settled") as refused:
        change(owner, row, what)
    assert (refused.value.sqlstate, prebooking(owner, row)) == ("PT409", before)


@pytest.mark.parametrize(
    "more",
    [
        "outcome = 'waitlisted'",
        "booking_id = '78'",
        "settled_at = settled_at + interval '1 second'",
        "attempts = 9",
        "user_email = 'forgotten', booking_id = null, booking_data = '{}'",
        "status = 'failed', outcome = 'full'",
    ],
)
def test_giving_back_changes_nothing_else(owner: Connection, more: str) -> None:
    row = completed(owner)
    with pytest.raises(psycopg.Error):
        change(owner, row, f"given_back_at = now(), {more}")
    assert prebooking(owner, row)["given_back_at"] is None


def test_a_given_back_row_can_be_anonymised(owner: Connection, service: Connection) -> None:
    row = completed(owner)
    give_back(service, row)
    assert ask(service, "forget_member_v1", ANA)["anonymised"] == 1
    assert (prebooking(owner, row)["user_email"], prebooking(owner, row)["given_back_at"]) == ("forgotten", noon())


def test_two_concurrent_records_of_a_give_back_agree(
    database: Database, owner: Connection, service: Connection
) -> None:
    row, other = completed(owner), database.connect("service_role")
    with other.transaction():
        assert give_back(other, row) == "given_back"
        answer = result_after_commit(lambda: give_back(service, row), owner, service, by=other, lock="transactionid")
    assert answer == "given_back"


def test_a_place_is_shown_with_what_its_booker_needs(owner: Connection, service: Connection) -> None:
    box = add_venue(owner, provider="aimharder", host="box.aimharder.com")
    add_session(owner, box, ANA)
    answer = ask(service, "prebooking_place_v1", completed(owner, box, user_email="Ana@Example.com"), ANA)
    assert (answer["verdict"], answer["booking_id"], answer["row"]["session"]["sealed"]) == ("ready", "77", "sealed")
    assert (answer["row"]["venue"]["id"], answer["row"]["session_over"]) == (str(box), False)
    owner.execute("update public.member_sessions set expired_at = now()")
    answer = ask(service, "prebooking_place_v1", UUID(answer["row"]["id"]), ANA)
    assert (answer["row"]["session"], answer["row"]["session_over"]) == (None, True)


def test_a_class_that_has_begun_is_not_given_back(owner: Connection, service: Connection, at: At) -> None:
    row = completed(owner)
    at(HOUR - 1)
    assert verdict(service, row) == "ready"
    at(HOUR)
    assert verdict(service, row) == "begun"


def test_a_class_that_was_asked_for_again_is_given_back_by_the_newer_row(
    owner: Connection, service: Connection, at: At
) -> None:
    """The venue shows one place, which is that of the newer row."""
    venue, data = add_venue(owner), {"class_id": "4711"}
    old = completed(owner, venue, booking_data=data)
    new = add_prebooking(owner, venue, user_email=ANA, booking_data={"class_id": 4711}, available_at=noon(1))
    assert verdict(service, old) == "ready"
    at(1)
    answer = ask(service, "prebooking_place_v1", old, ANA)
    assert (answer["verdict"], answer["other"]) == ("rebooked", str(new))
    change(owner, new, "status = 'completed', outcome = 'booked', settled_at = '2026-11-23 12:00:02+00'")
    assert [verdict(service, row) for row in (old, new)] == ["rebooked", "ready"]
    give_back(service, new)
    assert verdict(service, old) == "ready"


def test_a_class_that_was_given_back_can_be_asked_for_again(owner: Connection, service: Connection) -> None:
    venue, data = add_venue(owner), {"class_id": "4711", "day": "20261123"}
    row = completed(owner, venue, booking_data=data, expires_at=noon(7200))
    assert add_prebooking_by_command(service, venue)["verdict"] == "booked"
    give_back(service, row)
    assert add_prebooking_by_command(service, venue, data=data | {"class_id": "4712"})["verdict"] == "added"
    assert add_prebooking_by_command(service, venue)["verdict"] == "added"


# waiting lists


def test_a_place_on_a_waiting_list_is_looked_at_after_a_day_and_an_hour_before_the_class(
    owner: Connection, service: Connection, at: At
) -> None:
    row, me = completed(owner, **WAITLISTED | {"settled_at": noon(), "expires_at": noon(3 * DAY)}), uuid4()
    for before, due in [(0, DAY), (DAY + 1, 3 * DAY - HOUR)]:
        at(max(before, due - 1))
        assert (leased(service, me), ask(service, "upkeep_places_due", noon(due - 1), SYSTEMS)) == ([], False)
        at(due)
        assert ask(service, "upkeep_places_due", noon(due), SYSTEMS) is True
        assert leased(service, me) == [row]
        assert note(service, me, row, "waiting", 3)
        assert ask(service, "upkeep_places_due", noon(due), SYSTEMS) is False
    assert stored(owner, row) == ("waiting", 3, noon(DAY), noon(3 * DAY - HOUR), 1)


@pytest.mark.parametrize(
    "how",
    [
        {"outcome": "booked"},
        {"given_back_at": noon(-1)},
        {"expires_at": noon()},
        {"expires_at": noon(HOUR + 1)},
        {"user_email": "forgotten"},
        {"status": "failed", "outcome": "full"},
    ],
)
def test_no_other_prebooking_is_looked_at(owner: Connection, service: Connection, how: dict[str, Any]) -> None:
    completed(owner, **WAITLISTED | {"expires_at": noon(HOUR)} | how)
    assert (leased(service, uuid4()), ask(service, "upkeep_places_due", noon(), SYSTEMS)) == ([], False)


def test_a_class_that_is_nearer_than_an_hour_is_looked_at_once(owner: Connection, service: Connection, at: At) -> None:
    row, me = completed(owner, **WAITLISTED, expires_at=noon(60)), uuid4()
    assert leased(service, me) == [row]
    note(service, me, row, "lost")
    at(59)
    assert leased(service, me) == []


def test_a_promotion_is_stored_with_the_look_that_has_shown_it(owner: Connection, service: Connection, at: At) -> None:
    row, me = completed(owner, **WAITLISTED, expires_at=noon(HOUR)), uuid4()
    leased(service, me)
    at(4)
    for _ in range(2):
        assert note(service, me, row, "booked")
        at(8)
    assert stored(owner, row) == ("booked", None, noon(4), noon(8), 1)
    [shown] = ask(service, "list_prebookings_v1", ANA, 7, 10)
    assert (shown["outcome"], shown["place"], shown["position"]) == ("waitlisted", "booked", None)
    assert shown["place_since"].startswith("2026-11-23T12:00:04")
    assert prebooking(owner, row)["outcome"] == "waitlisted"


def test_a_look_without_a_clear_answer_is_tried_three_times(owner: Connection, service: Connection, at: At) -> None:
    row = completed(owner, **WAITLISTED, expires_at=noon(HOUR))
    for attempt in range(3):
        me = uuid4()
        at(attempt * 301)
        assert leased(service, me) == [row]
        assert note(service, me, row, None)
        at(attempt * 301 + 299)
        assert leased(service, uuid4()) == []
    at(3 * 301)
    assert leased(service, uuid4()) == []
    assert stored(owner, row) == (None, None, None, None, 3)


def test_an_upkeep_that_was_killed_is_followed_by_two_more_tries(
    owner: Connection, service: Connection, at: At
) -> None:
    row = completed(owner, **WAITLISTED, expires_at=noon(HOUR))
    found = []
    for seconds in (0, 29, 30, 60, 90):
        at(seconds)
        found.append(leased(service, uuid4()))
    assert found == [[row], [], [row], [row], []]


def test_a_place_is_leased_to_one_upkeep_at_a_time(database: Database, owner: Connection, service: Connection) -> None:
    rows = [completed(owner, **WAITLISTED, expires_at=noon(HOUR - n)) for n in range(3)]
    other, me = database.connect("service_role"), uuid4()
    with other.transaction():
        assert leased(other, uuid4(), limit=1) == rows[2:]
        assert leased(service, me) == []
    assert [leased(service, me, limit=limit) for limit in (1, 1, 10)] == [[rows[1]], [rows[1]], [rows[1], rows[0]]]
    assert [note(service, me, row, "waiting") for row in rows] == [True, True, False]
    assert stored(owner, rows[2])[0] is None


def test_a_look_that_was_taken_over_stores_nothing(owner: Connection, service: Connection, at: At) -> None:
    row, killed, me = completed(owner, **WAITLISTED, expires_at=noon(HOUR)), uuid4(), uuid4()
    leased(service, killed)
    at(30)
    assert leased(service, me) == [row]
    assert (note(service, killed, row, "lost"), note(service, me, row, "waiting")) == (False, True)
    assert stored(owner, row)[0] == "waiting"


def test_places_at_a_venue_that_is_not_called_now_wait(owner: Connection, service: Connection, at: At) -> None:
    paused, disabled = add_venue(owner, paused_until=noon(60)), add_venue(owner, enabled=False)
    other = add_venue(owner, provider="aimharder")
    rows = [completed(owner, venue, **WAITLISTED, expires_at=noon(HOUR)) for venue in (paused, disabled, other)]
    assert leased(service, uuid4(), systems=["webhook"]) == []
    at(60)
    assert leased(service, uuid4(), systems=["webhook"]) == [rows[0]]


def test_a_member_who_is_being_booked_is_looked_at_later(owner: Connection, service: Connection, at: At) -> None:
    """The look may refresh the session, which ends the one that the booking call uses."""
    venue = add_venue(owner)
    row = completed(owner, venue, **WAITLISTED, expires_at=noon(HOUR))
    other = add_prebooking(owner, venue, user_email=ANA.upper(), available_at=noon(60))
    assert leased(service, uuid4()) == []
    change(owner, other, "available_at = '2026-11-23 12:01:01+00'")
    assert leased(service, uuid4()) == [row]
    change(owner, other, "available_at = '2026-11-23 11:50:00+00'")
    claim(service, uuid4())
    at(30)
    assert leased(service, uuid4()) == []


def test_a_removed_prebooking_takes_its_place_with_it(owner: Connection, service: Connection, at: At) -> None:
    row = completed(owner, **WAITLISTED, expires_at=noon(HOUR))
    leased(service, uuid4())
    at(401 * DAY)
    claim(service, uuid4())
    assert stored(owner, row) is None
