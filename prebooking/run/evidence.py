"""Two tables: which final outcome may be written on what evidence, and what is noted about the other rows.

Only an answer of the venue about this member is final. After a failure of ours the row is released.
"""

from __future__ import annotations

from enum import StrEnum

from prebooking.model import COMPLETED, NAMED_REFUSALS, Attempt, Kind, RowResult, Sent, Verdict


class Evidence(StrEnum):
    """The evidence for a final outcome."""

    ANSWER = "the venue's clear answer to a call, while no earlier call is in doubt"
    ANSWERS_FOR_LONG = "the same clear answer to every call for a quarter of an hour"
    QUESTION = "the venue says, when asked, that the member has the place"
    QUESTION_AFTER_LEASE = "the venue says, when asked after the lease of every call, that the member has no place"
    LOGIN = "the venue refuses the member's login, and nothing is in doubt"
    ROW = "the row cannot be turned into a request, and was never sent"
    EXPIRY = "the class has begun: written by the database alone"


_PROVES: dict[Evidence, frozenset[Kind]] = {
    Evidence.ANSWER: NAMED_REFUSALS | {Kind.BOOKED, Kind.ALREADY_BOOKED, Kind.WAITLISTED, Kind.REJECTED},
    Evidence.ANSWERS_FOR_LONG: frozenset({Kind.TOO_EARLY}),
    Evidence.QUESTION: frozenset({Kind.BOOKED, Kind.ALREADY_BOOKED, Kind.WAITLISTED, Kind.RECONCILED}),
    Evidence.QUESTION_AFTER_LEASE: frozenset({Kind.FULL, Kind.CONFLICT_SAME_HOUR, Kind.CLASS_GONE, Kind.REJECTED}),
    Evidence.LOGIN: frozenset({Kind.SESSION_EXPIRED}),
    Evidence.ROW: frozenset({Kind.BAD_DATA}),
    Evidence.EXPIRY: frozenset({Kind.EXPIRED, Kind.UNKNOWN}),
}


def proves(evidence: Evidence, outcome: Kind) -> bool:
    """Return whether the evidence is enough to end a row with this outcome."""
    return outcome in _PROVES[evidence]


# What the end of a run notes about a row that was not settled: after a call, and without one.
_AFTER_A_CALL = {
    Kind.TOO_EARLY: Verdict.TOO_EARLY,
    Kind.LOGGED_OUT: Verdict.LOGGED_OUT,
    Kind.BLOCKED: Verdict.BLOCKED,
    Kind.BLOCKED_ALONE: Verdict.BLOCKED_ALONE,
}
_WITHOUT_A_CALL = {
    Kind.CANNOT_TELL: Verdict.CANNOT_TELL,
    Kind.MISSING: Verdict.MISSING,
    Kind.NOT_BOOKED: Verdict.NOT_BOOKED,
    Kind.NOT_READY: Verdict.NOT_READY,
}


def is_in_doubt(result: RowResult) -> bool:
    """Return whether a call was made and its outcome is unclear or not written."""
    kind = result.outcome.kind if result.outcome else Kind.UNSURE
    return result.settled is None and result.calls > 0 and kind not in _AFTER_A_CALL


def status_of(result: RowResult) -> str:
    """Return the row's status: completed, failed, released, unsure, or lost if another run holds it."""
    if result.settled is False:
        return "lost"
    kind = result.outcome.kind if result.outcome else None
    if result.settled:
        return "completed" if kind in COMPLETED else "failed"
    stays_leased = is_in_doubt(result) or (result.calls and kind in (Kind.BLOCKED, Kind.BLOCKED_ALONE))
    return "unsure" if stays_leased else "released"


def verdict_after_call(kind: Kind) -> Verdict:
    """Return the note about a row with a call of this outcome. Without a clear answer the row stays unsure."""
    return _AFTER_A_CALL.get(kind, Verdict.UNSURE)


def sent(result: RowResult) -> Sent | None:
    """Return what the end of the run notes about an unsettled row. Return None if the row is released unchanged."""
    kind = result.outcome.kind if result.outcome else Kind.UNSURE
    verdict = verdict_after_call(kind) if result.calls else _WITHOUT_A_CALL.get(kind)
    if verdict is None or not isinstance(result, Attempt):
        return None
    if_not_booked = result.outcome.if_not_booked if result.outcome and verdict is Verdict.UNSURE else None
    return Sent(
        id=result.id,
        attempts=result.row.attempts + result.calls,
        fired_at=result.fired_at,
        verdict=verdict,
        unclear=result.row.unclear + result.unclear,
        if_not_booked=if_not_booked,
    )
