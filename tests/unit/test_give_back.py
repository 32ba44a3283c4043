"""Giving a place back: what each answer of a venue means, and what follows from the answers together."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import pytest

from prebooking.bookers.aimharder.give_back import AimHarderPlaces, classify_cancellation
from prebooking.bookers.call import Reply
from prebooking.bookers.give_back import GiveBack, give_back
from prebooking.bookers.places import CancelAnswer, MemberPlace
from prebooking.bookers.webhook.give_back import WebhookPlaces, classify_deletion
from prebooking.clock import Clock, Deadline
from prebooking.model import Kind, Prebooking
from prebooking.systems import SYSTEMS, Ability, able
from tests.support.rows import claimed_row

_DONE, _LATE, _REFUSED = CancelAnswer.DONE, CancelAnswer.LATE, CancelAnswer.REFUSED
_UNABLE, _BLOCKED, _UNCLEAR = CancelAnswer.UNABLE, CancelAnswer.BLOCKED, CancelAnswer.UNCLEAR


@dataclass
class ScriptedPlaces:
    """Answers the questions in this order, and the call with this answer; records the calls."""

    found: list[Kind]
    answer: CancelAnswer
    must_be_found: bool = True
    calls: list[tuple[str | None, bool]] = field(default_factory=list)

    async def find(self, row: Prebooking, *, until: Deadline) -> MemberPlace:  # noqa: ARG002 - see Places
        return MemberPlace(self.found.pop(0))

    async def cancel(self, row: Prebooking, place: MemberPlace, *, late: bool, timeout: float) -> CancelAnswer:  # noqa: ARG002, ASYNC109 - see Places
        self.calls.append((place.booking_id, late))
        return self.answer


def ends(found: list[Kind], answer: CancelAnswer = _UNCLEAR, **how: Any) -> tuple[GiveBack, int]:
    """Return the result, and how many calls and questions were sent."""
    places = ScriptedPlaces(list(found), answer, **how)
    result = asyncio.run(give_back(places, claimed_row(), booking_id="77", late=True, clock=Clock()))
    assert places.calls in ([], [("77", True)])
    return result, len(found) - len(places.found) + len(places.calls)


@pytest.mark.parametrize("place", [Kind.BOOKED, Kind.WAITLISTED])
@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (_DONE, GiveBack.GIVEN_BACK),
        (_LATE, GiveBack.LATE),
        (_UNABLE, GiveBack.UNABLE),
        (_BLOCKED, GiveBack.BLOCKED),
    ],
)
def test_a_clear_answer_needs_no_further_question(place: Kind, answer: CancelAnswer, result: GiveBack) -> None:
    assert ends([place, Kind.NOT_BOOKED], answer) == (result, 2)


@pytest.mark.parametrize(
    ("then", "result"),
    [
        (Kind.NOT_BOOKED, GiveBack.GIVEN_BACK),
        (Kind.BOOKED, GiveBack.STILL_BOOKED),
        (Kind.WAITLISTED, GiveBack.STILL_BOOKED),
        (Kind.MISSING, GiveBack.UNCLEAR),
        (Kind.CANNOT_TELL, GiveBack.UNCLEAR),
        (Kind.SESSION_EXPIRED, GiveBack.UNCLEAR),
        (Kind.BLOCKED, GiveBack.UNCLEAR),
    ],
)
def test_after_an_unclear_answer_the_venue_is_asked_once(then: Kind, result: GiveBack) -> None:
    assert ends([Kind.BOOKED, then, Kind.NOT_BOOKED]) == (result, 3)


def test_a_refusal_of_a_place_that_was_given_back_meanwhile_is_none() -> None:
    assert ends([Kind.BOOKED, Kind.NOT_BOOKED], _REFUSED) == (GiveBack.GIVEN_BACK, 3)
    assert ends([Kind.BOOKED, Kind.BOOKED], _REFUSED) == (GiveBack.REFUSED, 3)


@pytest.mark.parametrize("must_be_found", [True, False])
@pytest.mark.parametrize(
    ("place", "result"),
    [
        (Kind.NOT_BOOKED, GiveBack.NOT_BOOKED),
        (Kind.SESSION_EXPIRED, GiveBack.LOGGED_OUT),
        (Kind.BLOCKED, GiveBack.BLOCKED),
        (Kind.MISSING, GiveBack.GONE),
    ],
)
def test_nothing_is_sent_without_a_place(place: Kind, result: GiveBack, *, must_be_found: bool) -> None:
    assert ends([place], _DONE, must_be_found=must_be_found) == (result, 1)


def test_a_venue_that_does_not_tell_is_called_only_if_a_call_without_a_place_is_harmless() -> None:
    assert ends([Kind.CANNOT_TELL], _DONE) == (GiveBack.CANNOT_TELL, 1)
    assert ends([Kind.CANNOT_TELL], _DONE, must_be_found=False) == (GiveBack.GIVEN_BACK, 2)
    assert (AimHarderPlaces.must_be_found, WebhookPlaces.must_be_found) == (True, False)


def test_every_system_that_gives_back_can_be_opened() -> None:
    for name in able(Ability.GIVE_BACK):
        assert callable(import_module(f"{SYSTEMS[name].module}.give_back").open_places), name


def reply(status: int, body: Any = None) -> Reply:
    return Reply(status, b"" if body is None else json.dumps(body).encode())


@pytest.mark.parametrize(
    ("status", "state", "answer", "answer_if_late"),
    [
        (200, 1, _DONE, _DONE),
        (200, "1", _DONE, _DONE),
        (200, 2, _LATE, _UNCLEAR),
        (200, 3, _REFUSED, _REFUSED),
        *((200, state, _UNCLEAR, _UNCLEAR) for state in (0, 4, -1, 1.0, True, [1], None, "one")),
        *((status, 1, _UNCLEAR, _UNCLEAR) for status in (201, 202, 204, 302, 400, 404, 500)),
        (403, 1, _BLOCKED, _BLOCKED),
        (429, 1, _BLOCKED, _BLOCKED),
    ],
    ids=repr,
)
def test_the_number_in_aimharders_answer_counts(
    status: int, state: Any, answer: CancelAnswer, answer_if_late: CancelAnswer
) -> None:
    answered = reply(status, {"cancelState": state})
    assert classify_cancellation(answered, late=False) is answer
    assert classify_cancellation(answered, late=True) is answer_if_late


@pytest.mark.parametrize("classify", [classify_cancellation, classify_deletion])
@pytest.mark.parametrize(
    "answered", [None, Reply(200, None), Reply(200, b"<html>"), Reply(200, b"[1]"), Reply(200, b"{")], ids=repr
)
def test_an_answer_that_cannot_be_read_is_unclear(classify: Any, answered: Reply | None) -> None:
    assert classify(answered, late=False) is classify(answered, late=True) is _UNCLEAR


@pytest.mark.parametrize(
    ("status", "body", "answer", "answer_if_late"),
    [
        *((status, body, _DONE, _DONE) for status in (200, 204) for body in (None, {}, {"state": "given_back"})),
        (200, {"state": "not_booked"}, _DONE, _DONE),
        (404, {"state": "not_booked"}, _DONE, _DONE),
        (409, {"state": "late"}, _LATE, _UNCLEAR),
        *((status, {"state": "not_booked"}, _UNABLE, _UNABLE) for status in (405, 501)),
        *((status, {}, _BLOCKED, _BLOCKED) for status in (401, 403, 407, 421, 426, 429, 431)),
        *((status, {}, _UNCLEAR, _UNCLEAR) for status in (201, 202, 301, 400, 402, 404, 408, 409, 410, 422, 500, 503)),
        *((200, {"state": state}, _UNCLEAR, _UNCLEAR) for state in ("booked", "late", 1, None, ["given_back"])),
        (200, {"state": "GIVEN_BACK"}, _UNCLEAR, _UNCLEAR),
    ],
    ids=repr,
)
def test_the_status_of_the_endpoints_answer_counts_and_then_its_state(
    status: int, body: Any, answer: CancelAnswer, answer_if_late: CancelAnswer
) -> None:
    assert classify_deletion(reply(status, body), late=False) is answer
    assert classify_deletion(reply(status, body), late=True) is answer_if_late
