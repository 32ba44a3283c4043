"""The invariants of a simulation, checked on the trace that it leaves.

What needs only the ledger and the rows is asked by the demo's checker. I9 (no secret anywhere) is checked by the parts
that run real processes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from uuid import UUID

from prebooking.local.demo import checker
from prebooking.local.demo.checker import SHORTEST_GAP
from tests.verification.bookable import booked_if_possible
from tests.verification.trace import RecordedClaim, Trace

_ABOUT_THE_CLASS = {"full", "class_gone", "too_late", "conflict_same_hour"}  # outcomes that promote the next choice
BOUND = 105.0  # seconds: lease 30 + tick 60 + run 10 + 5

Question = Callable[[Trace], Iterator[str]]


def booked_as_the_row_says(trace: Trace) -> Iterator[str]:
    """I14: a call contains the class and the member that its row has when the call is sent, and the row keeps them.

    A class and a member that an app has replaced by others are not booked.
    """
    for _, row_id, sent in trace.posts:
        prebooking = trace.prebooking_at(row_id, sent.at)
        if (sent.member, sent.class_id) != (prebooking.member, prebooking.class_id):
            yield f"{row_id}: {sent.class_id} for {sent.member}, not {prebooking.class_id} for {prebooking.member}"
    for row in trace.rows.values():
        now = (row.user_email, row.class_id)
        if now != (trace.prebooking(row.id).member, trace.prebooking(row.id).class_id):
            yield f"{row.id} is {row.class_id} for {row.user_email} at the end, which no edit has written"
        for _, old in trace.sim.versions[row.id]:
            before = (old.member, old.class_id)
            if before != now and before not in trace.sim.booked_by_hand and trace.places_of(old):
                yield f"{row.id} was {old.class_id} for {old.member} before it was edited, and that is booked"


def ends_in_time(trace: Trace) -> Iterator[str]:
    """I2: a due row becomes terminal within the bound after the last fault, pauses not counted."""
    for row in trace.rows.values():
        by = trace.due_by(row.id, BOUND + trace.sim.longest_lease - 30)
        if row.settled_at is None and by < trace.ended_at:
            yield f"{row.id} is pending, and should be terminal by {by:%H:%M:%S}"
        if row.settled_at is not None and row.settled_at > by:
            yield f"{row.id} became terminal at {row.settled_at:%H:%M:%S}, and should by {by:%H:%M:%S}"


def unknown_is_expired(trace: Trace) -> Iterator[str]:
    """I4: a row is unknown only after its expiry."""
    for row in trace.rows.values():
        if row.outcome == "unknown" and (row.settled_at or trace.ended_at) < trace.prebooking(row.id).expires_at:
            yield f"{row.id} is unknown before its expiry"


def held_once(trace: Trace) -> Iterator[str]:
    """I5: no row is in two live claims, and no two invocations have their turn at one opening."""
    for claim in trace.claims:
        for row in claim.took & claim.held.keys():
            yield f"{row} was taken out of a live claim at {claim.at:%H:%M:%S.%f}"
        turns = {trace.opening(row): row for row in claim.turns.keys() - trace.sim.moved}
        for row in claim.took - trace.sim.moved:
            if trace.opening(row) in turns:
                holder = turns[trace.opening(row)]
                yield f"{row} was taken at {claim.at:%H:%M:%S.%f}, during the turn of {holder}'s holder"
    yield from _interleaved(trace)


def _interleaved(trace: Trace) -> Iterator[str]:
    """After another invocation's call, an invocation calls only for rows that it has claimed after that call."""
    claimed = {(claim.by, row): claim.seconds for claim in trace.claims for row in claim.took}
    done: dict[object, set[UUID]] = {}
    last: dict[object, tuple[UUID, float]] = {}
    changed: dict[object, float] = {}  # when another invocation sent its last call
    for by, row, sent in trace.first_calls:
        opening = trace.opening(row)
        if opening in trace.cut_openings:
            continue
        other, left = last.get(opening, (by, sent.at))
        if other != by:
            done.setdefault(opening, set()).add(other)
            changed[opening] = left
        if by in done.get(opening, ()) and claimed[by, row] <= changed[opening]:
            yield f"{row} was sent at {sent.at:.3f} by an invocation after another had begun with the opening"
        last[opening] = (by, sent.at)


