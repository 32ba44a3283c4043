"""Could a row that ended without a place have been booked? The venue's answers and its places decide."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

from prebooking.local.venue.twin import State, TwinReply
from prebooking.local.venue.verdicts import VERDICTS
from tests.verification.trace import RowState, Trace

_IN_TIME = 115.0  # seconds: as long as an end may take (I2), or it was no chance
_UNCLEAR_CALLS = 4  # unclear answers after which a box is called no more
_BLOCKED_CALLS = 3  # blocked calls of a row after which it is called no more
_BLOCKING = {401, 402, 403, 404, 405, 407, 421, 426, 429, 431}
_CLOCKS = timedelta(seconds=10)  # more than what the clocks of the venue and of the database are apart
_BOX = {
    VERDICTS[name].body: outcome
    for name, outcome in (
        ("no_credit", "no_credit"),
        ("full", "full"),
        ("waiting_list_offered", "full"),
    )
}


def booked_if_possible(case: Trace) -> Iterator[str]:
    """I11: a row without a place was clearly refused, or no run after the faults could have booked it."""
    for row in case.rows.values():
        if (
            row.status == "failed"
            and not case.places(row.id)
            and not _was_refused(case, row)
            and _had_a_chance(case, row)
        ):
            yield f"{row.id} is {row.outcome}, and could have been booked"


def _was_refused(case: Trace, row: RowState) -> bool:
    """Return whether what the venue answered about this row is what the row says."""
    since = case.since(row.id)
    about_row = ((sent, answer) for sent, answer in case.sim.venue_wire.answers if sent.row == str(row.id))
    answers = [answer for sent, answer in about_row if sent.at >= since]
    if row.outcome == "session_expired":
        return not case.sim.system.can_log_in(
            case.sim.connection, case.prebooking(row.id).venue, case.prebooking(row.id).member
        )
    if row.outcome == "rejected":
        blocked = sum(isinstance(answer, TwinReply) and answer.status in _BLOCKING for answer in answers)
        return blocked >= _BLOCKED_CALLS or (case.sim.kind.is_box and len(answers) >= _UNCLEAR_CALLS)
    return any(isinstance(answer, TwinReply) and _refusal(answer) == row.outcome for answer in answers)


def _refusal(answer: TwinReply) -> str | None:
    """Return the outcome of a clear refusal."""
    if answer.body in _BOX:
        return _BOX[answer.body]
    try:
        said = json.loads(answer.body)
    except ValueError:
        return None
    state = said.get("state") if isinstance(said, dict) else None
    return str(state) if state in {"full", "no_credit"} else None


def _had_a_chance(case: Trace, row: RowState) -> bool:
    """Return whether there was a place, and time for it after the faults."""
    has_place = case.sim.twin.next_place(case.prebooking(row.id).class_id) is not State.FULL
    return has_place and case.due_by(row.id, _IN_TIME) + _CLOCKS < case.prebooking(row.id).expires_at
