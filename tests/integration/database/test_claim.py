"""What a claim takes, leases and returns, and what it leaves to others."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.support.calls import claim, claimed, finish, prebooking, release, run
from tests.support.database import At, Connection
from tests.support.factories import add_prebooking, add_session, add_venue, noon


@pytest.mark.parametrize(
    ("lead_ms", "last"), [(0, 0), (3000, 3), (3_600_000, 30)], ids=["no lead", "a lead", "at most thirty seconds"]
)
def test_only_rows_within_the_lead_are_claimed(
    owner: Connection, service: Connection, at: At, lead_ms: int, last: float
) -> None:
    venue = add_venue(owner)
    within = add_prebooking(owner, venue, available_at=noon(last))
    add_prebooking(owner, venue, available_at=noon(last) + timedelta(microseconds=1))
    assert claimed(service, uuid4(), lead_ms=lead_ms, fire_within_ms=60_000) == [within]


def test_rows_are_ordered_by_opening_creation_and_id(owner: Connection, service: Connection, at: At) -> None:
    venue, early, late = add_venue(owner), noon(-60), noon(-30)
    last = add_prebooking(owner, venue, available_at=late, created_at=early)
    third = add_prebooking(owner, venue, available_at=early, created_at=late)
    second = add_prebooking(owner, venue, available_at=early, created_at=early, id=UUID(int=2))
    first = add_prebooking(owner, venue, available_at=early, created_at=early, id=UUID(int=1))
    assert claimed(service, uuid4()) == [first, second, third, last]


def test_a_claim_returns_everything_needed_to_book(owner: Connection, service: Connection, at: At) -> None:
    now = noon(0)
    venue = add_venue(owner, name="Gym", provider="aimharder", host="gym.example", provider_box_id="7")
    row = add_prebooking(owner, venue, user_email="A@b.example", booking_data={"class_id": "x"}, created_at=now)
    add_session(owner, venue, "a@b.example")
    assert claim(service, uuid4()) == {
        "now": now.isoformat(),
        "expired": 0,
        "unknown": 0,
        "locked": 0,
        "no_login": 0,
        "rows": [
            {
                "id": str(row),
                "user_email": "A@b.example",
                "booking_data": '{"class_id": "x"}',  # text: read row by row
                "available_at": (now - timedelta(seconds=1)).isoformat(),
                "expires_at": (now + timedelta(hours=24, seconds=-1)).isoformat(),
                "created_at": now.isoformat(),
                "maybe_sent": False,
                "attempts": 0,
                "unclear": 0,
                "early_since": None,
                "missing_since": None,
                "setbacks": 0,
                "if_not_booked": None,
                "blocks": 0,
                "alone": False,
                "venue": {
                    "id": str(venue),
                    "name": "Gym",
                    "provider": "aimharder",
                    "host": "gym.example",
                    "provider_box_id": "7",
                    "timezone": "Europe/Madrid",
                    "idempotent": False,
                },
                "session": {"sealed": "sealed", "version": 1, "refreshed_at": now.isoformat()},
                "session_over": False,
            }
        ],
    }


def test_claimed_rows_are_leased_to_the_invocation(owner: Connection, service: Connection, at: At) -> None:
    row, me, now = add_prebooking(owner, add_venue(owner)), uuid4(), noon(0)
    claim(service, me, lease_ms=20_000, turn_ms=6000)
    stored = prebooking(owner, row)
    assert stored["status"] == "pending"
    assert stored["claimed_by"] == me
    assert stored["claimed_until"] - now == timedelta(seconds=20)
    assert stored["turn_until"] - now == timedelta(seconds=6)


def test_a_turn_is_never_longer_than_its_lease(owner: Connection, service: Connection, at: At) -> None:
    row, now = add_prebooking(owner, add_venue(owner)), noon(0)
    claim(service, uuid4(), lease_ms=5000, turn_ms=8000)
    assert prebooking(owner, row)["turn_until"] - now == timedelta(seconds=5)


def test_a_repeated_claim_returns_the_rows_still_held(owner: Connection, service: Connection) -> None:
    row, me = add_prebooking(owner, add_venue(owner)), uuid4()
    assert claimed(service, me) == claimed(service, me) == [row]


def test_a_repeated_claim_does_not_extend_the_lease(owner: Connection, service: Connection, at: At) -> None:
    row, me = add_prebooking(owner, add_venue(owner)), uuid4()
    claim(service, me)
    until = prebooking(owner, row)["claimed_until"]
    at(5)
    claim(service, me)
    assert prebooking(owner, row)["claimed_until"] == until


def test_a_repeated_claim_adds_rows_that_became_due(owner: Connection, service: Connection, at: At) -> None:
    venue, me = add_venue(owner), uuid4()
    first = add_prebooking(owner, venue)
    second = add_prebooking(owner, venue, available_at=noon(5))
    assert claimed(service, me) == [first]
    at(5)
    assert claimed(service, me) == [first, second]


def test_a_claimed_row_is_not_claimed_by_another_run(owner: Connection, service: Connection) -> None:
    add_prebooking(owner, add_venue(owner))
    claim(service, uuid4())
    assert claimed(service, uuid4()) == []


def test_an_expired_claim_is_taken_over_as_maybe_sent(owner: Connection, service: Connection, at: At) -> None:
    row = add_prebooking(owner, add_venue(owner))
    claim(service, uuid4(), lease_ms=30_000)
    at(29.999)
    assert claimed(service, uuid4()) == []
    at(30)
    (taken,) = claim(service, uuid4())["rows"]
    assert (taken["id"], taken["maybe_sent"]) == (str(row), True)


def test_a_run_s_own_expired_claim_is_taken_over_as_maybe_sent(owner: Connection, service: Connection, at: At) -> None:
    add_prebooking(owner, add_venue(owner))
    me = uuid4()
    claim(service, me, lease_ms=1000)
    at(1)
    assert [row["maybe_sent"] for row in claim(service, me)["rows"]] == [True]


def test_a_repeated_claim_leaves_out_expired_leases(owner: Connection, service: Connection, at: At) -> None:
    venue, me = add_venue(owner), uuid4()
    row = add_prebooking(owner, venue)
    assert claimed(service, me, lease_ms=1000) == [row]
    owner.execute("update public.venues set enabled = false")  # so that it is not claimed again
    at(1)
    assert claimed(service, me) == []


def test_a_released_row_is_not_in_doubt(owner: Connection, service: Connection) -> None:
    row, me = add_prebooking(owner, add_venue(owner)), uuid4()
    claim(service, me)
    release(service, me, [row])
    assert [row["maybe_sent"] for row in claim(service, uuid4())["rows"]] == [False]


def test_a_release_keeps_an_older_doubt(owner: Connection, service: Connection) -> None:
    row, me = add_prebooking(owner, add_venue(owner), maybe_sent=True), uuid4()
    claim(service, me)
    release(service, me, [row])
    assert [row["maybe_sent"] for row in claim(service, uuid4())["rows"]] == [True]


@pytest.mark.parametrize("venue", [{"enabled": False}, {"provider": "aimharder", "host": "a.example"}])
def test_a_disabled_venue_and_another_provider_are_skipped(
    owner: Connection, service: Connection, venue: dict[str, object]
) -> None:
    add_prebooking(owner, add_venue(owner, **venue))
    here = add_prebooking(owner, add_venue(owner))
    assert claimed(service, uuid4(), providers=["webhook"]) == [here]


def test_a_paused_venue_is_skipped_until_its_pause_ends(owner: Connection, service: Connection, at: At) -> None:
    row = add_prebooking(owner, add_venue(owner, paused_until=noon(10)))
    at(9.999)
    assert claimed(service, uuid4()) == []
    at(10)
    assert claimed(service, uuid4()) == [row]


def test_a_claim_without_an_instance_is_refused(owner: Connection, service: Connection) -> None:
    row = add_prebooking(owner, add_venue(owner))
    with pytest.raises(psycopg.errors.NullValueNotAllowed, match="p_instance is missing"):
        claim(service, None)
    assert prebooking(owner, row)["claimed_by"] is None


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_a_claim_in_a_fixed_snapshot_is_refused(service: Connection, level: str) -> None:
    with service.transaction():
        service.execute(f"set transaction isolation level {level}".encode())
        with pytest.raises(psycopg.errors.InvalidTransactionState, match="needs read committed"):
            claim(service, uuid4())


def test_a_delayed_claim_of_a_closed_run_takes_nothing(owner: Connection, service: Connection) -> None:
    row, me = add_prebooking(owner, add_venue(owner)), uuid4()
    finish(service, me)
    assert claim(service, me)["rows"] == []
    assert claimed(service, uuid4()) == [row]


def test_a_run_with_work_is_recorded(owner: Connection, service: Connection, at: At) -> None:
    venue, me, now = add_venue(owner), uuid4(), noon(0)
    add_prebooking(owner, venue)
    add_prebooking(owner, venue)
    claim(service, me)
    recorded = run(owner, me)
    assert (recorded["claimed"], recorded["opened_at"], recorded["closed_at"]) == (2, now, None)


def test_the_rows_of_all_claims_of_a_run_are_added_up(owner: Connection, service: Connection) -> None:
    me, _rows = uuid4(), [add_prebooking(owner, add_venue(owner)) for _ in range(3)]
    claim(service, me, limit=1)
    claim(service, me, limit=3)
    assert run(owner, me)["claimed"] == 3


def test_a_run_without_work_is_not_recorded(owner: Connection, service: Connection) -> None:
    claim(service, uuid4())
    assert owner.execute("select count(*) from public.prebooking_runs").fetchone() == (0,)


def test_every_claim_updates_the_heartbeat(owner: Connection, service: Connection, at: At) -> None:
    for seconds in (0, 60):
        at(seconds)
        claim(service, uuid4())
        assert owner.execute("select last_tick_at from public.prebooking_heartbeat").fetchall() == [(noon(seconds),)]