def in_order(trace: Trace) -> Iterator[str]:
    """I6: first calls are sent in order, except for rows that their claim could not take or that need a login.

    Between invocations the turn keeps the order, so openings whose turn was ended by a step of the clock are left out.
    """
    claims = {(claim.by, row): claim for claim in trace.claims for row in claim.took}
    firsts: dict[UUID, tuple[UUID, float]] = {}
    for by, row, sent in trace.posts:
        if trace.opening(row) not in trace.cut_openings:
            firsts.setdefault(row, (by, sent.at))
    for row, (by, at) in firsts.items():
        for other, (_, other_at) in firsts.items():
            overtaken = trace.latest_order(trace.prebooking(other)) < trace.prebooking(row).order and at < other_at
            if overtaken and trace.opening(other) == trace.opening(row) and not _excused(trace, other, claims[by, row]):
                yield f"{row} was sent at {at:.3f}, before {other} at {other_at:.3f}"
    yield from _in_queue_order(trace, claims)


def _excused(trace: Trace, row: UUID, claim: RecordedClaim) -> bool:
    """Return whether the claim could not take this row, or had to put it behind others for a login."""
    is_new = trace.waits_from(row) > claim.seconds
    return row in claim.held or row in claim.held_back or is_new or trace.must_log_in(row, claim.seconds)


def _in_queue_order(trace: Trace, claims: dict[tuple[UUID, UUID], RecordedClaim]) -> Iterator[str]:
    """Within an invocation the order holds for a venue's whole queue."""
    queues: dict[tuple[UUID, UUID], list[UUID]] = {}
    for by, row, _ in trace.first_calls:
        queues.setdefault((by, trace.prebooking(row).venue), []).append(row)
    for (by, _), queue in queues.items():
        for before, after in pairwise(queue):
            claim = claims[by, after]
            if claim is not claims[by, before] or _excused(trace, after, claim):
                continue
            first, second = (trace.prebooking_at(row, claim.seconds) for row in (before, after))  # not as edited later
            if trace.latest_order(second) < first.order:
                yield f"{before} was sent before {after} by the same invocation"


def apart(trace: Trace) -> Iterator[str]:
    """I6: first calls are at least a stagger apart, per opening and per venue of an invocation."""
    last: dict[object, float] = {}
    for by, row, sent in trace.first_calls:
        queue = (by, trace.prebooking(row).venue)
        for group in [queue] if trace.opening(row) in trace.cut_openings else [queue, trace.opening(row)]:
            if sent.at - last.get(group, -1.0) < SHORTEST_GAP:
                yield f"{row} was sent {1000 * (sent.at - last[group]):.1f} ms after another"
            last[group] = sent.at


def terminal_stays(trace: Trace) -> Iterator[str]:
    """I7: a terminal row never changes, except that the giving back of its place is recorded, once."""
    for change in trace.history:
        if change.was != "pending" and not (change.was == change.status == "completed" and change.gave_back):
            yield f"{change.id} changed after it was {change.was}"


def has_an_outcome(trace: Trace) -> Iterator[str]:
    """I8: every terminal row has an outcome, and the summary of its run counts it."""
    for row in trace.rows.values():
        if row.status in {"completed", "failed"} and row.outcome is None:
            yield f"{row.id} has no outcome"
        if row.status == "failed" and not row.error_message:
            yield f"{row.id} has no error message for its member"
    for by, run in trace.sim.runs.items():
        if run.summary is not None:
            ends = Counter(row.outcome for row in trace.rows.values() if row.settled_by == by)
            counted = Counter({kind: run.summary.outcomes.get(str(kind), 0) for kind in ends})
            # Outcomes that the run knew, and that another run has settled or that could not be written. A run whose end
            # could not be written either reports its rows as unsure.
            details = run.summary.details
            not_written = 0 if run.summary.success else details["released"] + details["unsure"]
            not_settled = details["lost"] + not_written
            if (run.summary.success and ends - counted) or (counted - ends).total() > not_settled:
                yield f"{run.instance.name} has settled {dict(ends)} and reports {run.summary.outcomes}"
    yield from _expired(trace)


def _expired(trace: Trace) -> Iterator[str]:
    query = "select coalesce(sum(expired), 0), coalesce(sum(unknown), 0) from public.prebooking_runs"
    noted = trace.sim.connection.execute(query).fetchone()
    outcomes = Counter(row.outcome for row in trace.rows.values())
    if noted != (outcomes["expired"], outcomes["unknown"]):
        yield f"the runs count {noted} as expired and unknown, the rows have {outcomes}"


