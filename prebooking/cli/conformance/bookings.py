"""Checks of the call: one booking, repeated, at once, cut off, with unknown fields, and for the same class again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx

from prebooking.cli.conformance import rules
from prebooking.cli.conformance.client import PLACED, TIMED_OUT, EndpointAnswer, EndpointClient, unknown
from prebooking.cli.conformance.rules import EndpointRule
from prebooking.cli.conformance.verdicts import Verdicts
from prebooking.model import NAMED_REFUSALS, Kind, Prebooking
from prebooking.settings import LAST_START

AT_ONCE = 5  # calls
_KEPT = PLACED | {Kind.ALREADY_BOOKED}  # answers that leave the booking in place
_PAUSES = (0.0, 0.1, 0.2, 0.4, 0.8)  # seconds before each question about a call that was cut off
_UNCLEAR = "the answer to a call is not clear"


@dataclass(slots=True)
class BookingChecks:
    """The checks of one open class.

    Attributes:
        clear: the first call had a clear answer, so that the answers to further calls can be checked.
        truthful: the question was answered correctly so far, so that other checks may use it.
        once: bookings of which one call was made.
        repeated: per rule, a booking of which several calls were made.

    """

    endpoint: EndpointClient
    verdicts: Verdicts
    class_id: str
    clear: bool = False
    truthful: bool = False
    once: list[Prebooking] = field(default_factory=list)
    repeated: dict[EndpointRule, Prebooking] = field(default_factory=dict)

    async def run(self) -> None:
        """Make all checks."""
        row = self.endpoint.row(self.class_id)
        first = await self.endpoint.book(row)
        asked = await self.endpoint.ask(row)
        self._check_first(first, asked)
        self._check_question(first, asked)
        await self._ask_about_another(row)
        self.truthful = self.verdicts.held(rules.QUESTION_UNKNOWN) and self.verdicts.held(rules.QUESTION_BOOKED)
        if self.clear:
            await self._repeat(row, first)
            await self._at_once()
            await self._unknown_fields()
            await self._same_class_again(row)
        elif self.truthful and asked.state in PLACED:
            self.once.append(row)
        self.verdicts.skips(
            (rules.SAME_KEY_AGAIN, rules.SAME_KEY_AT_ONCE, rules.UNKNOWN_FIELDS, rules.SAME_CLASS_AGAIN), _UNCLEAR
        )
        await self._cut_off()
        self._check_times()

    def _check_first(self, answer: EndpointAnswer, asked: EndpointAnswer) -> None:
        kind = answer.booking.kind
        seen = answer.describe(kind)
        self.clear = kind in PLACED
        if self.clear:
            self.verdicts.holds(rules.BOOKING, seen)
            self.verdicts.holds(rules.READABLE, seen)
        elif answer.failure == TIMED_OUT:
            self.verdicts.fails(rules.ANSWER_TIME, f"a call had no answer within {self.endpoint.timeout:g} s")
        elif httpx.codes.is_redirect(answer.status):
            self.verdicts.fails(rules.REDIRECT, f"a POST is answered with HTTP {answer.status}")
        elif answer.unreadable:
            self.verdicts.fails(rules.READABLE, f"HTTP {answer.status} with {answer.unreadable}")
        elif kind in NAMED_REFUSALS or kind is Kind.TOO_EARLY:
            self.verdicts.skips((rules.BOOKING,), f"{seen}: name an open class with free places")
        elif kind is Kind.REJECTED:
            self.verdicts.fails(rules.BOOKING, f"{seen}; perhaps it needs --data, or members that it knows: --prefix")
        else:
            self.verdicts.fails(rules.BOOKING, f"{seen}; asked about it, the endpoint answers {asked.state}")
        self.verdicts.skips((rules.BOOKING, rules.READABLE), _UNCLEAR)

    def _check_question(self, first: EndpointAnswer, asked: EndpointAnswer) -> None:
        expected = {first.booking.kind} if self.clear else PLACED
        if asked.state in expected:
            self.verdicts.holds(rules.QUESTION_BOOKED, asked.describe(asked.state))
        elif self.clear and self.endpoint.counts(asked):
            self.verdicts.fails(rules.QUESTION_BOOKED, asked.describe(asked.state))
        else:
            self.verdicts.skips((rules.QUESTION_BOOKED,), _UNCLEAR)

    async def _ask_about_another(self, row: Prebooking) -> None:
        """Ask about an id that was never booked, now that another one is."""
        asked = await self.endpoint.ask(unknown(row))
        if asked.state in PLACED:
            self.verdicts.fails(
                rules.QUESTION_UNKNOWN, f"{asked.describe(asked.state)}, after a booking with another id"
            )

    async def _repeat(self, row: Prebooking, first: EndpointAnswer) -> None:
        second = await self.endpoint.book(row)
        self.repeated[rules.SAME_KEY_AGAIN] = row
        self._check_same_key(rules.SAME_KEY_AGAIN, [first, second], least=2)

    async def _at_once(self) -> None:
        row = self.endpoint.row(self.class_id)
        answers = await asyncio.gather(*(self.endpoint.book(row) for _ in range(AT_ONCE)))
        self.repeated[rules.SAME_KEY_AT_ONCE] = row
        self._check_same_key(rules.SAME_KEY_AT_ONCE, answers, least=1)

    def _check_same_key(self, rule: EndpointRule, answers: Sequence[EndpointAnswer], *, least: int) -> None:
        """Check calls with one key: one booking id, no refusal, and at least this number of clear answers."""
        kinds = [one.booking.kind for one in answers]
        ids = {one.booking.booking_id for one in answers if one.booking.booking_id}
        refusals = [kind for kind in kinds if kind not in _KEPT | {Kind.UNSURE}]
        if len(ids) > 1:
            self.verdicts.fails(rule, f"{len(ids)} different booking ids for one key")
        elif refusals:
            self.verdicts.fails(rule, f"a call with the key of a booking is answered {refusals[0]}")
        elif sum(kind in _KEPT for kind in kinds) < least:
            self.verdicts.fails(rule, answers[-1].describe("unclear"))
        else:
            self.verdicts.holds(rule, f"{len(answers)} calls, one booking")

    async def _unknown_fields(self) -> None:
        row = self.endpoint.row(self.class_id)
        row = row.model_copy(update={"booking_data": row.booking_data | {"prebooking_check": {"unknown": [1, None]}}})
        answer = await self.endpoint.book(row, extra={"prebooking_check": {"unknown": [1, None]}})
        kind = answer.booking.kind
        if kind in PLACED:
            self.once.append(row)
            self.verdicts.holds(rules.UNKNOWN_FIELDS, answer.describe(kind))
        else:
            self.verdicts.fails(rules.UNKNOWN_FIELDS, answer.describe(kind))

    async def _same_class_again(self, first: Prebooking) -> None:
        answer = await self.endpoint.book(self.endpoint.row(self.class_id, member=first.user_email))
        kind = answer.booking.kind
        if kind in (Kind.UNSURE, Kind.BLOCKED) and self.verdicts.failed(rules.REFUSED):
            self.verdicts.skips((rules.SAME_CLASS_AGAIN,), f"{answer.describe(kind)}, as for other refusals")
        elif kind in (Kind.UNSURE, Kind.BLOCKED):
            self.verdicts.fails(rules.SAME_CLASS_AGAIN, answer.describe(kind))
        elif self.truthful and (asked := await self.endpoint.ask(first)).state not in PLACED:
            self.verdicts.fails(
                rules.SAME_CLASS_AGAIN, f"asked about the first one, the endpoint then answers {asked.state}"
            )
        else:
            self.verdicts.holds(rules.SAME_CLASS_AGAIN, answer.describe(kind))

    async def _cut_off(self) -> None:
        """Close the connection before the answer, ask until the booking shows, then call again."""
        if not self.truthful:
            self.verdicts.skips((rules.CUT_OFF,), "it needs the question")
            return
        row = self.endpoint.row(self.class_id)
        await self.endpoint.book_without_listening(row)
        state = Kind.CANNOT_TELL
        for pause in _PAUSES:
            await asyncio.sleep(pause)
            if (state := (await self.endpoint.ask(row)).state) in PLACED:
                break
        again = (await self.endpoint.book(row)).booking.kind
        after = (await self.endpoint.ask(row)).state
        seen = f"asked: {state}; called again: {again}; asked: {after}"
        forgotten = state is Kind.NOT_BOOKED and again is Kind.ALREADY_BOOKED
        agrees = again in _KEPT or (not self.clear and again is Kind.UNSURE)
        if state in PLACED | {Kind.NOT_BOOKED} and agrees and after in PLACED and not forgotten:
            self.verdicts.holds(rules.CUT_OFF, seen)
        else:
            self.verdicts.fails(rules.CUT_OFF, seen)

    def _check_times(self) -> None:
        slowest = max(self.endpoint.times)
        if slowest > LAST_START:
            self.verdicts.fails(rules.ANSWER_TIME, f"the slowest of {len(self.endpoint.times)} took {slowest:.1f} s")
        else:
            seen = f"the slowest of {len(self.endpoint.times)} took {slowest * 1000:.0f} ms"
            self.verdicts.holds(rules.ANSWER_TIME, seen)
