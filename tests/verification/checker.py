"""The invariants, asked of a world after its story: of the venue's ledger and the database, not of what anybody says.

I9 (no secret anywhere) is asked by another part, of everything that is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from uuid import UUID

from prebooking.local.venue.twin import State
from tests.verification.bookable import booked_if_possible
from tests.verification.trace import RecordedClaim, Trace

STAGGER = 0.050 - 2e-6  # seconds; two instants, each rounded to microseconds
BOUND = 105.0  # seconds: lease 30 + tick 60 + run 10 + 5

Question = Callable[[Trace], Iterator[str]]


def booked_once(case: Trace) -> Iterator[str]:
    """I1: at most one booking exists for one prebooking."""
    for row in case.rows:
        if (places := len(case.places(row))) > 1:
            yield f"{row} has {places} places"


def booked_as_the_row_says(case: Trace) -> Iterator[str]:
    """I12: a call asks for the class and member that its row has when it leaves, and so does the row at the end.

    An app that edits a row makes another prebooking of it: what it was before is not booked.
    """
    for _, row_id, sent in case.posts:
        prebooking = case.prebooking_at(row_id, sent.at)
        if (sent.member, sent.class_id) != (prebooking.member, prebooking.class_id):
            yield f"{row_id}: {sent.class_id} for {sent.member}, not {prebooking.class_id} for {prebooking.member}"
    for row in case.rows.values():
        now = (row.user_email, row.class_id)
        if now != (case.prebooking(row.id).member, case.prebooking(row.id).class_id):
            yield f"{row.id} is {row.class_id} for {row.user_email} at the end, which nobody has written"
        for _, old in case.sim.versions[row.id]:
            before = (old.member, old.class_id)
            if before != now and before not in case.sim.booked_by_hand and case.places_of(old):
                yield f"{row.id} was {old.class_id} for {old.member} before it was edited, and that is booked"


def ends_in_time(case: Trace) -> Iterator[str]:
    """I2: once faults stop, every due row is terminal within the bound, outside pauses; at the latest at its expiry."""
    for row in case.rows.values():
        by = case.due_by(row.id, BOUND + case.sim.longest_lease - 30)
        if row.settled_at is None and by < case.ended_at:
            yield f"{row.id} is pending, and should have had its end by {by:%H:%M:%S}"
        if row.settled_at is not None and row.settled_at > by:
            yield f"{row.id} ended at {row.settled_at:%H:%M:%S}, and should have by {by:%H:%M:%S}"


def completed_is_booked(case: Trace) -> Iterator[str]:
    """I3: completed means that the ledger has it, of the same kind and number."""
    for row in case.rows.values():
        places = case.places(row.id)
        if row.status != "completed":
            continue
        if not places:
            yield f"{row.id} is completed, and has no place"
        elif (places[0].state is State.WAITLISTED) != (row.outcome == "waitlisted"):
            yield f"{row.id} is {row.outcome}, and {places[0].state} at the venue"
        elif row.booking_id not in {None, *(place.booking_id for place in places)}:
            yield f"{row.id} has a number that is not the venue's"


def failed_is_not_booked(case: Trace) -> Iterator[str]:
    """I4: failed means that the ledger does not have it, but for unknown; neither does it have what was cancelled."""
    for row in case.rows.values():
        if (row.user_email, row.class_id) in case.sim.booked_by_hand:
            continue
        if row.status in {"failed", "cancelled"} and row.outcome != "unknown" and case.places(row.id):
            yield f"{row.id} is {row.status} ({row.outcome}), and has a place"
        if row.outcome == "unknown" and (row.settled_at or case.ended_at) < case.prebooking(row.id).expires_at:
            yield f"{row.id} is unknown before its expiry"


def held_once(case: Trace) -> Iterator[str]:
    """I5: no row in two live claims, no opening fired at by two invocations at once."""
    for claim in case.claims:
        for row in claim.took & claim.held.keys():
            yield f"{row} was taken out of a live claim at {claim.at:%H:%M:%S.%f}"
        turns = {case.opening(row): row for row in claim.turns.keys() - case.sim.moved}
        for row in claim.took - case.sim.moved:
            if case.opening(row) in turns:
                holder = turns[case.opening(row)]
                yield f"{row} was taken at {claim.at:%H:%M:%S.%f}, during the turn of {holder}'s holder"
    yield from _interleaved(case)


def _interleaved(case: Trace) -> Iterator[str]:
    """An invocation may come back to an opening, but only for rows that it has claimed after the other's last call."""
    claimed = {(claim.by, row): claim.seconds for claim in case.claims for row in claim.took}
    done: dict[object, set[UUID]] = {}
    last: dict[object, tuple[UUID, float]] = {}
    changed: dict[object, float] = {}  # when the last call of another invocation had left
    for by, row, sent in case.first_calls:
        opening = case.opening(row)
        if opening in case.cut_openings:
            continue
        other, left = last.get(opening, (by, sent.at))
        if other != by:
            done.setdefault(opening, set()).add(other)
            changed[opening] = left
        if by in done.get(opening, ()) and claimed[by, row] <= changed[opening]:
            yield f"{row} was sent at {sent.at:.3f} by an invocation after another had begun with the opening"
        last[opening] = (by, sent.at)


