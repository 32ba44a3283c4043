"""Everything AimHarder has been seen to answer, by name: said by the venue twin itself, or in a fate to a test's order.

The sentences are for people and change; what counts is ``bookState``, and ``errorMssgLang`` before it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from prebooking.local.venue.twin import TwinReply


def json_reply(value: Any, *, cookies: Sequence[str] = (), status: int = 200) -> TwinReply:
    """Return JSON, with 200: this service's answer to almost everything."""
    return TwinReply(status, {"content-type": "application/json; charset=utf-8"}, json.dumps(value).encode(), cookies)


def page(status: int, text: str) -> TwinReply:
    """Return a page for people."""
    return TwinReply(status, {"content-type": "text/html; charset=utf-8"}, f"<!DOCTYPE html><h1>{text}</h1>".encode())


def _said(state: int, **more: Any) -> TwinReply:
    return json_reply({"clasesContratadas": "WOD, OPEN BOX", "bookState": state, **more})


def _refused(key: str) -> TwinReply:
    return _said(-12, errorMssg="No puedes reservar esta clase", errorMssgLang=key)


HOME = page(200, "AimHarder")
NOT_FOUND = page(404, "Not found")
STRANGER = page(403, "Forbidden")

# What a booking call can be told. Canned, "booked" is only said: the ledger knows nothing of it.
_BOOKING = {
    "booked": _said(1, id="106999001", hasPublicMemberships=1),
    "waitlisted": _said(0, id="106999002"),
    "waiting_list_offered": _said(0),
    "full": _said(-1),
    "no_credit": _said(-2),
    "too_early_gym": _said(-4),
    "payment_due": _said(-5),
    "too_late": _said(-7),
    "limit_reached": _said(-8, max=2),
    "too_early": _refused("ERROR_ANTELACION_CLIENTE"),
    "too_early_hours": _refused("ERROR_ANTELACION_CLIENTE_HORAS"),
    "same_hour": _refused("NOPUEDESRESERVAMISMAHORA"),
    "limit_of_contract": _refused("HASSUPERADOLIMITCONTR"),
    "refused_without_key": _said(-12, errorMssg="No puedes reservar esta clase"),
    "refused_with_unknown_key": _refused("OTRA_COSA"),
    "unknown_number": _said(-99),
    "error_without_state": json_reply({"errorMssg": "Error"}),
    "no_such_class": json_reply({"errorMssg": "La clase no existe"}),
}

# What any call can be told.
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

# What the other calls can be told.
_OTHER = {
    "login_refused": json_reply({"data": {"auth": {"authOK": False, "error": "WRONG_CREDENTIALS"}}}),
    "login_locked": json_reply({"data": {"auth": {"authOK": False, "error": "TOO_MANY_ATTEMPTS"}}}),
    "cancelled": json_reply({"cancelState": 1}),
    "cancelled_late": json_reply({"cancelState": 2}),
    "cancel_refused": json_reply({"cancelState": 3}),
}

VERDICTS: Mapping[str, TwinReply] = {**_BOOKING, **_ANY, **_OTHER}
