"""The rules of one row's life, each small and named: the proof takes them away one by one, and misses every one."""

from __future__ import annotations

from datetime import timedelta

from prebooking.clock import DatabaseTime
from prebooking.model import COMPLETED, Kind, Outcome, Prebooking

EARLY_TIME = timedelta(minutes=15)  # how long a venue may answer "too early" before the opening is taken to be wrong
MISSING_TIME = timedelta(minutes=1)  # from the first to the second look at a list that does not have the class


def in_doubt(row: Prebooking) -> bool:
    """Return whether only the venue knows if the row is booked. Where a key books once, sending it again tells."""
    return row.maybe_sent and not row.venue.idempotent


def may_leave(row: Prebooking, time: DatabaseTime) -> bool:
    """Return whether it surely is between the row's opening and its end, on the database's clock."""
    return row.available_at <= time.at_least() <= time.at_most() < row.expires_at


def tells_of_earlier_call(again: Outcome) -> bool:
    """Return whether the answer to a repeated call says what became of the first one.

    A place does. "Too early" or "full" is said to the second call alone: the first may be acted on a moment later.
    """
    return again.kind in COMPLETED or again.kind is Kind.BLOCKED


def blocks_only_this_row(row: Prebooking, *, completed: int) -> bool:
    """Return whether the venue has booked others since it first blocked this row: then it is not to be paused.

    ``completed`` counts the rows that calls of this run have booked.
    """
    return row.blocks > 0 and (row.alone or completed > 0)


def said_too_early_long_enough(row: Prebooking, time: DatabaseTime) -> bool:
    """Return whether the venue says "too early" for so long that the opening must be wrong."""
    return row.early_since is not None and time.at_least() - row.early_since >= EARLY_TIME


def was_missing_before(row: Prebooking, time: DatabaseTime) -> bool:
    """Return whether an earlier look at the venue's full list did not find the class either."""
    return row.missing_since is not None and time.at_least() - row.missing_since >= MISSING_TIME
