"""Requests to a booking endpoint, made like the booking function's, with what the answers mean to it."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx

from prebooking.bookers import Gate
from prebooking.bookers.call import Reply, call, exchange
from prebooking.bookers.places import CancelAnswer
from prebooking.bookers.webhook.booker import WebhookBooker, classify, classify_state
from prebooking.bookers.webhook.give_back import classify_deletion
from prebooking.model import FAILED, Kind, Outcome, Prebooking, Venue

PLACED = frozenset({Kind.BOOKED, Kind.WAITLISTED})
TIMED_OUT, UNREACHABLE, CERTIFICATE, CUT = "no answer in time", "cannot be reached", "invalid certificate", "cut off"


@dataclass(frozen=True, slots=True)
class EndpointAnswer:
    """The answer to one request, or why there is none, and the seconds it took."""

    reply: Reply | None
    seconds: float
    failure: str = ""
    late: bool = False

    @property
    def status(self) -> int:
        """Return the HTTP status; 0 without an answer."""
        return self.reply.status if self.reply else 0

    @property
    def booking(self) -> Outcome:
        """Return the meaning as an answer to a call, by the booking function's own code."""
        return classify(self.reply) if self.reply else Outcome(Kind.UNSURE)

    @property
    def state(self) -> Kind:
        """Return the meaning as an answer to the question, by the booking function's own code."""
        return classify_state(self.reply).kind if self.reply else Kind.CANNOT_TELL

    @property
    def deletion(self) -> CancelAnswer:
        """Return the meaning as an answer to a DELETE, by the code of ``prebooking give-back``."""
        return classify_deletion(self.reply, late=self.late)

    @property
    def unreadable(self) -> str:
        """Return what is wrong with the body of a success that is no clear answer; empty if nothing is."""
        if self.status not in (200, 201, 204) or self.reply is None or self.booking.kind is not Kind.UNSURE:
            return ""
        is_object = self.reply.json_object() is not None
        return "a state that is neither booked nor waitlisted" if is_object else "a body that is no JSON object"

    def describe(self, meaning: str) -> str:
        """Return the status and a meaning of this answer."""
        return f"HTTP {self.status}: {meaning}" if self.reply else self.failure


class _CutOff(Exception):
    """The request is sent, and its answer is not wanted."""


