"""The HTTP client that gives each request to its transport as it is."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from prebooking.http import isolated_client

pytestmark = pytest.mark.anyio


class Body(httpx.AsyncByteStream):
    """A body that records whether it was closed."""

    closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"body"

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize("location", ["https://elsewhere.example/", "https://[invalid/"])
async def test_a_redirect_is_an_answer_whatever_its_location_is(location: str) -> None:
    asked = list[httpx.Request]()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(302, headers={"Location": location})

    async with isolated_client(transport=httpx.MockTransport(answer)) as client:
        assert (await client.get("https://venue.example/")).status_code == 302
    assert len(asked) == 1


async def test_a_cookie_of_an_answer_is_not_sent_back() -> None:
    asked = list[httpx.Request]()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, headers={"Set-Cookie": "a=b"})

    async with isolated_client(transport=httpx.MockTransport(answer)) as client:
        await client.get("https://venue.example/")
        await client.get("https://venue.example/")
    assert [request.headers.get("Cookie") for request in asked] == [None, None]


async def test_a_response_that_a_hook_refuses_is_closed() -> None:
    body = Body()

    async def refuse(_: httpx.Response) -> None:
        raise ValueError("refused")

    async with isolated_client(transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=body))) as client:
        client.event_hooks = {"response": [refuse]}
        with pytest.raises(ValueError, match="refused"):
            await client.get("https://venue.example/")
    assert body.closed


async def test_a_closed_client_sends_nothing() -> None:
    async with isolated_client(transport=httpx.MockTransport(lambda _: httpx.Response(200))) as client:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        await client.get("https://venue.example/")
