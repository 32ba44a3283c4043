"""What the figures and the locks of the status count, and what they leave out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from tests.support.database import At, Connection, Database
from tests.support.factories import add_prebooking, add_venue, noon
from tests.support.questions import ask
from tests.support.races import at_the_same_time, wait_until_blocked

OPENS = noon(-600)


def called(owner: Connection, venue: UUID, *, late: float, **about: Any) -> None:
    """Add a prebooking whose call was sent this many seconds after the opening."""
    fired = OPENS + timedelta(seconds=late)
    row = {"status": "failed", "outcome": "full", "available_at": OPENS, "settled_at": fired, "fired_at": fired}
    add_prebooking(owner, venue, **row | about)


def test_only_neighbours_in_a_queue_can_overtake(owner: Connection, service: Connection, at: At) -> None:
    asked = {place: {"created_at": OPENS - timedelta(seconds=60 - place)} for place in range(4)}
    centro, norte = add_venue(owner), add_venue(owner)
    called(owner, centro, late=3, **asked[0])
    called(owner, centro, late=4, **asked[1], available_at=OPENS - timedelta(seconds=30))
    called(owner, norte, late=2, **asked[2])
    called(owner, centro, late=1, **asked[3], available_at=OPENS - timedelta(seconds=30))
    assert ask(service, "prebooking_figures_v1", noon(-3600))["order"] == {"pairs": 1, "overtaken": 1}


def test_the_queue_of_an_opening_is_ordered_by_creation(owner: Connection, service: Connection, at: At) -> None:
    ids, venue = sorted(uuid4() for _ in range(2)), add_venue(owner)
    for place, id_ in enumerate(reversed(ids)):
        called(owner, venue, late=place, id=id_, created_at=OPENS - timedelta(seconds=60 - place))
    assert ask(service, "prebooking_figures_v1", noon(-3600))["order"] == {"pairs": 1, "overtaken": 0}


def test_the_status_has_five_openings_and_twenty_claims(owner: Connection, service: Connection, at: At) -> None:
    venue = add_venue(owner)
    for number in range(6):
        add_prebooking(owner, venue, available_at=noon(60 * number + 60))
    for number in range(21):
        run = "insert into public.prebooking_runs (instance_id, opened_at, claim_ms) values (%s, %s, %s)"
        owner.execute(run, [uuid4(), noon(-number), 1000 * (number == 20)])
    status = ask(service, "prebooking_status_v1")
    assert [one["available_at"] for one in status["next_openings"]] == [noon(60 * n).isoformat() for n in range(1, 6)]
    assert status["claim_ms"] == {"p50": 0, "max": 0, "runs": 20}


def test_the_holder_of_the_claim_lock_is_shown(database: Database, owner: Connection, service: Connection) -> None:
    holder, waiter, other = (database.connect() for _ in range(3))
    holder_pid = holder.info.backend_pid
    with other.transaction(), holder.transaction():
        other.execute("select pg_advisory_xact_lock(7301, 2), pg_advisory_xact_lock((7301::bigint << 32) + 1)")
        assert ask(service, "prebooking_locks")["claims_pid"] is None
        holder.execute("select pg_advisory_xact_lock(7301, 1)")
        with at_the_same_time(lambda: waiter.execute("select pg_advisory_xact_lock(7301, 1)")) as waiting:
            wait_until_blocked(owner, waiter, by=holder)
            locks = ask(service, "prebooking_locks")
            holder.execute("commit; begin")
            waiting.result()
    assert locks["claims_pid"] == holder_pid
