"""Checks of refusals, of giving back, and of the classes that were named for one answer; and the clean-up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from prebooking.bookers.places import CancelAnswer
from prebooking.cli.conformance import rules
from prebooking.cli.conformance.bookings import AT_ONCE, BookingChecks
from prebooking.cli.conformance.client import PLACED, EndpointClient, unknown
from prebooking.cli.conformance.rules import EndpointRule
from prebooking.cli.conformance.transport import NO_CLASS, WRONG_BEARERS
from prebooking.cli.conformance.verdicts import Verdicts
from prebooking.model import FAILED, Kind, Prebooking

_ANSWERS = {
    rules.FULL: (Kind.FULL, Kind.WAITLISTED),
    rules.WAITLISTED: (Kind.WAITLISTED,),
    rules.TOO_EARLY: (Kind.TOO_EARLY,),
}


async def check_refusal(endpoint: EndpointClient, verdicts: Verdicts) -> None:
    """Call for a class that does not exist, and ask about it."""
    row = endpoint.row(NO_CLASS)
    answer = await endpoint.book(row)
    kind, state = answer.booking.kind, (await endpoint.ask(row)).state
    if kind in FAILED - {Kind.TOO_EARLY}:
        verdicts.holds(rules.REFUSED, answer.describe(kind))
    else:
        verdicts.fails(rules.REFUSED, f"{answer.describe(kind)}; asked about it, the endpoint answers {state}")
    if state is Kind.NOT_BOOKED:
        verdicts.holds(rules.QUESTION_REFUSED, "not_booked")
    elif verdicts.failed(rules.REFUSED) or not verdicts.held(rules.QUESTION_UNKNOWN):
        verdicts.skips((rules.QUESTION_REFUSED,), "another check has found the cause")
    else:
        verdicts.fails(rules.QUESTION_REFUSED, state)


async def check_giving_back(checks: BookingChecks) -> None:
    """Give bookings back: one twice, one that never was, and those of repeated calls."""
    endpoint, verdicts = checks.endpoint, checks.verdicts
    if not checks.once:
        verdicts.skips(rules.BACK, "there is no booking whose state is clear")
        return
    row = checks.once[0]
    await _give_back_unauthorised(checks, row)
    answer = await endpoint.give_back(row)
    if answer.deletion is CancelAnswer.UNABLE:
        verdicts.skips(rules.BACK, f"HTTP {answer.status}: it cannot give places back", optional=True)
        return
    state = (await endpoint.ask(row)).state
    if answer.deletion is not CancelAnswer.DONE:
        verdicts.fails(rules.GIVING_BACK, answer.describe(answer.deletion.name.lower()))
    elif checks.truthful and state is not Kind.NOT_BOOKED:
        verdicts.fails(rules.GIVING_BACK, f"answered as done, and the question then says {state}")
    else:
        verdicts.holds(rules.GIVING_BACK, answer.describe("done"))
        await _check_after(checks, row)
    verdicts.skips(rules.BACK, "giving back does not work")


async def _give_back_unauthorised(checks: BookingChecks, row: Prebooking) -> None:
    """Send a DELETE of a booking with each wrong bearer."""
    for name, bearer in WRONG_BEARERS.items():
        if (await checks.endpoint.give_back(row, bearer=bearer)).deletion is CancelAnswer.DONE:
            checks.verdicts.fails(rules.BEARER, f"accepted: a DELETE with {name}, of a booking")
            return


async def _check_after(checks: BookingChecks, row: Prebooking) -> None:
    """Make the checks that need a place that was given back."""
    endpoint, verdicts = checks.endpoint, checks.verdicts
    for rule, other in ((rules.GIVING_BACK_AGAIN, row), (rules.GIVING_BACK_UNKNOWN, unknown(row))):
        answer = await endpoint.give_back(other)
        record = verdicts.holds if answer.deletion is CancelAnswer.DONE else verdicts.fails
        record(rule, answer.describe(answer.deletion.name.lower()))
    if checks.clear:
        answer = await endpoint.book(endpoint.row(checks.class_id, member=row.user_email))
        record = verdicts.holds if answer.booking.kind in PLACED else verdicts.fails
        record(rules.AFTER_GIVING_BACK, answer.describe(answer.booking.kind))
    if checks.truthful:
        await _give_back_repeated(checks)
        await _call_again(checks)
    verdicts.skips((rules.CALL_AFTER_GIVING_BACK,), "it needs the question, and one booking per key and member")


async def _call_again(checks: BookingChecks) -> None:
    """Repeat the call of a place that was given back, as a delayed call would arrive."""
    endpoint, verdicts = checks.endpoint, checks.verdicts
    row = checks.repeated.get(rules.SAME_KEY_AGAIN)
    needed = (rules.SAME_KEY_AGAIN, rules.SAME_CLASS_AGAIN, rules.GIVING_BACK)
    if row is None or any(verdicts.failed(rule) for rule in needed):
        return
    answer = await endpoint.book(row)
    if (state := (await endpoint.ask(row)).state) in PLACED:
        verdicts.fails(rules.CALL_AFTER_GIVING_BACK, f"{answer.describe(answer.booking.kind)}; asked: {state}")
    else:
        verdicts.holds(rules.CALL_AFTER_GIVING_BACK, answer.describe(answer.booking.kind))


async def _give_back_repeated(checks: BookingChecks) -> None:
    """Give back the bookings of repeated calls: one DELETE is enough if there is one booking."""
    endpoint, verdicts = checks.endpoint, checks.verdicts
    for rule, row in checks.repeated.items():
        await endpoint.give_back(row)
        if (state := (await endpoint.ask(row)).state) not in PLACED:
            continue
        if await _is_given_back(endpoint, row, truthful=True):
            verdicts.fails(rule, "given back once, it is still booked")
        else:
            verdicts.fails(rules.GIVING_BACK, f"answered as done, and the question then says {state}")


async def check_named_classes(endpoint: EndpointClient, verdicts: Verdicts, classes: Mapping[str, str]) -> None:
    """Call for the classes that were named for one answer. ``classes``: by their option."""
    for rule, expected in _ANSWERS.items():
        if class_id := classes.get(rule.option):
            verdicts.require(rule)
            await _check_answer(endpoint, verdicts, rule, endpoint.row(class_id), expected)
    if class_id := classes.get(rules.LAST_PLACE.option):
        verdicts.require(rules.LAST_PLACE)
        await _check_last_place(endpoint, verdicts, class_id)


async def _check_answer(
    endpoint: EndpointClient, verdicts: Verdicts, rule: EndpointRule, row: Prebooking, expected: tuple[Kind, ...]
) -> None:
    answer = await endpoint.book(row)
    kind = answer.booking.kind
    if rule is rules.FULL and kind in (Kind.UNSURE, Kind.BLOCKED) and verdicts.failed(rules.REFUSED):
        verdicts.skips((rule,), f"{answer.describe(kind)}, as for other refusals")
    elif kind not in expected:
        verdicts.fails(rule, answer.describe(kind))
    elif rule is rules.WAITLISTED and verdicts.held(rules.QUESTION_BOOKED):
        state = (await endpoint.ask(row)).state
        record = verdicts.holds if state is Kind.WAITLISTED else verdicts.fails
        record(rule, f"{answer.describe(kind)}; asked: {state}")
    else:
        verdicts.holds(rule, answer.describe(kind))


async def _check_last_place(endpoint: EndpointClient, verdicts: Verdicts, class_id: str) -> None:
    """Let two members call at once, and the one who got the place once more."""
    rows = [endpoint.row(class_id), endpoint.row(class_id)]
    kinds = [answer.booking.kind for answer in await asyncio.gather(*(endpoint.book(row) for row in rows))]
    seen = f"{kinds[0]} and {kinds[1]}"
    if Kind.UNSURE in kinds and (verdicts.failed(rules.BOOKING) or verdicts.failed(rules.READABLE)):
        verdicts.skips((rules.LAST_PLACE,), f"{seen}: the answer to a call is not clear")
    elif kinds.count(Kind.BOOKED) == 0 and Kind.UNSURE not in kinds:
        verdicts.skips((rules.LAST_PLACE,), f"{seen}: name a class with one free place")
    elif kinds.count(Kind.BOOKED) != 1:
        verdicts.fails(rules.LAST_PLACE, seen)
    else:
        again = (await endpoint.book(rows[kinds.index(Kind.BOOKED)])).booking.kind
        record = verdicts.holds if again in PLACED | {Kind.ALREADY_BOOKED} else verdicts.fails
        record(rules.LAST_PLACE, f"{seen}; called again: {again}")


async def clean_up(endpoint: EndpointClient, verdicts: Verdicts) -> list[Prebooking]:
    """Give back all that may be booked. Return what may still be booked."""
    truthful = verdicts.held(rules.QUESTION_UNKNOWN) and not verdicts.failed(rules.QUESTION_BOOKED)
    return [row for row in endpoint.maybe_booked if not await _is_given_back(endpoint, row, truthful=truthful)]


async def _is_given_back(endpoint: EndpointClient, row: Prebooking, *, truthful: bool) -> bool:
    """Give a place back, several times if it was booked twice. Return whether it is gone.

    ``truthful``: the question is answered correctly, so that it decides.
    """
    for _ in range(AT_ONCE):
        answer = (await endpoint.give_back(row)).deletion
        if (await endpoint.ask(row)).state is Kind.NOT_BOOKED if truthful else answer is CancelAnswer.DONE:
            return True
        if answer is not CancelAnswer.DONE:
            break
    return False