@dataclass(slots=True)
class EndpointClient:
    """Makes prebookings of made-up members, and remembers which may be booked, and the time of each call."""

    http: httpx.AsyncClient
    url: str
    secret: str = field(repr=False)
    prefix: str
    data: dict[str, Any]
    timeout: float
    idempotent: bool  # the venue is set to idempotent, so that the question is not needed
    maybe_booked: list[Prebooking] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    _members: int = 0
    _venue: Venue = field(
        default_factory=lambda: Venue(
            id=uuid4(),
            name="Conformance check",
            provider="webhook",
            host=None,
            provider_box_id=None,
            timezone="UTC",
            idempotent=False,
        )
    )

    def row(self, class_id: str, *, member: str | None = None) -> Prebooking:
        """Return a new prebooking, by default of a new member."""
        self._members += member is None
        now = datetime.now(UTC)
        return Prebooking(
            id=uuid4(),
            venue=self._venue,
            user_email=member or f"{self.prefix}{self._members}@example.com",
            booking_data=self.data | {"class_id": class_id},
            available_at=now,
            expires_at=now + timedelta(days=1),
            created_at=now,
            maybe_sent=False,
        )

    def counts(self, answer: EndpointAnswer) -> bool:
        """Return whether this answer to the question counts: an idempotent venue need not be able to tell."""
        return not (self.idempotent and answer.state is Kind.CANNOT_TELL)

    async def book(
        self, row: Prebooking, *, bearer: str | None = None, extra: dict[str, Any] | None = None
    ) -> EndpointAnswer:
        """Send the call that books. ``bearer``: another token, or none if empty. ``extra``: more fields of the JSON."""
        answer = await self._send(self._booking(row, bearer, extra))
        if bearer is None:
            self.times.append(answer.seconds)
        if answer.booking.kind not in FAILED | {Kind.BLOCKED} and row not in self.maybe_booked:
            self.maybe_booked.append(row)
        return answer

    async def book_without_listening(self, row: Prebooking) -> None:
        """Send the call that books, and close the connection before the answer."""

        async def trace(event: str, _: dict[str, Any]) -> None:
            if event.endswith("receive_response_headers.started"):
                raise _CutOff

        request = self._booking(row)
        request.extensions["trace"] = trace
        self.maybe_booked.append(row)
        await self._send(request)

    async def other_method(self, row: Prebooking) -> EndpointAnswer:
        """Send the call that books with a method that the contract does not have."""
        booking = self._booking(row)
        return await self._send(
            self.http.build_request("PUT", self.url, content=booking.content, headers=booking.headers)
        )

    async def ask(self, row: Prebooking, *, bearer: str | None = None) -> EndpointAnswer:
        """Ask for the state of a prebooking."""
        return await self._send(self._about(row, "GET", bearer))

    async def give_back(self, row: Prebooking, *, bearer: str | None = None) -> EndpointAnswer:
        """Give the place of a prebooking back, also if it is late."""
        answer = await self._send(self._about(row, "DELETE", bearer))
        if answer.deletion is CancelAnswer.LATE:
            answer = await self._send(self._about(row, "DELETE", bearer, late="1"), late=True)
        return answer

    async def ask_on_waiting_connection(self, row: Prebooking, wait: Callable[[], Any]) -> Outcome:
        """Ask on a connection that is opened before ``wait``, like a call that waits for its slot."""
        request = self._about(row, "GET")
        gate = Gate(mark_sent=lambda: None, wait=wait)
        return await call(self.http, request, classify_state, timeout=self.timeout, gate=gate)

    def _booker(self, bearer: str | None = None) -> WebhookBooker:
        return WebhookBooker(self.http, url=self.url, secret=self.secret if bearer is None else bearer)

    def _about(self, row: Prebooking, method: str, bearer: str | None = None, **more: str) -> httpx.Request:
        return _bare(self._booker(bearer).about(row, method, **more), bearer)

    def _booking(
        self, row: Prebooking, bearer: str | None = None, extra: dict[str, Any] | None = None
    ) -> httpx.Request:
        request = _bare(self._booker(bearer).booking(row), bearer)
        if not extra:
            return request
        body = json.loads(request.content) | extra
        headers = {name: value for name, value in request.headers.items() if name != "content-length"}
        return self.http.build_request("POST", self.url, content=json.dumps(body), headers=headers)

    async def _send(self, request: httpx.Request, *, late: bool = False) -> EndpointAnswer:
        loop = asyncio.get_running_loop()
        started = loop.time()
        reply, failure = None, ""
        try:
            async with asyncio.timeout(self.timeout):
                reply = await exchange(self.http, request)
        except Exception as exc:  # noqa: BLE001 - any answer may make a parser raise; every failure means: no answer
            failure = _name(exc)
        return EndpointAnswer(reply, loop.time() - started, failure, late)


def unknown(row: Prebooking) -> Prebooking:
    """Return the same prebooking with an id that was never sent."""
    return row.model_copy(update={"id": UUID(int=uuid4().int)})


def _bare(request: httpx.Request, bearer: str | None) -> httpx.Request:
    """Return the request, without its Authorization header if the bearer is empty."""
    if bearer == "":
        del request.headers["Authorization"]
    return request


def _name(exc: BaseException) -> str:
    """Return the kind of a failure, without its text."""
    cause: BaseException | None = exc
    while cause:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return CERTIFICATE
        cause = cause.__cause__ or cause.__context__
    if isinstance(exc, TimeoutError):
        return TIMED_OUT
    return UNREACHABLE if isinstance(exc, httpx.ConnectError | httpx.ConnectTimeout) else CUT
