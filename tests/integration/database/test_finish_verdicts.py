"""The result of each row at the end of a run, which never waits for a row that is locked."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from prebooking.model import Verdict
from tests.support.calls import cancel, claim, claimed, finish, prebooking, release, run, try_to_finish
from tests.support.database import At, Connection, Database
from tests.support.factories import add_prebooking, add_venue, noon
from tests.support.races import at_the_same_time, wait_until_blocked

pytestmark = pytest.mark.usefixtures("at")


def _end(owner: Connection, service: Connection, verdict: str | None, **row: Any) -> dict[str, Any]:
    """End a run that held one row, and return the stored row."""
    row_id, me = add_prebooking(owner, add_venue(owner), available_at=noon(-1), **row), uuid4()
    claim(service, me)
    finish(service, me, [{"id": row_id, "attempts": 2, "unclear": 1, "verdict": verdict}])
    return prebooking(owner, row_id)


@pytest.mark.parametrize("verdict", [Verdict.UNSURE, Verdict.BLOCKED, "a word of a later version", None])
def test_a_row_that_may_have_arrived_stays_leased(owner: Connection, service: Connection, verdict: str | None) -> None:
    stored = _end(owner, service, verdict)
    assert (stored["claimed_until"], stored["turn_until"]) == (noon(30), noon(0))
    assert (stored["retry_after"], stored["setbacks"]) == (None, 0)


@pytest.mark.parametrize(
    ("verdict", "retry_after"),
    [
        (Verdict.TOO_EARLY, noon(55)),
        (Verdict.LOGGED_OUT, noon(60)),
        (Verdict.NOT_READY, noon(60)),
        (Verdict.CANNOT_TELL, noon(60)),
        (Verdict.MISSING, noon(60)),
        (Verdict.NOT_BOOKED, None),
    ],
)
def test_a_row_without_a_pending_call_is_released(
    owner: Connection, service: Connection, verdict: str, retry_after: datetime | None
) -> None:
    stored = _end(owner, service, verdict, maybe_sent=True)
    assert (stored["claimed_by"], stored["retry_after"]) == (None, retry_after)
    assert stored["maybe_sent"] is (verdict is not Verdict.NOT_BOOKED)
    assert stored["early_since"] == (noon(0) if verdict is Verdict.TOO_EARLY else None)
    assert stored["missing_since"] == (noon(0) if verdict is Verdict.MISSING else None)
    assert (stored["attempts"], stored["unclear"]) == (2, 1)


def test_a_row_confirmed_as_not_booked_is_fresh_again(owner: Connection, service: Connection) -> None:
    stored = _end(owner, service, Verdict.NOT_BOOKED, maybe_sent=True, setbacks=3, user_email="ana@example.com")
    assert (stored["setbacks"], stored["fresh"]) == (0, True)
    other = uuid4()
    assert claimed(service, other) == [stored["id"]]
    finish(service, other)
    assert cancel(service, stored["id"], "ana@example.com") == "cancelled"


def test_the_first_too_early_and_missing_results_are_kept(owner: Connection, service: Connection, at: At) -> None:
    venue = add_venue(owner)
    early = add_prebooking(owner, venue, available_at=noon(-1))
    gone = add_prebooking(owner, venue, available_at=noon(-1), maybe_sent=True)
    for seconds in (0, 120):
        at(seconds)
        me = uuid4()
        assert claimed(service, me) == [early, gone]
        results = [
            {"id": early, "attempts": 1, "verdict": "too_early"},
            {"id": gone, "attempts": 0, "verdict": "missing"},
        ]
        finish(service, me, results)
    assert prebooking(owner, early)["early_since"] == prebooking(owner, gone)["missing_since"] == noon(0)


def test_the_outcome_if_not_booked_is_kept_for_the_confirmation(owner: Connection, service: Connection, at: At) -> None:
    row, me = add_prebooking(owner, add_venue(owner)), uuid4()
    claim(service, me)
    finish(service, me, [{"id": row, "attempts": 1, "unclear": 1, "verdict": "unsure", "if_not_booked": "full"}])
    at(30)
    (taken,) = claim(service, uuid4())["rows"]
    assert (taken["if_not_booked"], taken["unclear"], taken["attempts"]) == ("full", 1, 1)


def test_repeated_totals_count_once(owner: Connection, service: Connection) -> None:
    row, me = add_prebooking(owner, add_venue(owner), attempts=3, unclear=2), uuid4()
    claim(service, me)
    finish(service, me, [{"id": row, "attempts": 4, "unclear": 3, "verdict": "unsure"}])
    stored = prebooking(owner, row)
    assert (stored["attempts"], stored["unclear"]) == (4, 3)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_the_end_of_a_run_skips_a_locked_row_and_is_repeated(
    editor: Connection, owner: Connection, service: Connection, verdict: str
) -> None:
    """An open transaction on a claimed row delays no other row, and repeated results count once."""
    venue, me = add_venue(owner), uuid4()
    locked, free, unsent = (add_prebooking(owner, venue, available_at=noon(-1)) for _ in range(3))
    claim(service, me)
    results = [{"id": row, "attempts": 1, "unclear": 1, "verdict": verdict} for row in (locked, free)]
    stays = int(verdict in {Verdict.UNSURE, Verdict.BLOCKED, Verdict.BLOCKED_ALONE})
    with editor.transaction():
        editor.execute("select from public.prebookings where id = %s for update", [locked])
        assert try_to_finish(service, me, results) == {"released": 2 - stays, "locked": 1}
        assert (prebooking(owner, unsent)["claimed_by"], run(owner, me)["closed_at"]) == (None, None)
        assert claim(service, uuid4(), limit=0)["rows"] == [], "the lock of all claims is free"
    before = prebooking(owner, free)
    assert try_to_finish(service, me, results) == {"released": 3 - 2 * stays, "locked": 0}
    assert prebooking(owner, free) == before
    assert run(owner, me)["closed_at"] == noon(0)
    stored = prebooking(owner, locked)
    assert (stored["attempts"], stored["blocks"], stored["setbacks"]) == (1, before["blocks"], before["setbacks"])
    assert stored["blocks"] == int(verdict in {Verdict.BLOCKED, Verdict.BLOCKED_ALONE})


def test_blocks_count_once_per_run_until_the_venue_blocks_all(owner: Connection, service: Connection, at: At) -> None:
    row = add_prebooking(owner, add_venue(owner), available_at=noon(-1))
    counted = []
    for run_number, verdict in enumerate(("blocked", "blocked_alone", "blocked_alone", "blocked"), start=1):
        at(run_number * 60)
        me = uuid4()
        assert claimed(service, me) == [row]
        at(run_number * 60 + 1)
        for _ in range(2):
            finish(service, me, [{"id": row, "attempts": run_number, "verdict": verdict}])
        counted.append((prebooking(owner, row)["blocks"], prebooking(owner, row)["blocked_at"]))
    assert counted == [(1, noon(61)), (2, noon(61)), (3, noon(61)), (1, noon(241))]


def test_a_release_skips_a_locked_row_and_venue(editor: Connection, owner: Connection, service: Connection) -> None:
    venue, me = add_venue(owner), uuid4()
    locked, free = (add_prebooking(owner, venue) for _ in range(2))
    claim(service, me)
    owner.execute("alter function public.release_prebookings_v1 set lock_timeout = '20ms'")
    with editor.transaction():
        editor.execute("select from public.prebookings where id = %s for update", [locked])
        editor.execute("select from public.venues for update")
        assert release(service, me, [locked, free], blocked_venue=venue) == 1
    assert prebooking(owner, free)["claimed_by"] is None


def test_rows_are_released_although_a_transaction_waits_for_them_and_has_locked_their_venue(
    database: Database, owner: Connection, service: Connection
) -> None:
    venue, me, editor = add_venue(owner), uuid4(), database.superuser()
    row = add_prebooking(owner, venue)
    claim(service, me)
    editor.execute("set deadlock_timeout = '1min'")  # so that the release finds the deadlock
    with editor.transaction():
        editor.execute("select from public.venues for update")
        with at_the_same_time(lambda: release(service, me, [row], blocked_venue=venue)) as released:
            wait_until_blocked(owner, service, by=editor)
            editor.execute("select from public.prebookings where id = %s for update", [row])
            assert released.result() == 1


def test_settling_does_not_wait_for_a_locked_venue(editor: Connection, owner: Connection, service: Connection) -> None:
    venue, me = add_venue(owner), uuid4()
    row = add_prebooking(owner, venue)
    claim(service, me)
    with editor.transaction():
        editor.execute("select from public.venues for update")
        service.execute("set statement_timeout = '1s'")
        done = service.execute(
            "select public.complete_prebooking_v1(%s, %s, 'booked', 1, null, now(), now())", [row, me]
        ).fetchone()
        assert done == (True,)


def test_claims_since_does_not_wait_for_a_claim(
    editor: Connection, owner: Connection, service: Connection, at: At
) -> None:
    ask = "select public.claims_since_v1()"
    assert service.execute(ask).fetchone() == ({"now": noon(0).isoformat(), "last_claim_at": None},)
    claim(service, uuid4())
    with editor.transaction():
        editor.execute("select public.prebooking_lock()")
        at(90)
        results = {"now": noon(90).isoformat(), "last_claim_at": noon(0).isoformat()}
        assert service.execute(ask).fetchone() == (results,)


def test_an_unsent_held_back_row_stays_held_back(owner: Connection, service: Connection) -> None:
    row, me = add_prebooking(owner, add_venue(owner), retry_after=noon(-1), setbacks=1), uuid4()
    assert claimed(service, me) == [row]
    finish(service, me, [])
    stored = prebooking(owner, row)
    assert (stored["retry_after"], stored["setbacks"], stored["fresh"]) == (noon(-1), 1, False)
