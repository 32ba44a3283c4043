"""The webhook protocol of the venue twin, independent of the transport.

- ``POST`` a prebooking: 201 booked, 200 waitlisted, 409 already_booked, 425 too_early, 422 full, 410 class_gone
- ``GET ?prebooking_id=``: 200 booked, waitlisted (with the position) or not_booked; 501 if it cannot answer this query
- ``DELETE ?prebooking_id=``: 200 given_back, 404 not_booked, 409 late (then with ``late=1``); 405 if it gives none back
- ``HEAD`` and ``OPTIONS``: 204
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


def parse(call: TwinCall) -> Arrival:
    """Return the ledger entry for a call; fields that the call does not contain are empty."""
    body = _json(call.body)
    prebooking_id = body.get("prebooking_id") or call.query.get("prebooking_id")
    class_id = _mapping(body.get("booking_data")).get("class_id")
    about = (prebooking_id, body.get("user_email"), class_id, body.get("venue_id"))
    return Arrival(call.at, call.method, *("" if word is None else str(word) for word in about))


def answer(twin: VenueTwin, call: TwinCall, arrival: Arrival) -> TwinReply:
    """Carry out a call, and return the reply."""
    if call.method in {"HEAD", "OPTIONS"}:
        return TwinReply(204)
    if not _is_authorised(twin, call):
        return _reply(401, "unauthorized")
    if call.method == "GET":
        return _confirm(twin, arrival)
    if call.method == "DELETE" and twin.can_give_back:
        return _give_back(twin, call, arrival)
    return _book(twin, call, arrival) if call.method == "POST" else _reply(405, "method_not_allowed")


def _is_authorised(twin: VenueTwin, call: TwinCall) -> bool:
    authorization = call.headers.get("authorization", "")
    return hmac.compare_digest(authorization.encode(), f"Bearer {twin.secret}".encode())


def _book(twin: VenueTwin, call: TwinCall, request: Arrival) -> TwinReply:
    has_key = call.headers.get("idempotency-key") == request.prebooking_id
    if not (has_key and request.prebooking_id and request.member and request.class_id):
        return _reply(400, "bad_request")
    result = twin.book(request)
    return _reply_with(_STATUS[result.state], result)


def _confirm(twin: VenueTwin, query: Arrival) -> TwinReply:
    if not twin.can_tell:
        return _reply(501, "cannot_tell")
    result = twin.booking_of(query.prebooking_id)
    position = twin.position(result.booking_id or "")
    return _reply_with(200, result, **({"position": position} if position else {}))


def _give_back(twin: VenueTwin, call: TwinCall, request: Arrival) -> TwinReply:
    found = twin.ledger.bookings_of(request.prebooking_id)
    if not found:
        return _reply(404, State.NOT_BOOKED)
    is_late = twin.cancel(found[0].booking_id, found[0].member, late=call.query.get("late") == "1") is State.TOO_LATE
    return _reply(409, State.TOO_LATE) if is_late else _reply(200, "given_back")


def _reply_with(status: int, result: BookingResult, **more: Any) -> TwinReply:
    booking = {"booking_id": result.booking_id} if result.booking_id else {}
    return _reply(status, result.state, **booking, **more)


def _reply(status: int, state: str, **more: Any) -> TwinReply:
    return TwinReply(status, {"content-type": "application/json"}, json.dumps({"state": state, **more}).encode())


def _json(body: bytes) -> dict[str, Any]:
    try:
        return _mapping(json.loads(body or b"{}"))
    except ValueError:
        return {}


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
