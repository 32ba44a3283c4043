"""The values that the end of a run stores in a row, a venue and its answer."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.support.calls import cancel, claim, complete, finish, prebooking, release, try_to_finish
from tests.support.database import At, Connection, Database
from tests.support.factories import add_prebooking, add_venue, noon


@pytest.mark.parametrize(
    ("column", "before", "sent", "after"),
    [
        ("unclear", 3, 1, 3),
        ("unclear", 3, 4, 4),
        ("attempts", 3, 1, 3),
        ("fired_at", noon(-60), noon(0), noon(-60)),
        ("fired_at", None, noon(0), noon(0)),
        ("if_not_booked", "full", None, "full"),
        ("if_not_booked", "full", "rejected", "rejected"),
    ],
)
def test_the_first_call_and_the_largest_counts_are_kept(
    owner: Connection, service: Connection, at: At, *, column: str, before: Any, sent: Any, after: Any
) -> None:
    row, me = add_prebooking(owner, add_venue(owner), maybe_sent=True, **{column: before}), uuid4()
    claim(service, me)
    known = {"id": row, "attempts": 0, "unclear": 0, "verdict": "cannot_tell"} | {column: sent}
    finish(service, me, [{**known, column: sent.isoformat() if column == "fired_at" else sent}])
    assert prebooking(owner, row)[column] == after


@pytest.mark.parametrize("verdict", ["blocked_alone", "cannot_tell", "unsure"])
def test_blocks_count_since_all_rows_were_blocked_last(
    owner: Connection, service: Connection, at: At, verdict: str
) -> None:
    row, me = add_prebooking(owner, add_venue(owner), blocks=1, blocked_at=noon(-60)), uuid4()
    claim(service, me)
    finish(service, me, [{"id": row, "attempts": 1, "verdict": verdict}])
    assert prebooking(owner, row)["blocked_at"] == noon(-60)


@pytest.mark.parametrize(
    ("verdict", "missing_since"),
    [("not_ready", noon(-60)), ("cannot_tell", noon(-60)), ("missing", noon(-60)), ("too_early", None)],
)
def test_a_class_is_missing_until_it_is_seen(
    owner: Connection, service: Connection, at: At, *, verdict: str, missing_since: Any
) -> None:
    row, me = add_prebooking(owner, add_venue(owner), missing_since=noon(-60)), uuid4()
    claim(service, me)
    finish(service, me, [{"id": row, "attempts": 1, "verdict": verdict}])
    assert prebooking(owner, row)["missing_since"] == missing_since


@pytest.mark.parametrize(("verdict", "answers"), [("too_early", 1), ("logged_out", 1), ("not_ready", 0), ("unsure", 0)])
def test_a_clear_answer_of_a_pending_row_ends_a_venue_s_trouble(
    owner: Connection, service: Connection, at: At, verdict: str, answers: int
) -> None:
    venue = add_venue(owner, troubled_since=noon(-60))
    row, me = add_prebooking(owner, venue), uuid4()
    claim(service, me)
    finish(service, me, [{"id": row, "attempts": 1, "verdict": verdict}])
    query = "select count(*) from public.venues where troubled_since is null and answered_at = %s"
    assert owner.execute(query, [noon()]).fetchone() == (answers,)


@pytest.mark.parametrize(("fired", "since"), [(4, 5), (6, None)])
def test_a_clear_answer_of_a_pending_row_before_a_block_ends_no_trouble(
    owner: Connection, service: Connection, at: At, fired: float, since: float | None
) -> None:
    venue = add_venue(owner)
    row, me = add_prebooking(owner, venue), uuid4()
    claim(service, me)
    at(5)
    release(service, me, [], blocked_venue=venue)
    at(7)
    finish(service, me, [{"id": row, "attempts": 1, "verdict": "too_early", "fired_at": noon(fired).isoformat()}])
    stored = owner.execute("select troubled_since, answered_at from public.venues").fetchone()
    assert stored == (since and noon(since), noon(fired))


def test_an_answer_by_a_slow_clock_does_not_replace_a_later_one(owner: Connection, service: Connection, at: At) -> None:
    venue = add_venue(owner, troubled_since=noon(-60), answered_at=noon(60))
    row, me = add_prebooking(owner, venue), uuid4()
    claim(service, me)
    complete(service, row, me, answered_at=noon(0))
    assert owner.execute("select troubled_since, answered_at from public.venues").fetchone() == (None, noon(60))


@pytest.mark.parametrize(("pause", "until"), [(3600, 3600), (86_400, 3600), (None, 300)])
def test_a_venue_is_paused_for_an_hour_at_most(
    owner: Connection, service: Connection, at: At, pause: Any, until: float
) -> None:
    venue = add_venue(owner)
    release(service, uuid4(), [], blocked_venue=venue, pause=pause)
    assert owner.execute("select paused_until from public.venues").fetchone() == (noon(until),)


def test_a_repeated_end_counts_all_released_rows(
    database: Database, owner: Connection, service: Connection, at: At
) -> None:
    venue, me = add_venue(owner), uuid4()
    rows = [add_prebooking(owner, venue) for _ in range(3)]
    claim(service, me)
    other = database.connect()
    with other.transaction():
        other.execute("select from public.prebookings where id = %s for update", [rows[0]])
        assert try_to_finish(service, me) == {"released": 2, "locked": 1}
    assert try_to_finish(service, me) == {"released": 3, "locked": 0}


def test_the_state_of_another_member_s_row_is_hidden(owner: Connection, service: Connection, at: At) -> None:
    row = add_prebooking(owner, add_venue(owner), user_email="ana@example.com")
    claim(service, uuid4())
    assert cancel(service, row, "ana@example.com") == "being_booked"
    assert cancel(service, row, "eva@example.com") == "not_found"
