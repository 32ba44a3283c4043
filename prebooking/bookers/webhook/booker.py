"""Books at the operator's own HTTPS endpoint, which runs the operator's own booking code."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import httpx

from prebooking.bookers import Gate
from prebooking.bookers.call import HEADERS, Reply, ask, call
from prebooking.errors import BadBookingData
from prebooking.model import NAMED_REFUSALS, Kind, Outcome, Prebooking

# Caused by the endpoint's configuration or load, not by the member: a wrong secret, address or proxy, or a limit.
_BLOCKED = frozenset({401, 403, 404, 405, 407, 421, 426, 429, 431})


class WebhookBooker:
    """Books by POSTing the prebooking as JSON, with its id as the idempotency key."""

    max_unclear_calls: float = math.inf  # no limit: the endpoint belongs to the operator

    def __init__(self, client: httpx.AsyncClient, *, url: str, secret: str) -> None:
        self._client, self._url = client, httpx.URL(url)  # parsed once, not for every call
        self._headers = {**HEADERS, "Authorization": f"Bearer {secret}"}
        # The parts that all booking calls have in common.
        self._booking = client.build_request(
            "GET", self._url, headers=self._headers | {"Content-Type": "application/json"}
        )

    def is_ready(self, row: Prebooking) -> bool:  # noqa: ARG002 - see Booker
        """Return True: the secret belongs to the deployment, so no row needs a login."""
        return True

    async def prepare(self, row: Prebooking, *, timeout: float, renew: bool = False) -> Outcome | None:  # noqa: ARG002, ASYNC109 - see Booker
        """Do nothing: every row is ready."""
        return None

    async def book(self, row: Prebooking, *, timeout: float, gate: Gate) -> Outcome:  # noqa: ASYNC109 - see Booker
        """POST the prebooking once."""
        return await call(self._client, self.booking(row), classify, timeout=timeout, gate=gate)

    def booking(self, row: Prebooking) -> httpx.Request:
        """Return the call that books. Raises BadBookingData if the row cannot be turned into JSON."""
        common, key = self._booking, (b"Idempotency-Key", str(row.id).encode())
        headers = [*common.headers.raw, key]
        return httpx.Request("POST", self._url, headers=headers, content=_body(row), extensions=common.extensions)

    async def confirm(self, row: Prebooking, *, timeout: float) -> Outcome:  # noqa: ASYNC109 - see Booker
        """GET the state of the prebooking from the endpoint."""
        reply = await ask(self._client, self.about(row, "GET"), timeout=timeout)
        return classify_state(reply) if reply else Outcome(Kind.CANNOT_TELL)

    def about(self, row: Prebooking, method: str, **more: str) -> httpx.Request:
        """Return a request about a prebooking: GET asks for its state, DELETE gives its place back."""
        url = self._url.copy_merge_params({"prebooking_id": str(row.id), **more})
        return self._client.build_request(method, url, headers=self._headers)


def classify(reply: Reply) -> Outcome:
    """Return the meaning of the answer to a booking: from the HTTP status, then from ``state`` in the body."""
    body = reply.json_object()
    if reply.status in (200, 201, 204):
        return _placed(body)
    if reply.status == httpx.codes.CONFLICT:
        return Outcome(Kind.ALREADY_BOOKED, _booking_id(body or {}))
    if reply.status == httpx.codes.TOO_EARLY:
        return Outcome(Kind.TOO_EARLY)
    if reply.status in _BLOCKED:
        return Outcome(Kind.BLOCKED, detail=f"HTTP {reply.status}")
    if httpx.codes.is_client_error(reply.status) and reply.status != httpx.codes.REQUEST_TIMEOUT:
        return _refused(reply.status, body or {})
    return Outcome(Kind.UNSURE, detail=f"HTTP {reply.status}")


def classify_state(reply: Reply) -> Outcome:
    """Return the meaning of the answer to a query: 200 with a known ``state`` is clear, 403 and 429 mean blocked."""
    body = reply.json_object() or {}
    state = body.get("state")
    if reply.status == httpx.codes.OK and state in (Kind.BOOKED, Kind.WAITLISTED, Kind.NOT_BOOKED):
        return Outcome(Kind(state), _booking_id(body))
    if reply.status in (httpx.codes.FORBIDDEN, httpx.codes.TOO_MANY_REQUESTS):
        return Outcome(Kind.BLOCKED, detail=f"HTTP {reply.status}")
    return Outcome(Kind.CANNOT_TELL)


def _placed(body: dict[str, Any] | None) -> Outcome:
    """Return the meaning of a 2xx answer. If the body is not ours, for example a proxy's page, it is unsure."""
    if body is None or (state := body.get("state", Kind.BOOKED)) not in (Kind.BOOKED, Kind.WAITLISTED):
        return Outcome(Kind.UNSURE, detail="unreadable")
    return Outcome(Kind(state), _booking_id(body))


def _refused(status: int, body: dict[str, Any]) -> Outcome:
    state = body.get("state")
    if isinstance(state, str) and state in NAMED_REFUSALS:
        return Outcome(Kind(state))
    if status == httpx.codes.PAYMENT_REQUIRED:  # hosting platforms answer this for an endpoint that they have disabled
        return Outcome(Kind.BLOCKED, detail=f"HTTP {status}")
    return Outcome(Kind.REJECTED, detail=f"(HTTP {status})")


def _booking_id(body: dict[str, Any]) -> str | None:
    """Return the venue's booking id if it is valid: at most 100 letters, digits, "_", ".", ":" or "-"."""
    value = body.get("booking_id")
    number = isinstance(value, str | int) and not isinstance(value, bool)
    plain = number and re.fullmatch(r"[\w.:-]{1,100}", str(value), re.ASCII)
    return str(value) if plain else None


def _body(row: Prebooking) -> bytes:
    message = {
        "prebooking_id": str(row.id),
        "venue_id": str(row.venue.id),
        "venue_name": row.venue.name,
        "user_email": row.user_email,
        "booking_data": row.booking_data,
        "available_at": row.available_at.isoformat(),
        "expires_at": row.expires_at.isoformat(),
    }
    try:
        return json.dumps(message, allow_nan=False).encode()
    except ValueError:
        raise BadBookingData("It contains a number that JSON does not allow.") from None
    except RecursionError:
        raise BadBookingData("It is nested too deeply.") from None
