"""The answer of an invocation: every row counted once, every outcome by its code, no member data."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from prebooking.model import Attempt, Kind, Outcome, RowResult
from prebooking.run.report import NoClaim, Report
from tests.support.doubles import EPOCH
from tests.support.rows import claimed_row


def report(*results: RowResult, **more: Any) -> Report:
    return Report(UUID(int=7), {result.id: result for result in results}, **more)


def answer(report: Report) -> dict[str, object]:
    return report.summary(now=EPOCH, execution_time=0.5).as_json()


def result(kind: Kind | None, *, settled: bool | None = None, calls: int = 1) -> RowResult:
    return RowResult(uuid4(), Outcome(kind) if kind else None, settled, calls)


def attempt(late: float) -> Attempt:
    attempt = Attempt.of(claimed_row(user_email="canary@example.com"))
    attempt.fired_at, attempt.calls = EPOCH + timedelta(milliseconds=late), 1
    attempt.outcome, attempt.settled = Outcome(Kind.BOOKED), True
    return attempt


@pytest.mark.parametrize(
    ("given", "status", "outcome"),
    [
        (result(Kind.BOOKED, settled=True), "completed", "booked"),
        (result(Kind.WAITLISTED, settled=True), "completed", "waitlisted"),
        (result(Kind.FULL, settled=True), "failed", "full"),
        (result(Kind.TOO_EARLY, settled=True), "failed", "too_early"),
        (result(Kind.BAD_DATA, settled=True, calls=0), "failed", "bad_data"),
        (result(Kind.BOOKED, settled=False), "lost", "booked"),
        (result(Kind.BOOKED, settled=None), "unsure", "unsure"),
        (result(Kind.FULL, settled=None), "unsure", "unsure"),
        (result(Kind.UNSURE), "unsure", "unsure"),
        (result(Kind.BLOCKED), "unsure", "blocked"),
        (result(Kind.BLOCKED_ALONE), "unsure", "blocked_alone"),
        (result(Kind.TOO_EARLY), "released", "too_early"),
        (result(Kind.NOT_SENT, calls=0), "released", "not_sent"),
        (result(Kind.BAD_DATA, settled=None, calls=0), "released", "bad_data"),
        (result(Kind.RECONCILED, settled=None, calls=0), "released", "reconciled"),
        (result(None, calls=0), "released", None),
    ],
)
def test_every_row_has_one_status_and_its_outcome(given: RowResult, status: str, outcome: str | None) -> None:
    body = answer(report(given))
    none = dict.fromkeys(["completed", "failed", "released", "unsure", "lost"], 0)
    assert body["details"] == {"total": 1, **none, status: 1}
    assert body["outcomes"] == ({outcome: 1} if outcome else {})


def test_rows_ended_by_the_database_are_failed_and_named() -> None:
    body = answer(report(expired=2, unknown=1))
    assert body["details"] == {"total": 3, "completed": 0, "failed": 3, "released": 0, "unsure": 0, "lost": 0}
    assert body["outcomes"] == {"expired": 2, "unknown": 1}


BUSY = {"no_claim": NoClaim.BUSY}
LOCKED = "1 due row locked by another transaction"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (report(), "No prebookings ready"),
        (report(**BUSY), "Another run holds the lock of the claims"),
        (report(attempt(0)), "Processed 1 prebooking"),
        (report(attempt(0), attempt(0)), "Processed 2 prebookings"),
        (report(attempt(0), failed=True), "Part of the run failed: see the log"),
        (
            report(failed=True, **BUSY),
            "No run can claim: a database session holds the lock of the claims. `prebooking doctor` shows which",
        ),
        (report(result(Kind.CANNOT_TELL, calls=0)), "Processed 0 prebookings, 1 without progress"),
        (report(attempt(0), result(Kind.MISSING, calls=0)), "Processed 1 prebooking, 1 without progress"),
        (report(attempt(0), result(Kind.NOT_READY, calls=0)), "Processed 1 prebooking, 1 without progress"),
        (report(attempt(0), locked=1), f"Processed 1 prebooking; {LOCKED}"),
        (
            report(locked=1, no_login=2),
            f"No prebookings ready; {LOCKED}; 2 due rows without a login that this deployment can decrypt",
        ),
    ],
)
def test_the_message_describes_the_run(given: Report, message: str) -> None:
    assert answer(given)["message"] == message
    assert answer(given)["success"] is not given.failed


def test_a_row_settled_by_another_run_counts_as_settled() -> None:
    assert report(result(Kind.BOOKED, settled=False), result(Kind.FULL, settled=True), result(None)).settled == 2


def test_unsent_rows_that_could_not_be_released_are_unsure() -> None:
    given = report(result(None, calls=0), finish_failed=True)
    assert (answer(given)["details"]["released"], answer(given)["details"]["unsure"]) == (0, 1)  # type: ignore[index]


def test_the_lateness_of_a_row_made_after_its_opening_counts_from_then() -> None:
    late = attempt(605_000)
    late.row = late.row.model_copy(update={"created_at": EPOCH + timedelta(minutes=10)})
    assert answer(report(late))["lateness_ms"] == {"p50": 5000, "p95": 5000, "max": 5000}


def test_lateness_is_the_first_call_after_the_opening_in_milliseconds() -> None:
    assert answer(report(*map(attempt, (5, 55, 105, 155))))["lateness_ms"] == {"p50": 55, "p95": 155, "max": 155}
    assert answer(report())["lateness_ms"] == {"p50": None, "p95": None, "max": None}


@pytest.mark.parametrize(("calls", "p50", "p95"), [(1, 1, 1), (2, 1, 2), (19, 10, 19), (20, 10, 19), (100, 50, 95)])
def test_a_percentile_is_the_lateness_of_one_row(calls: int, p50: int, p95: int) -> None:
    late = reversed(range(1, calls + 1))
    assert answer(report(*map(attempt, late)))["lateness_ms"] == {"p50": p50, "p95": p95, "max": calls}


def test_at_most_ten_errors_are_shown_without_completed_rows() -> None:
    rows = [result(Kind.BOOKED, settled=True), *(result(Kind.FULL, settled=True) for _ in range(20))]
    errors = answer(report(*rows))["errors"]
    assert errors == [{"id": str(row.id), "outcome": "full"} for row in rows[1:11]]


def test_the_answer_is_never_longer_than_four_kib() -> None:
    kinds = list(Kind) * 20
    rows = [result(kind, settled=None if n % 3 else bool(n % 2)) for n, kind in enumerate(kinds)]
    body = json.dumps(answer(report(*rows, *map(attempt, range(160)), expired=10**9, unknown=10**9)))
    assert len(body.encode()) < 4096
    assert "canary" not in body
