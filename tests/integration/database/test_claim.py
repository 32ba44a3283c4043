"""What a claim takes, leases and answers, and what it leaves to others."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.support.calls import claim, claimed, finish, prebooking, release, run
from tests.support.database import At, Connection
from tests.support.factories import add_prebooking, add_session, add_venue, noon


def test_takes_rows_that_are_due_and_no_others(owner: Connection, service: Connection, at: At) -> None:
    venue = add_venue(owner)
    due = add_prebooking(owner, venue, available_at=noon(0))
    add_prebooking(owner, venue, available_at=noon(0) + timedelta(microseconds=1))
    assert claimed(service, uuid4()) == [due]


def test_takes_rows_within_the_lead_and_no_others(owner: Connection, service: Connection, at: At) -> None:
    venue = add_venue(owner)
    within = add_prebooking(owner, venue, available_at=noon(3))
    add_prebooking(owner, venue, available_at=noon(3.001))
    assert claimed(service, uuid4(), lead_ms=3000) == [within]


def test_clamps_a_lead_to_thirty_seconds(owner: Connection, service: Connection, at: At) -> None:
    venue = add_venue(owner)
    within = add_prebooking(owner, venue, available_at=noon(30))
    add_prebooking(owner, venue, available_at=noon(30.001))
    assert claimed(service, uuid4(), lead_ms=3_600_000, fire_within_ms=60_000) == [within]


def test_answers_oldest_first_by_opening_then_creation_then_id(owner: Connection, service: Connection, at: At) -> None:
    venue, early, late = add_venue(owner), noon(-60), noon(-30)
    last = add_prebooking(owner, venue, available_at=late, created_at=early)
    third = add_prebooking(owner, venue, available_at=early, created_at=late)
    second = add_prebooking(owner, venue, available_at=early, created_at=early, id=UUID(int=2))
    first = add_prebooking(owner, venue, available_at=early, created_at=early, id=UUID(int=1))
    assert claimed(service, uuid4()) == [first, second, third, last]


def test_answers_everything_the_scheduler_needs_to_book(owner: Connection, service: Connection, at: At) -> None:
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


def test_leases_what_it_takes_to_the_invocation(owner: Connection, service: Connection, at: At) -> None:
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


def test_asked_again_it_answers_with_the_rows_still_held(owner: Connection, service: Connection) -> None:
    row, me = add_prebooking(owner, add_venue(owner)), uuid4()
    assert claimed(service, me) == claimed(service, me) == [row]


def test_asked_again_it_does_not_prolong_the_lease(owner: Connection, service: Connection, at: At) -> None:
    row, me = add_prebooking(owner, add_venue(owner)), uuid4()
    claim(service, me)
    until = prebooking(owner, row)["claimed_until"]
    at(5)
    claim(service, me)
    assert prebooking(owner, row)["claimed_until"] == until


def test_asked_again_it_adds_rows_that_came_due_meanwhile(owner: Connection, service: Connection, at: At) -> None:
    venue, me = add_venue(owner), uuid4()
    first = add_prebooking(owner, venue)
    second = add_prebooking(owner, venue, available_at=noon(5))
    assert claimed(service, me) == [first]
    at(5)
    assert claimed(service, me) == [first, second]


def test_a_held_row_is_nobody_elses(owner: Connection, service: Connection) -> None:
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


def test_its_own_expired_claim_comes_back_as_maybe_sent(owner: Connection, service: Connection, at: At) -> None:
    add_prebooking(owner, add_venue(owner))
    me = uuid4()
    claim(service, me, lease_ms=1000)
    at(1)
    assert [row["maybe_sent"] for row in claim(service, me)["rows"]] == [True]


def test_does_not_answer_with_its_own_row_once_its_lease_is_over(
    owner: Connection, service: Connection, at: At
) -> None:
    venue, me = add_venue(owner), uuid4()
    row = add_prebooking(owner, venue)
    assert claimed(service, me, lease_ms=1000) == [row]
    owner.execute("update public.venues set enabled = false")  # so that it is not taken again either
    at(1)
    assert claimed(service, me) == []


def test_a_released_row_is_not_in_doubt(owner: Connection, service: Connection) -> None:
    row, me = add_prebooking(owner, add_venue(owner)), uuid4()
    claim(service, me)
    release(service, me, [row])
    assert [row["maybe_sent"] for row in claim(service, uuid4())["rows"]] == [False]


def test_releasing_never_clears_an_older_doubt(owner: Connection, service: Connection) -> None:
    row, me = add_prebooking(owner, add_venue(owner), maybe_sent=True), uuid4()
    claim(service, me)
    release(service, me, [row])
    assert [row["maybe_sent"] for row in claim(service, uuid4())["rows"]] == [True]


@pytest.mark.parametrize("venue", [{"enabled": False}, {"provider": "aimharder", "host": "a.example"}])
def test_leaves_a_venue_alone_that_is_disabled_or_of_another_provider(
    owner: Connection, service: Connection, venue: dict[str, object]
) -> None:
    add_prebooking(owner, add_venue(owner, **venue))
    here = add_prebooking(owner, add_venue(owner))
    assert claimed(service, uuid4(), providers=["webhook"]) == [here]


def test_leaves_a_paused_venue_alone_until_its_pause_is_over(owner: Connection, service: Connection, at: At) -> None:
    row = add_prebooking(owner, add_venue(owner, paused_until=noon(10)))
    at(9.999)
    assert claimed(service, uuid4()) == []
    at(10)
    assert claimed(service, uuid4()) == [row]


def test_refuses_a_claim_without_an_instance(owner: Connection, service: Connection) -> None:
    row = add_prebooking(owner, add_venue(owner))
    with pytest.raises(psycopg.errors.NullValueNotAllowed, match="p_instance is missing"):
        claim(service, None)
    assert prebooking(owner, row)["claimed_by"] is None


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_refuses_a_fixed_snapshot(service: Connection, level: str) -> None:
    with service.transaction():
        service.execute(f"set transaction isolation level {level}".encode())
        with pytest.raises(psycopg.errors.InvalidTransactionState, match="needs read committed"):
            claim(service, uuid4())


def test_a_late_claim_of_a_run_that_has_ended_takes_nothing(owner: Connection, service: Connection) -> None:
    row, me = add_prebooking(owner, add_venue(owner)), uuid4()
    finish(service, me)
    assert claim(service, me)["rows"] == []
    assert claimed(service, uuid4()) == [row]


def test_records_a_run_that_had_work(owner: Connection, service: Connection, at: At) -> None:
    venue, me, now = add_venue(owner), uuid4(), noon(0)
    add_prebooking(owner, venue)
    add_prebooking(owner, venue)
    claim(service, me)
    recorded = run(owner, me)
    assert (recorded["claimed"], recorded["opened_at"], recorded["closed_at"]) == (2, now, None)


def test_adds_up_what_all_its_claims_have_taken(owner: Connection, service: Connection) -> None:
    me, _rows = uuid4(), [add_prebooking(owner, add_venue(owner)) for _ in range(3)]
    claim(service, me, limit=1)
    claim(service, me, limit=3)
    assert run(owner, me)["claimed"] == 3


def test_records_no_run_that_had_nothing_to_do(owner: Connection, service: Connection) -> None:
    claim(service, uuid4())
    assert owner.execute("select count(*) from public.prebooking_runs").fetchone() == (0,)


def test_every_claim_leaves_a_heartbeat(owner: Connection, service: Connection, at: At) -> None:
    for seconds in (0, 60):
        at(seconds)
        claim(service, uuid4())
        assert owner.execute("select last_tick_at from public.prebooking_heartbeat").fetchall() == [(noon(seconds),)]