def sent_in_time(trace: Trace) -> Iterator[str]:
    """I10: no call is sent before the opening, after the expiry or after a cancellation, by the database's clock.

    If the clock is set, what the invocation could know of it counts: see ``Trace.known_clock``.
    """
    for _, row, sent in trace.posts:
        prebooking, (earliest, latest) = trace.prebooking_at(row, sent.at), trace.known_clock(sent)
        if not prebooking.available_at <= latest or not earliest < prebooking.expires_at:
            yield f"{row} was sent at {trace.left_at(sent):%H:%M:%S.%f}, outside its time"
        if sent.at > trace.sim.cancelled.get(row, sent.at):
            yield f"{row} was sent at {sent.at:.3f}, after it had been cancelled"


def later_choices_wait(trace: Trace) -> Iterator[str]:
    """I11: a later choice is called only after its promotion, and the end of the earlier one decides about it."""
    for _, row_id, sent in trace.posts:
        if trace.prebooking(row_id).after and sent.at < trace.promoted.get(row_id, sent.at + 1):
            yield f"{row_id} was called at {sent.at:.3f}, while it waited for an earlier choice"
    for row, earlier in trace.later:
        if earlier.id not in trace.ends or trace.ends.get(row.id, trace.ends[earlier.id]) < trace.ends[earlier.id]:
            continue
        refused = earlier.status == "failed" and earlier.outcome in _ABOUT_THE_CLASS
        promoted = row.id in trace.promoted
        # A class that is gone while its call is in doubt promotes nothing.
        as_it_ends = promoted == refused or (not promoted and earlier.outcome == "class_gone")
        # Both can expire in one statement.
        is_over = (row.status == "cancelled" and row.error_message) or row.outcome == "expired"
        if not as_it_ends or not (promoted or is_over):
            how = ", promoted" if promoted else ""
            yield f"{row.id} is {row.status}{how}, and the earlier choice is {earlier.status} ({earlier.outcome})"


def nothing_unexpected(trace: Trace) -> Iterator[str]:
    """The code has logged no exception that it does not expect."""
    yield from trace.sim.unexpected


def _rows(trace: Trace) -> int:
    return len(trace.rows)


def _of_both_sides(question: checker.Question) -> Question:
    return lambda trace: question(trace.both)


INVARIANTS: dict[str, tuple[Question, Callable[[Trace], int]]] = {
    "I1 at most one booking per prebooking": (_of_both_sides(checker.no_member_is_booked_twice), _rows),
    "I2 terminal in time": (ends_in_time, _rows),
    "I3 completed: the venue has it": (_of_both_sides(checker.completed_is_booked), _rows),
    "I3 given back: the venue does not have it": (_of_both_sides(checker.given_back_is_not_booked), _rows),
    "I4 failed: the venue does not have it": (_of_both_sides(checker.failed_is_not_booked), _rows),
    "I4 unknown: only after the expiry": (unknown_is_expired, _rows),
    "I5 one holder per row, one invocation per opening": (held_once, lambda trace: len(trace.claims)),
    "I6 first come, first served": (in_order, lambda trace: len(trace.first_calls)),
    "I6 a stagger apart": (apart, lambda trace: len(trace.first_calls)),
    "I7 a terminal row never changes": (terminal_stays, lambda trace: len(trace.history)),
    "I8 every terminal row has an outcome": (has_an_outcome, lambda trace: len(trace.sim.runs)),
    "I10 no call before the opening or after the expiry": (sent_in_time, lambda trace: len(trace.posts)),
    "I11 one place per request": (
        _of_both_sides(checker.at_most_one_choice_has_a_place),
        lambda trace: len(trace.later),
    ),
    "I11 a later choice waits for the earlier one": (later_choices_wait, lambda trace: len(trace.later)),
    "I13 booked, if it was possible": (booked_if_possible, _rows),
    "I14 booked as the row says": (booked_as_the_row_says, lambda trace: len(trace.posts)),
    "no unexpected exception": (nothing_unexpected, lambda trace: len(trace.sim.runs)),
}


def check(trace: Trace) -> dict[str, list[str]]:
    """Return the violations of each invariant."""
    return {name: list(question(trace)) for name, (question, _) in INVARIANTS.items()}
