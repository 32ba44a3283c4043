"""The rules that decide about one row. ``make prove`` removes each of them in turn, and must notice it."""

from __future__ import annotations

from datetime import timedelta

from prebooking.clock import DatabaseTime, Deadline
from prebooking.model import COMPLETED, FAILED, Kind, Outcome, Prebooking

EARLY_TIME = timedelta(minutes=15)  # after this time of "too early" answers the opening must be wrong
MISSING_TIME = timedelta(minutes=1)  # between two lists without the class, until the class is gone


def in_doubt(row: Prebooking) -> bool:
    """Return whether the venue must be asked first. An idempotent venue can be called again instead."""
    return row.maybe_sent and not row.venue.idempotent


def may_leave(row: Prebooking, time: DatabaseTime) -> bool:
    """Return whether the database's clock is certainly between the row's opening and its end."""
    return row.available_at <= time.at_least() <= time.at_most() < row.expires_at


def may_start(last_start: Deadline) -> bool:
    """Return whether the time that is left is enough for an answer of the venue."""
    return not last_start.passed()


def login_refusal_is_final(row: Prebooking) -> bool:
    """Return whether a refused login ends the row. It proves nothing about a call that may have been sent."""
    return not row.maybe_sent


def refused_in_doubt(row: Prebooking, outcome: Outcome) -> bool:
    """Return whether the venue refused a row in doubt. The reason may be our own earlier booking."""
    return in_doubt(row) and outcome.kind in FAILED


def refusal_if_not_booked(row: Prebooking, outcome: Outcome) -> Outcome | None:
    """Return the final outcome after a call if the venue, asked at once, does not have the booking.

    That confirms a refusal in doubt. After an unsure call it proves nothing: the venue may still act on the call.
    """
    return outcome if refused_in_doubt(row, outcome) else None


def tells_of_earlier_call(again: Outcome) -> bool:
    """Return whether the answer to a repeated call also settles the first one.

    A booking does. "Too early" or "full" does not: the venue may still act on the first call.
    """
    return again.kind in COMPLETED or again.kind is Kind.BLOCKED


def blocks_only_this_row(row: Prebooking, *, completed: int) -> bool:
    """Return whether the venue has booked other rows since it first blocked this one. Then it is not to be paused.

    ``completed`` is the number of rows that calls of this run have booked.
    """
    return row.blocks > 0 and (row.alone or completed > 0)


def said_too_early_long_enough(row: Prebooking, time: DatabaseTime) -> bool:
    """Return whether the venue has answered "too early" for EARLY_TIME."""
    return row.early_since is not None and time.at_least() - row.early_since >= EARLY_TIME


def was_missing_before(row: Prebooking, time: DatabaseTime) -> bool:
    """Return whether the class was missing from the venue's full list MISSING_TIME ago, too."""
    return row.missing_since is not None and time.at_least() - row.missing_since >= MISSING_TIME
