"""Two tables: the evidence that each final outcome needs, and the verdicts stored for rows that are not settled.

Only the venue's answer about this member is final. After a failure on our side the row is released.
"""

from __future__ import annotations

from enum import StrEnum

from prebooking.model import COMPLETED, NAMED_REFUSALS, Attempt, Kind, RowNote, RowResult, Verdict


class Evidence(StrEnum):
    """The evidence for a final outcome."""

    ANSWER = "the venue's clear answer to a call, while no earlier call is in doubt"
    REPEATED_ANSWER = "the same clear answer to every call for 15 minutes"
    QUERY = "the venue's answer to a query: the member has the place"
    QUERY_AFTER_LEASE = "the venue's answer to a query after the leases of all calls: the member has no place"
    LOGIN = "the venue refuses the member's login, and no call is in doubt"
    ROW = "the row cannot be turned into a request, and was never sent"
    EXPIRY = "the class has begun: only the database writes this"


_PROVES: dict[Evidence, frozenset[Kind]] = {
    Evidence.ANSWER: NAMED_REFUSALS | {Kind.BOOKED, Kind.ALREADY_BOOKED, Kind.WAITLISTED, Kind.REJECTED},
    Evidence.REPEATED_ANSWER: frozenset({Kind.TOO_EARLY}),
    Evidence.QUERY: frozenset({Kind.BOOKED, Kind.ALREADY_BOOKED, Kind.WAITLISTED, Kind.RECONCILED}),
    Evidence.QUERY_AFTER_LEASE: frozenset({Kind.FULL, Kind.CONFLICT_SAME_HOUR, Kind.CLASS_GONE, Kind.REJECTED}),
    Evidence.LOGIN: frozenset({Kind.SESSION_EXPIRED}),
    Evidence.ROW: frozenset({Kind.BAD_DATA}),
    Evidence.EXPIRY: frozenset({Kind.EXPIRED, Kind.UNKNOWN}),
}


def proves(evidence: Evidence, outcome: Kind) -> bool:
    """Return whether a row with this evidence may be settled with this outcome."""
    return outcome in _PROVES[evidence]


# The verdict that finish_run stores for an unsettled row, by its outcome: after a call, and without a call.
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


def has_unclear_call(result: RowResult) -> bool:
    """Return whether this run made a call whose result is unclear or could not be written."""
    kind = result.outcome.kind if result.outcome else Kind.UNSURE
    return result.settled is None and result.calls > 0 and kind not in _AFTER_A_CALL


def status_of(result: RowResult) -> str:
    """Return the row's status: completed, failed, released, unsure, or lost if another run holds it."""
    if result.settled is False:
        return "lost"
    kind = result.outcome.kind if result.outcome else None
    if result.settled:
        return "completed" if kind in COMPLETED else "failed"
    stays_leased = has_unclear_call(result) or (result.calls and kind in (Kind.BLOCKED, Kind.BLOCKED_ALONE))
    return "unsure" if stays_leased else "released"


def verdict_after_call(kind: Kind) -> Verdict:
    """Return the verdict for an unsettled row after a call with this outcome. It is "unsure" unless listed."""
    return _AFTER_A_CALL.get(kind, Verdict.UNSURE)


def note_for(result: RowResult) -> RowNote | None:
    """Return what finish_run stores for an unsettled row, or None if the row is released unchanged."""
    kind = result.outcome.kind if result.outcome else Kind.UNSURE
    verdict = verdict_after_call(kind) if result.calls else _WITHOUT_A_CALL.get(kind)
    if verdict is None or not isinstance(result, Attempt):
        return None
    if_not_booked = result.outcome.if_not_booked if result.outcome and verdict is Verdict.UNSURE else None
    return RowNote(
        id=result.id,
        attempts=result.row.attempts + result.calls,
        fired_at=result.fired_at,
        verdict=verdict,
        unclear=result.row.unclear + result.unclear,
        if_not_booked=if_not_booked,
    )
