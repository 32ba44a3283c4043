"""Decides whether a failed row could have been booked, from the venue's responses and its free places."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

from prebooking.local.venue.twin import State, TwinReply
from prebooking.local.venue.verdicts import VERDICTS
from tests.verification.trace import RowState, Trace

_IN_TIME = 115.0  # seconds that a row may take to become terminal (I2)
_UNCLEAR_CALLS = 4  # unclear responses after which a box is called no more
_BLOCKED_CALLS = 3  # blocked calls of a row after which it is called no more
_BLOCKING = {401, 402, 403, 404, 405, 407, 421, 426, 429, 431}
_CLOCKS = timedelta(seconds=10)  # more than the clocks of the venue and of the database differ
_BOX = {
    VERDICTS[name].body: outcome
    for name, outcome in (
        ("no_credit", "no_credit"),
        ("full", "full"),
        ("waiting_list_offered", "full"),
        ("same_hour", "conflict_same_hour"),
    )
}


def booked_if_possible(trace: Trace) -> Iterator[str]:
    """I13: a failed row was clearly refused, or no run after the faults could have booked it."""
    for row in trace.rows.values():
        if (
            row.status == "failed"
            and not trace.places(row.id)
            and not _was_refused(trace, row)
            and _was_possible(trace, row)
        ):
            yield f"{row.id} is {row.outcome}, and could have been booked"


def _was_refused(trace: Trace, row: RowState) -> bool:
    """Return whether a response of the venue about this row explains the row's outcome."""
    since = trace.since(row.id)
    about_row = ((sent, answer) for sent, answer in trace.sim.to_venues.answers if sent.row == str(row.id))
    answers = [answer for sent, answer in about_row if sent.at >= since]
    if row.outcome == "session_expired":
        return not trace.sim.system.can_log_in(
            trace.sim.connection, trace.prebooking(row.id).venue, trace.prebooking(row.id).member
        )
    if row.outcome == "rejected":
        blocked = sum(isinstance(answer, TwinReply) and answer.status in _BLOCKING for answer in answers)
        return blocked >= _BLOCKED_CALLS or (trace.sim.kind.is_box and len(answers) >= _UNCLEAR_CALLS)
    return any(isinstance(answer, TwinReply) and _refusal(answer) == row.outcome for answer in answers)


def _refusal(answer: TwinReply) -> str | None:
    """Return the outcome of a clear refusal, None for any other response."""
    if answer.body in _BOX:
        return _BOX[answer.body]
    try:
        body = json.loads(answer.body)
    except ValueError:
        return None
    state = body.get("state") if isinstance(body, dict) else None
    return str(state) if state in {"full", "no_credit"} else None


def _was_possible(trace: Trace, row: RowState) -> bool:
    """Return whether the class has a free place, and there was time to book it after the faults."""
    has_place = trace.sim.twin.next_place(trace.prebooking(row.id).class_id) is not State.FULL
    return has_place and trace.due_by(row.id, _IN_TIME) + _CLOCKS < trace.prebooking(row.id).expires_at
