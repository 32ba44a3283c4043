"""All known replies of AimHarder, by name. The twin returns some of them itself; a test can return any in a plan.

The texts for people change. A client must read ``errorMssgLang``, and if it is missing, ``bookState``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from prebooking.local.venue.twin import TwinReply


def json_reply(value: Any, *, cookies: Sequence[str] = (), status: int = 200) -> TwinReply:
    """Return a reply in JSON. AimHarder answers almost every call with status 200."""
    return TwinReply(status, {"content-type": "application/json; charset=utf-8"}, json.dumps(value).encode(), cookies)


def page(status: int, text: str) -> TwinReply:
    """Return a reply with an HTML page."""
    return TwinReply(status, {"content-type": "text/html; charset=utf-8"}, f"<!DOCTYPE html><h1>{text}</h1>".encode())


def _booking_reply(state: int, **more: Any) -> TwinReply:
    return json_reply({"clasesContratadas": "WOD, OPEN BOX", "bookState": state, **more})


def _refused(key: str) -> TwinReply:
    return _booking_reply(-12, errorMssg="No puedes reservar esta clase", errorMssgLang=key)


HOME = page(200, "AimHarder")
NOT_FOUND = page(404, "Not found")
FORBIDDEN = page(403, "Forbidden")

# Replies to a booking call. When a plan contains "booked", the ledger has no booking for it.
_BOOKING = {
    "booked": _booking_reply(1, id="106999001", hasPublicMemberships=1),
    "waitlisted": _booking_reply(0, id="106999002"),
    "waiting_list_offered": _booking_reply(0),
    "full": _booking_reply(-1),
    "no_credit": _booking_reply(-2),
    "too_early_gym": _booking_reply(-4),
    "payment_due": _booking_reply(-5),
    "too_late": _booking_reply(-7),
    "limit_reached": _booking_reply(-8, max=2),
    "too_early": _refused("ERROR_ANTELACION_CLIENTE"),
    "too_early_hours": _refused("ERROR_ANTELACION_CLIENTE_HORAS"),
    "same_hour": _refused("NOPUEDESRESERVAMISMAHORA"),
    "limit_of_contract": _refused("HASSUPERADOLIMITCONTR"),
    "refused_without_key": _booking_reply(-12, errorMssg="No puedes reservar esta clase"),
    "refused_with_unknown_key": _refused("OTRA_COSA"),
    "unknown_number": _booking_reply(-99),
    "error_without_state": json_reply({"errorMssg": "Error"}),
    "no_such_class": json_reply({"errorMssg": "La clase no existe"}),
}

# Replies to any call.
_ANY = {
    "logout": json_reply({"logout": 1}),
    "blocked": page(403, "Request blocked"),
    "too_many_requests": TwinReply(429, {"retry-after": "60"}),
    "captcha": page(403, "Are you human?"),
    "down": page(503, "Back soon"),
    "gateway_timeout": page(504, "Gateway timeout"),
    "page": HOME,
    "empty": TwinReply(200),
    "accepted": TwinReply(202),
    "bad_request": json_reply({}, status=400),
    "redirect": TwinReply(302, {"location": "https://login.aimharder.com/"}),
    "cut_json": TwinReply(200, {"content-type": "application/json"}, b'{"bookState": 1, "id'),
    "list": json_reply([]),
    "null": json_reply(None),
    "empty_object": json_reply({}),
    "state_as_text": json_reply({"bookState": "1", "id": 106999003}),
    "state_as_bool": json_reply({"bookState": True}),
    "state_null": json_reply({"bookState": None}),
}

# Replies to the other calls.
_OTHER = {
    "login_refused": json_reply({"data": {"auth": {"authOK": False, "error": "WRONG_CREDENTIALS"}}}),
    "login_locked": json_reply({"data": {"auth": {"authOK": False, "error": "TOO_MANY_ATTEMPTS"}}}),
    "cancelled": json_reply({"cancelState": 1}),
    "cancelled_late": json_reply({"cancelState": 2}),
    "cancel_refused": json_reply({"cancelState": 3}),
}

VERDICTS: Mapping[str, TwinReply] = {**_BOOKING, **_ANY, **_OTHER}