def in_order(case: Trace) -> Iterator[str]:
    """I6: first calls leave in order; but for who was held back, in a dead holder's lease, new, or logged out.

    Between invocations it is the turn that keeps the order. Where a step of the clock has ended one, nobody can.
    """
    claims = {(claim.by, row): claim for claim in case.claims for row in claim.took}
    firsts: dict[UUID, tuple[UUID, float]] = {}
    for by, row, sent in case.posts:
        if case.opening(row) not in case.cut_openings:
            firsts.setdefault(row, (by, sent.at))
    for row, (by, at) in firsts.items():
        for other, (_, other_at) in firsts.items():
            overtaken = case.prebooking(other).order < case.prebooking(row).order and at < other_at
            if overtaken and case.opening(other) == case.opening(row) and not _excused(case, other, claims[by, row]):
                yield f"{row} was sent at {at:.3f}, before {other} at {other_at:.3f}"
    yield from _in_line(case, claims)


def _excused(case: Trace, row: UUID, claim: RecordedClaim) -> bool:
    """Say whether a claim of others could not have taken this row too, to stand in line before them."""
    is_new = case.prebooking(row).made > claim.seconds
    return row in claim.held or row in claim.held_back or is_new or case.must_log_in(row, claim.seconds)


def _in_line(case: Trace, claims: dict[tuple[UUID, UUID], RecordedClaim]) -> Iterator[str]:
    """Within an invocation the order holds for a venue's whole line."""
    lines: dict[tuple[UUID, UUID], list[UUID]] = {}
    for by, row, _ in case.first_calls:
        lines.setdefault((by, case.prebooking(row).venue), []).append(row)
    for (by, _), line in lines.items():
        for before, after in pairwise(line):
            claim, other = claims[by, after], claims[by, before]
            overtaken = claim is other and case.prebooking(after).order < case.prebooking(before).order
            if overtaken and not _excused(case, after, claim):
                yield f"{before} was sent before {after} by the same invocation"


def apart(case: Trace) -> Iterator[str]:
    """I6: first calls leave at least a stagger apart: per opening always, per venue within an invocation."""
    last: dict[object, float] = {}
    for by, row, sent in case.first_calls:
        lines: list[object] = [(by, case.prebooking(row).venue)]
        for line in lines if case.opening(row) in case.cut_openings else [*lines, case.opening(row)]:
            if sent.at - last.get(line, -1.0) < STAGGER:
                yield f"{row} was sent {1000 * (sent.at - last[line]):.1f} ms after another"
            last[line] = sent.at


