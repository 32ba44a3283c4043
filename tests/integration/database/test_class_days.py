"""The database's side of the class look-up: leases of days, and what a settled day may change."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb

from tests.support.calls import prebooking
from tests.support.database import At, Connection, Database
from tests.support.factories import add_prebooking, add_venue, noon
from tests.support.questions import ask

DAY = date(2026, 11, 24)
WANTED = {"starts": "18:00", "class_id": None, "class_name": "WOD"}
HOUR = 3600.0


@pytest.fixture
def box(owner: Connection, at: At) -> UUID:
    return add_venue(owner, provider="aimharder", host="box.aimharder.com", provider_box_id="42")


def add_row_without_class(owner: Connection, box: UUID, opens: float = HOUR, **overrides: Any) -> UUID:
    """Add a prebooking without a class that opens in these seconds."""
    data = {"day": f"{DAY:%Y%m%d}", "starts_at": "18:00", "class_name": "WOD"} | overrides.pop("data", {})
    return add_prebooking(
        owner, box, booking_data=data, available_at=noon(opens), expires_at=noon(100 * HOUR), **overrides
    )


def claim_days(connection: Connection, me: UUID) -> list[dict[str, Any]]:
    days: list[dict[str, Any]] = ask(connection, "claim_class_days_v1", me, ["aimharder"], 20)
    return days


def settle(connection: Connection, me: UUID, box: UUID, found: list[dict[str, Any]] | None) -> int | None:
    row = connection.execute(
        "select public.settle_class_day_v1(%s, %s, %s, %s)", [me, box, DAY, None if found is None else Jsonb(found)]
    ).fetchone()
    assert row is not None
    return None if row[0] is None else int(row[0])


def found(class_id: str | None = "7001", warning: str | None = None) -> list[dict[str, Any]]:
    return [{"wanted": WANTED, "class_id": class_id, "warning": warning}]


@pytest.mark.parametrize("name", ["1.5", "1" + "0" * 320 + ".5", '{"a": 1e-400}', "[1]", "true", "1e60"])
def test_a_name_that_is_no_text_and_no_whole_number_is_any_name(
    owner: Connection, service: Connection, box: UUID, name: str
) -> None:
    """Python cannot send every number of JSON back. So such a value would keep its day from being stored."""
    row, me = add_row_without_class(owner, box), uuid4()
    changed = "update public.prebookings set booking_data = jsonb_set(booking_data, '{class_name}', %s) where id = %s"
    owner.execute(changed, [name, row])
    [day] = claim_days(service, me)
    assert day["wanted"] == [WANTED | {"class_name": None}]
    answer = [{"wanted": day["wanted"][0], "class_id": "7001", "warning": None}]
    assert settle(service, me, box, answer) == 1
    assert prebooking(owner, row)["booking_data"]["class_id"] == "7001"


def test_a_claim_returns_the_venue_the_day_and_each_wanted_class_once(
    owner: Connection, service: Connection, box: UUID
) -> None:
    for _ in range(3):
        add_row_without_class(owner, box)
    add_row_without_class(owner, box, data={"class_id": 4711})
    [day] = claim_days(service, uuid4())
    assert (day["venue"]["id"], day["day"]) == (str(box), DAY.isoformat())
    assert sorted(day["wanted"], key=str) == sorted([WANTED, WANTED | {"class_id": 4711}], key=str)


def test_a_leased_day_is_free_after_half_a_minute(owner: Connection, service: Connection, box: UUID, at: At) -> None:
    add_row_without_class(owner, box)
    assert len(claim_days(service, uuid4())) == 1
    assert claim_days(service, uuid4()) == []
    at(29.9)
    assert claim_days(service, uuid4()) == []
    at(30)
    assert len(claim_days(service, uuid4())) == 1


def test_a_lease_from_a_clock_that_was_ahead_does_not_count(
    owner: Connection, service: Connection, box: UUID, at: At
) -> None:
    add_row_without_class(owner, box)
    at(2 * HOUR)
    assert len(claim_days(service, uuid4())) == 1
    at(0)
    assert len(claim_days(service, uuid4())) == 1


def test_a_claim_during_another_one_returns_nothing_and_does_not_wait(
    database: Database, owner: Connection, service: Connection, box: UUID
) -> None:
    add_row_without_class(owner, box)
    other = database.connect("service_role")
    with other.transaction():
        assert len(claim_days(other, uuid4())) == 1
        assert claim_days(service, uuid4()) == []
    assert claim_days(service, uuid4()) == []


def test_only_the_holder_settles_a_day_and_only_once(owner: Connection, service: Connection, box: UUID) -> None:
    row, me = add_row_without_class(owner, box), uuid4()
    claim_days(service, me)
    assert settle(service, uuid4(), box, found()) is None
    assert prebooking(owner, row)["class_unknown"]
    assert settle(service, me, box, found()) == 1
    assert settle(service, me, box, found("7002")) is None
    assert prebooking(owner, row)["booking_data"]["class_id"] == "7001"


def test_a_settled_day_changes_nothing_that_is_the_same(owner: Connection, service: Connection, box: UUID) -> None:
    add_row_without_class(owner, box, data={"class_id": 4711})
    for changed, match in ((0, ("4711", None)), (1, ("4711", "class_closed: it is closed.")), (0, (None, "the same"))):
        me = uuid4()
        claim_days(service, me)
        wanted = WANTED | {"class_id": 4711}
        class_id, warning = match
        warning = "class_closed: it is closed." if warning == "the same" else warning
        assert settle(service, me, box, [{"wanted": wanted, "class_id": class_id, "warning": warning}]) == changed
        owner.execute("update public.class_days set read_at = null")


def test_at_most_five_hundred_rows_are_changed_and_the_day_is_read_again_for_the_others(
    owner: Connection, service: Connection, box: UUID, at: At
) -> None:
    """Those that open first come first. A quarter of an hour later, because the venue is asked again."""
    rows = [
        add_row_without_class(owner, box, HOUR + number, user_email=f"member{number}@example.com")
        for number in range(501)
    ]
    me = uuid4()
    claim_days(service, me)
    assert settle(service, me, box, found()) == 500
    assert [prebooking(owner, row)["class_unknown"] for row in (rows[0], rows[499], rows[500])] == [False, False, True]
    at(899)
    assert claim_days(service, me) == []
    at(901)
    assert len(claim_days(service, me)) == 1
    assert settle(service, me, box, found()) == 1


@pytest.mark.parametrize("opens", [-1.0, 0, 59.9])
def test_a_row_that_opens_within_a_minute_is_not_changed_by_a_settled_day(
    owner: Connection, service: Connection, box: UUID, opens: float
) -> None:
    row, me = add_row_without_class(owner, box, data={"class_id": "1"}), uuid4()
    claim_days(service, me)
    owner.execute("update public.prebookings set available_at = %s where id = %s", [noon(opens), row])
    assert settle(service, me, box, [{"wanted": WANTED | {"class_id": "1"}, "class_id": "2", "warning": None}]) == 0


@pytest.mark.parametrize(
    "held", ["maybe_sent = true", "claimed_by = gen_random_uuid(), claimed_until = now(), turn_until = now()"]
)
def test_a_row_in_doubt_is_not_changed_even_if_it_is_named(
    owner: Connection, service: Connection, box: UUID, held: str
) -> None:
    row = add_row_without_class(owner, box, data={"class_id": "1"})
    owner.execute(f"update public.prebookings set {held} where id = %s".encode(), [row])  # noqa: S608 - of this test
    assert ask(service, "prebooking_set_class", row, "1", "class_gone: it is gone.") is False
    assert prebooking(owner, row)["class_warning"] is None


def test_a_locked_row_is_skipped_and_delays_nothing(
    database: Database, owner: Connection, service: Connection, box: UUID
) -> None:
    rows, me = [add_row_without_class(owner, box) for _ in range(2)], uuid4()
    claim_days(service, me)
    with (other := database.connect()).transaction():
        other.execute("select from public.prebookings where id = %s for update", [rows[0]])
        assert settle(service, me, box, found()) == 1
    assert [prebooking(owner, row)["class_unknown"] for row in rows] == [True, False]


def test_a_class_that_another_transaction_is_adding_is_left(
    database: Database, owner: Connection, service: Connection, box: UUID
) -> None:
    rows, me = [add_row_without_class(owner, box, user_email=f"{name}@example.com") for name in ("ana", "ben")], uuid4()
    claim_days(service, me)
    owner.execute("alter function public.settle_class_day_v1 set lock_timeout = '10ms'")
    with (other := database.connect()).transaction():
        other.execute("set local session_replication_role = replica")  # only the index is looked at
        add_row_without_class(other, box, user_email="ana@example.com", data={"class_id": "7001"})
        assert settle(service, me, box, found()) == 1
    assert [prebooking(owner, row)["class_unknown"] for row in rows] == [True, False]


def test_past_days_are_deleted(owner: Connection, service: Connection, box: UUID, at: At) -> None:
    add_row_without_class(owner, box)
    claim_days(service, uuid4())
    at(5 * 86_400)
    assert claim_days(service, uuid4()) == []
    assert owner.execute("select count(*) from public.class_days").fetchone() == (0,)


def test_days_are_deleted_with_their_venue(owner: Connection, service: Connection, box: UUID) -> None:
    row = add_row_without_class(owner, box)
    claim_days(service, uuid4())
    owner.execute("update public.prebookings set status = 'cancelled', settled_at = %s where id = %s", [noon(), row])
    assert ask(service, "remove_venue_v1", box)["verdict"] == "removed"
    assert owner.execute("select count(*) from public.class_days").fetchone() == (0,)


@pytest.mark.parametrize(
    ("data", "unknown"),
    [
        ({}, True),
        ({"class_id": None}, True),
        ({"class_id": " "}, True),
        ({"class_name": None}, True),
        ({"starts_at": "2026-11-24T17:00:00Z"}, True),
        ({"class_id": "7001"}, False),
        ({"class_id": [1]}, False),
        ({"day": "20261131"}, False),
        ({"day": None}, False),
        ({"starts_at": "24:00"}, False),
        ({"starts_at": "2026-11-31T17:00:00Z"}, False),
        ({"starts_at": 18}, False),
        ({"class_name": "x" * 501}, False),
    ],
)
def test_a_row_without_a_class_waits_exactly_if_its_day_and_hour_can_be_read(
    owner: Connection, box: UUID, data: dict[str, Any], *, unknown: bool
) -> None:
    row = prebooking(owner, add_row_without_class(owner, box, data=data))
    assert (row["class_unknown"], row["waits"], row["fresh"]) == (unknown, unknown, not unknown)
    has_class = data.get("class_id") == "7001"
    assert (row["warning"] or "").startswith("bad_data: ") is (not unknown and not has_class)


def test_other_bad_data_of_a_row_without_a_class_is_warned_about(owner: Connection, box: UUID) -> None:
    row = prebooking(owner, add_row_without_class(owner, box, data={"insist": 7}))
    assert (row["class_unknown"], row["warning"][:16]) == (True, "bad_data: insist")


def test_a_row_of_a_venue_without_a_timetable_does_not_wait(owner: Connection) -> None:
    assert not prebooking(owner, add_row_without_class(owner, add_venue(owner)))["class_unknown"]


@pytest.mark.parametrize(("class_id", "unknown"), [(None, True), ([1], False)])
def test_a_settled_row_without_a_class_can_be_forgotten(
    owner: Connection, service: Connection, box: UUID, class_id: object, *, unknown: bool
) -> None:
    """A value that is removed with the member's data does not change what the row waited for."""
    row = add_row_without_class(owner, box, user_email="ana@example.com", data={"class_id": class_id})
    owner.execute("update public.prebookings set status = 'cancelled', settled_at = %s where id = %s", [noon(), row])
    assert ask(service, "forget_member_v1", "ana@example.com")["anonymised"] == 1
    assert prebooking(owner, row)["class_unknown"] is unknown
