"""The requests to an endpoint: the prebooking as JSON, and the headers."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

import prebooking
from prebooking.bookers.webhook.booker import WebhookBooker
from prebooking.errors import BadBookingData
from prebooking.http import isolated_client
from prebooking.model import Kind, Outcome, Prebooking
from tests.support.doubles import EPOCH, at_once
from tests.support.rows import claimed_row, claimed_venue

pytestmark = pytest.mark.anyio

ROW = claimed_row(
    id=UUID(int=1),
    venue=claimed_venue(id=UUID(int=7), name="Box Ñandú"),
    booking_data={"class_id": "4711"},
    expires_at=EPOCH + timedelta(days=1),
)


class RecordingEndpoint:
    """Records its requests, and answers each in the same way."""

    def __init__(self, status: int = 200, body: Any = None) -> None:
        self.requests: list[httpx.Request] = []
        self._reply = (status, body if body is not None else {})

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(self._reply[0], stream=httpx.ByteStream(json.dumps(self._reply[1]).encode()))

    async def book(self, row: Prebooking = ROW, url: str = "https://book.example.com/wod") -> Outcome:
        async with isolated_client(transport=httpx.MockTransport(self)) as client:
            return await WebhookBooker(client, url=url, secret="the-secret").book(row, timeout=1, gate=at_once)

    async def confirm(self, url: str = "https://book.example.com/wod") -> Outcome:
        async with isolated_client(transport=httpx.MockTransport(self)) as client:
            return await WebhookBooker(client, url=url, secret="the-secret").confirm(ROW, timeout=1)


def having(**data: Any) -> Prebooking:
    return ROW.model_copy(update={"booking_data": data})


async def test_a_booking_is_one_post_of_the_prebooking_as_json() -> None:
    endpoint = RecordingEndpoint()
    assert await endpoint.book() == Outcome(Kind.BOOKED)
    [request] = endpoint.requests
    assert (request.method, str(request.url)) == ("POST", "https://book.example.com/wod")
    assert json.loads(request.content) == {
        "prebooking_id": "00000000-0000-0000-0000-000000000001",
        "venue_id": "00000000-0000-0000-0000-000000000007",
        "venue_name": "Box Ñandú",
        "user_email": "ana@example.com",
        "booking_data": {"class_id": "4711"},
        "available_at": "2030-01-07T06:00:00+00:00",
        "expires_at": "2030-01-08T06:00:00+00:00",
    }


async def test_a_booking_has_the_secret_and_the_idempotency_key() -> None:
    endpoint = RecordingEndpoint()
    await endpoint.book()
    headers = dict(endpoint.requests[0].headers)
    assert headers == {
        "host": "book.example.com",
        "connection": "keep-alive",
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": f"prebooking-scheduler/{prebooking.__version__}",
        "authorization": "Bearer the-secret",
        "content-type": "application/json",
        "idempotency-key": str(ROW.id),
        "content-length": str(len(endpoint.requests[0].content)),
    }


async def test_a_confirmation_is_a_get_with_the_secret() -> None:
    endpoint = RecordingEndpoint(body={"state": "booked", "booking_id": "b-1"})
    assert await endpoint.confirm() == Outcome(Kind.BOOKED, "b-1")
    [request] = endpoint.requests
    assert (request.method, request.content) == ("GET", b"")
    assert request.headers["authorization"] == "Bearer the-secret"
    assert request.headers["accept-encoding"] == "identity"
    assert "idempotency-key" not in request.headers


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("https://book.example.com", "https://book.example.com/?prebooking_id={id}"),
        ("https://book.example.com/wod", "https://book.example.com/wod?prebooking_id={id}"),
        ("https://book.example.com/wod?", "https://book.example.com/wod?prebooking_id={id}"),
        ("https://book.example.com/wod?key=a%20b&x=1", "https://book.example.com/wod?key=a%20b&x=1&prebooking_id={id}"),
        ("https://book.example.com/wod?x=1&x=2", "https://book.example.com/wod?x=1&x=2&prebooking_id={id}"),
        ("https://book.example.com/wod?empty=", "https://book.example.com/wod?empty=&prebooking_id={id}"),
        ("https://book.example.com/wod?prebooking_id=0", "https://book.example.com/wod?prebooking_id={id}"),
    ],
)
async def test_a_confirmation_keeps_the_query_of_the_address(url: str, asked: str) -> None:
    endpoint = RecordingEndpoint()
    await endpoint.confirm(url)
    assert endpoint.requests[0].url.copy_with(query=None) == httpx.URL(url).copy_with(query=None)
    assert endpoint.requests[0].url.params == httpx.URL(asked.format(id=ROW.id)).params


async def test_a_booking_keeps_the_query_of_the_address() -> None:
    endpoint = RecordingEndpoint()
    await endpoint.book(url="https://book.example.com/wod?key=a%20b&x=1")
    assert str(endpoint.requests[0].url) == "https://book.example.com/wod?key=a%20b&x=1"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, {"state": "booked"}, Kind.BOOKED),
        (200, {"state": "waitlisted"}, Kind.WAITLISTED),
        (200, {"state": "not_booked"}, Kind.NOT_BOOKED),
        (200, {}, Kind.CANNOT_TELL),
        (200, ["booked"], Kind.CANNOT_TELL),
        (404, {"state": "not_booked"}, Kind.CANNOT_TELL),
        (500, {}, Kind.CANNOT_TELL),
        (403, {"state": "booked"}, Kind.BLOCKED),
        (429, {}, Kind.BLOCKED),
    ],
)
async def test_each_answer_to_a_confirmation_has_its_kind(status: int, body: Any, kind: Kind) -> None:
    assert (await RecordingEndpoint(status, body).confirm()).kind is kind


@pytest.mark.parametrize("exc", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError, TimeoutError])
async def test_a_failed_confirmation_cannot_tell(exc: type[Exception]) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise exc("canary")

    async with isolated_client(transport=httpx.MockTransport(fail)) as client:
        booker = WebhookBooker(client, url="https://book.example.com", secret="the-secret")
        assert await booker.confirm(ROW, timeout=1) == Outcome(Kind.CANNOT_TELL)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"text": 'Ñandú ✓ \u2028 \x00 " \\ </script>'},
        {"half a character": "\ud800"},
        {"numbers": [0, -1, 2**63, 10**300, 1.5e300, 1e-300], "flags": [True, False, None]},
        {"deep": [[[[{"a": [[[]]]}]]]]},
        {"prebooking_id": "another", "user_email": "other@example.com"},
        {"": "an empty name"},
        {"long": "x" * 60_000},
    ],
    ids=lambda data: next(iter(data), "nothing"),
)
async def test_booking_data_is_sent_unchanged(data: dict[str, Any]) -> None:
    endpoint = RecordingEndpoint()
    assert (await endpoint.book(having(**data))).kind is Kind.BOOKED
    sent = json.loads(endpoint.requests[0].content)
    assert (sent["booking_data"], sent["prebooking_id"], sent["user_email"]) == (data, str(ROW.id), ROW.user_email)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
async def test_a_number_outside_json_is_bad_data_and_is_not_sent(number: float) -> None:
    endpoint = RecordingEndpoint()
    with pytest.raises(BadBookingData, match="JSON does not allow"):
        await endpoint.book(having(deep=[{"number": number}]))
    assert endpoint.requests == []