def terminal_stays(case: Trace) -> Iterator[str]:
    """I7: a terminal row never changes."""
    return (f"{change.id} changed after it was {change.was}" for change in case.history if change.was != "pending")


def says_how(case: Trace) -> Iterator[str]:
    """I8: every end has an outcome, in the row and in the summary."""
    for row in case.rows.values():
        if row.status in {"completed", "failed"} and row.outcome is None:
            yield f"{row.id} has no outcome"
        if row.status == "failed" and not row.error_message:
            yield f"{row.id} has no sentence for its member"
    for by, run in case.sim.runs.items():
        if run.summary is not None:
            ends = Counter(row.outcome for row in case.rows.values() if row.settled_by == by)
            said = Counter({kind: run.summary.outcomes.get(str(kind), 0) for kind in ends})
            details = run.summary.details  # what it has found out, but another has ended, or nobody could write down
            not_ended = details["lost"] + (0 if run.summary.success else details["released"])
            if (run.summary.success and ends - said) or (said - ends).total() > not_ended:
                yield f"{run.instance.name} ended {dict(ends)} and said {run.summary.outcomes}"
    yield from _expired(case)


def _expired(case: Trace) -> Iterator[str]:
    query = "select coalesce(sum(expired), 0), coalesce(sum(unknown), 0) from public.prebooking_runs"
    noted = case.sim.connection.execute(query).fetchone()
    outcomes = Counter(row.outcome for row in case.rows.values())
    if noted != (outcomes["expired"], outcomes["unknown"]):
        yield f"the runs have noted {noted} as expired and unknown, the rows say {outcomes}"


def sent_in_time(case: Trace) -> Iterator[str]:
    """I10: nothing is sent before the opening or after the expiry, on the database's clock, nor what was cancelled.

    If the clock is set, it counts as the invocation could know it: see ``Trace.known_clock``.
    """
    for _, row, sent in case.posts:
        prebooking, (earliest, latest) = case.prebooking_at(row, sent.at), case.known_clock(sent)
        if not prebooking.available_at <= latest or not earliest < prebooking.expires_at:
            yield f"{row} was sent at {case.left_at(sent):%H:%M:%S.%f}, outside its time"
        if sent.at > case.sim.cancelled.get(row, sent.at):
            yield f"{row} was sent at {sent.at:.3f}, after it had been cancelled"


def nothing_unexpected(case: Trace) -> Iterator[str]:
    """Whatever went wrong, the code had foreseen it."""
    yield from case.sim.unexpected


INVARIANTS: dict[str, tuple[Question, Callable[[Trace], int]]] = {
    "I1 at most one booking for a prebooking": (booked_once, lambda case: len(case.rows)),
    "I2 an end in time": (ends_in_time, lambda case: len(case.rows)),
    "I3 completed: the venue has it": (completed_is_booked, lambda case: len(case.rows)),
    "I4 failed: the venue does not have it": (failed_is_not_booked, lambda case: len(case.rows)),
    "I5 one holder of a row, one invocation at an opening": (held_once, lambda case: len(case.claims)),
    "I6 first come, first served": (in_order, lambda case: len(case.first_calls)),
    "I6 a stagger apart": (apart, lambda case: len(case.first_calls)),
    "I7 a terminal row never changes": (terminal_stays, lambda case: len(case.history)),
    "I8 every end says how": (says_how, lambda case: len(case.sim.runs)),
    "I10 nothing before the opening or after the expiry": (sent_in_time, lambda case: len(case.posts)),
    "I11 booked, if it was possible": (booked_if_possible, lambda case: len(case.rows)),
    "I12 booked as the row says": (booked_as_the_row_says, lambda case: len(case.posts)),
    "nothing that nobody foresaw": (nothing_unexpected, lambda case: len(case.sim.runs)),
}


def check(case: Trace) -> dict[str, list[str]]:
    """Return what each invariant says against a world."""
    return {name: list(question(case)) for name, (question, _) in INVARIANTS.items()}
