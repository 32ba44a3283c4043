"""What a webhook call says to the venue twin, and what it is told. Pure: calls and replies, whatever carries them.

- ``POST`` a prebooking: 201 booked, 200 waitlisted, 409 already_booked, 425 too_early, 422 full, 410 class_gone
- ``GET ?prebooking_id=``: 200 booked, waitlisted or not_booked; 501 from a venue that cannot tell
- ``HEAD`` and ``OPTIONS``: 204, to warm a connection
"""

from __future__ import annotations

import hmac
import json
from typing import Any

from prebooking.local.venue.twin import Arrival, BookingResult, State, TwinCall, TwinReply, VenueTwin

_STATUS = {
    State.BOOKED: 201,
    State.WAITLISTED: 200,
    State.ALREADY_BOOKED: 409,
    State.SAME_HOUR: 409,
    State.TOO_EARLY: 425,
    State.FULL: 422,
    State.CLASS_GONE: 410,
}


def hear(call: TwinCall) -> Arrival:
    """Read who wants what, as far as the call says it."""
    said = _words(call.body)
    prebooking_id = said.get("prebooking_id") or call.query.get("prebooking_id")
    class_id = _mapping(said.get("booking_data")).get("class_id")
    about = (prebooking_id, said.get("user_email"), class_id, said.get("venue_id"))
    return Arrival(call.at, call.method, *("" if word is None else str(word) for word in about))


def answer(twin: VenueTwin, call: TwinCall, arrival: Arrival) -> TwinReply:
    """Act on a call and say what came of it."""
    if call.method in {"HEAD", "OPTIONS"}:
        return TwinReply(204)
    if not _is_authorised(twin, call):
        return _reply(401, "unauthorized")
    if call.method == "GET":
        return _confirm(twin, arrival)
    return _book(twin, call, arrival) if call.method == "POST" else _reply(405, "method_not_allowed")


def _is_authorised(twin: VenueTwin, call: TwinCall) -> bool:
    said = call.headers.get("authorization", "")
    return hmac.compare_digest(said.encode(), f"Bearer {twin.secret}".encode())


def _book(twin: VenueTwin, call: TwinCall, wish: Arrival) -> TwinReply:
    is_keyed = call.headers.get("idempotency-key") == wish.prebooking_id
    if not (is_keyed and wish.prebooking_id and wish.member and wish.class_id):
        return _reply(400, "bad_request")
    verdict = twin.book(wish)
    return _say(_STATUS[verdict.state], verdict)


def _confirm(twin: VenueTwin, question: Arrival) -> TwinReply:
    if not twin.can_tell:
        return _reply(501, "cannot_tell")
    return _say(200, twin.look(question.prebooking_id))


def _say(status: int, verdict: BookingResult) -> TwinReply:
    booking = {"booking_id": verdict.booking_id} if verdict.booking_id else {}
    return _reply(status, verdict.state, **booking)


def _reply(status: int, state: str, **more: str) -> TwinReply:
    return TwinReply(status, {"content-type": "application/json"}, json.dumps({"state": state, **more}).encode())


def _words(body: bytes) -> dict[str, Any]:
    try:
        return _mapping(json.loads(body or b"{}"))
    except ValueError:
        return {}


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
