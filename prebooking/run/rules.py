"""The rules that decide about one row. ``make prove`` removes one rule at a time, and must then find a failure."""

from __future__ import annotations

from datetime import timedelta

from prebooking.clock import DatabaseTime, Deadline
from prebooking.model import COMPLETED, FAILED, Kind, Outcome, Prebooking

EARLY_TIME = timedelta(minutes=15)  # duration of "too early" answers after which the stored opening must be wrong
MISSING_TIME = timedelta(minutes=1)  # shortest time between two lists without the class after which it counts as gone


def in_doubt(row: Prebooking) -> bool:
    """Return whether the venue must be queried before a call. An idempotent venue can be called again without that."""
    return row.maybe_sent and not row.venue.idempotent


def is_between_opening_and_expiry(row: Prebooking, time: DatabaseTime) -> bool:
    """Return whether the database's clock is certainly between the row's available_at and expires_at."""
    return row.available_at <= time.at_least() <= time.at_most() < row.expires_at


def has_time_for_answer(last_start: Deadline) -> bool:
    """Return whether enough time is left to call and to receive the answer."""
    return not last_start.passed()


def login_refusal_is_final(row: Prebooking) -> bool:
    """Return whether a refused login ends the row. For a row in doubt it proves nothing about the earlier call."""
    return not row.maybe_sent


def refused_in_doubt(row: Prebooking, outcome: Outcome) -> bool:
    """Return whether the venue refused a row in doubt. The reason may be our own earlier booking."""
    return in_doubt(row) and outcome.kind in FAILED


def refusal_if_not_booked(row: Prebooking, outcome: Outcome) -> Outcome | None:
    """Return the final outcome if a query right after the call finds no booking, or None if that is not final.

    It is final after a refusal of a row in doubt. After an unsure call it is not: the venue may still process the call.
    """
    return outcome if refused_in_doubt(row, outcome) else None


def settles_earlier_call(again: Outcome) -> bool:
    """Return whether the answer to a repeated call also settles the first one.

    A booking or "blocked" does. "Too early" or "full" does not: the venue may still process the first call.
    """
    return again.kind in COMPLETED or again.kind is Kind.BLOCKED


def blocks_only_this_row(row: Prebooking, *, completed: int) -> bool:
    """Return whether the venue has accepted other rows since it first blocked this one. Then do not pause it.

    ``completed`` is the number of rows booked by calls of this run.
    """
    return row.blocks > 0 and (row.alone or completed > 0)


def too_early_is_final(row: Prebooking, time: DatabaseTime) -> bool:
    """Return whether the venue's first "too early" answer is at least EARLY_TIME old."""
    return row.early_since is not None and time.at_least() - row.early_since >= EARLY_TIME


def was_missing_before(row: Prebooking, time: DatabaseTime) -> bool:
    """Return whether an earlier list, at least MISSING_TIME ago, did not contain the class either."""
    return row.missing_since is not None and time.at_least() - row.missing_since >= MISSING_TIME
