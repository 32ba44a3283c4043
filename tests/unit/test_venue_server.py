"""Network faults of a call, over sockets and on virtual time."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest

from prebooking.local.venue.server import TwinTransport, serve
from prebooking.local.venue.twin import DROP, HANG, Act, Arrival, CallPlan, Ledger, TwinReply
from tests.support.doubles import EPOCH, DeadlockError, VirtualClock, run_virtual
from tests.support.venues import book, on_virtual_time, venue


class Watched(Ledger):
    """A ledger with events for its first call and its first act."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived, self.acted = asyncio.Event(), asyncio.Event()

    def write(self, entry: Arrival | Act) -> None:
        super().write(entry)
        (self.acted if isinstance(entry, Act) else self.arrived).set()


def seconds(entry: Arrival | Act) -> float:
    return (entry.at - EPOCH).total_seconds()


async def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize(("acts", "bookings"), [(False, 0), (True, 1)])
def test_a_connection_is_cut_before_or_after_the_venue_acts(carried: Any, *, acts: bool, bookings: int) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        with pytest.raises(httpx.RemoteProtocolError):
            await book(client, "ana")

    carried(twin := venue(plan=lambda _: CallPlan(acts=acts, answer=DROP)), scenario)
    assert len(twin.ledger.arrivals()) == 1
    assert len(twin.ledger.bookings()) == bookings


@pytest.mark.parametrize(("acts", "bookings"), [(False, 0), (True, 1)])
def test_a_canned_answer_is_sent_with_or_without_an_act(carried: Any, *, acts: bool, bookings: int) -> None:
    plan = CallPlan(acts=acts, answer=TwinReply(503, {"Retry-After": "9"}, b"down"))

    answer = carried(twin := venue(plan=lambda _: plan), lambda client: book(client, "ana"))

    assert (answer.status_code, answer.headers["retry-after"], answer.content) == (503, "9", b"down")
    assert len(twin.ledger.bookings()) == bookings


def test_a_cancelled_call_that_has_arrived_is_acted_on(carried: Any) -> None:
    ledger = Watched()

    async def scenario(client: httpx.AsyncClient) -> None:
        call = asyncio.create_task(book(client, "ana"))
        await ledger.arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert not ledger.acted.is_set()
        await asyncio.wait_for(ledger.acted.wait(), timeout=10)

    carried(venue(ledger=ledger, plan=lambda _: CallPlan(delay_before=0.05)), scenario)
    assert len(ledger.bookings_of("id of ana")) == 1


def test_a_body_can_be_read_raw_and_once(carried: Any) -> None:
    async def scenario(client: httpx.AsyncClient) -> list[bytes]:
        async with client.stream("GET", "/book") as answer:
            return [chunk async for chunk in answer.aiter_raw()]

    assert carried(venue(), scenario) == [b'{"state": "unauthorized"}']


@pytest.mark.anyio
async def test_a_server_ends_at_once_despite_open_calls() -> None:
    ledger = Watched()
    twin = venue(ledger=ledger)
    twin.script("ana", CallPlan(delay_before=3_600))
    twin.script("ben", CallPlan(answer=HANG))
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        async with serve(twin) as url:
            client.base_url = httpx.URL(url)
            calls = [asyncio.create_task(book(client, "ana"))]
            await ledger.arrived.wait()
            calls.append(asyncio.create_task(book(client, "ben")))
            await ledger.acted.wait()
            assert (await book(client, "cleo")).status_code == 201
            assert not any(call.done() for call in calls)
            leaving = time.monotonic()
        assert time.monotonic() - leaving < 1
        ends = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(end) for end in ends] == [httpx.RemoteProtocolError] * 2
    assert [act.member for act in ledger.bookings()] == ["ben", "cleo"]


def test_a_call_that_hangs_is_acted_on_and_never_answered() -> None:
    twin = venue(plan=lambda _: CallPlan(answer=HANG))

    with pytest.raises(DeadlockError):
        on_virtual_time(twin, lambda client: book(client, "ana", timeout=httpx.Timeout(None)))
    assert len(twin.ledger.bookings()) == 1


def test_delays_are_before_and_after_the_act_and_on_the_way() -> None:
    async def scenario(client: httpx.AsyncClient) -> float:
        await book(client, "ana")
        return await now()

    twin = venue(now=VirtualClock().now, plan=lambda _: CallPlan(delay_before=2, delay_after=4))

    assert on_virtual_time(twin, scenario, connect=16, there=1, back=lambda _: 8) == 31
    assert [seconds(entry) for entry in twin.ledger.entries] == [17, 19]


def test_calls_of_one_instant_arrive_in_order() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        await asyncio.gather(*(book(client, who) for who in "zyxwvutsrqponm"))

    on_virtual_time(twin := venue(), scenario, there=0.02)
    assert "".join(arrival.member for arrival in twin.ledger.first_calls()) == "zyxwvutsrqponm"


def test_a_connection_that_fails_carries_nothing() -> None:
    refusals, traced = iter([True, False]), list[str]()

    async def trace(event: str, _: dict[str, Any]) -> None:
        traced.append(event)

    async def scenario(client: httpx.AsyncClient) -> float:
        with pytest.raises(httpx.ConnectError):
            await book(client, "ana", extensions={"trace": trace})
        assert (traced, twin.ledger.entries) == ([], ())
        await book(client, "ana", extensions={"trace": trace})
        return await now()

    twin = venue()
    assert on_virtual_time(twin, scenario, connect=3, refuses=lambda _: next(refusals)) == 6
    assert traced == ["http11.send_request_headers.started"]
    assert len(twin.ledger.bookings()) == 1


def test_the_trace_can_stop_a_call_right_before_its_first_byte(carried: Any) -> None:
    async def trace(event: str, _: dict[str, Any]) -> None:
        if event == "http11.send_request_headers.started":
            raise LookupError("not now")

    async def scenario(client: httpx.AsyncClient) -> None:
        with pytest.raises(LookupError, match="not now"):
            await book(client, "ana", extensions={"trace": trace})

    carried(twin := venue(), scenario)
    assert twin.ledger.entries == ()


@pytest.mark.parametrize(("after", "bookings"), [(1, 0), (3, 1), (5, 1)])
def test_a_cancelled_call_is_stopped_only_before_it_is_sent(after: float, bookings: int) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(book(client, "ana"), timeout=after)

    on_virtual_time(twin := venue(), scenario, connect=2, there=2, back=2)
    assert len(twin.ledger.bookings()) == bookings


@pytest.mark.parametrize(
    ("limits", "error", "bookings"),
    [
        (httpx.Timeout(None, connect=1), httpx.ConnectTimeout, 0),
        (httpx.Timeout(None, read=1), httpx.ReadTimeout, 1),
    ],
)
def test_a_clients_own_timeouts_hold(limits: httpx.Timeout, error: type[Exception], bookings: int) -> None:
    async def scenario(client: httpx.AsyncClient) -> float:
        with pytest.raises(error):
            await book(client, "ana", timeout=limits)
        return await now()

    twin = venue()
    connect = 2 if error is httpx.ConnectTimeout else 0
    assert on_virtual_time(twin, scenario, connect=connect, there=2) == 1
    assert len(twin.ledger.bookings()) == bookings


def test_calls_at_the_venue_can_outlive_a_run() -> None:
    twin = venue()
    left = list[str]()

    async def scenario() -> None:
        async with httpx.AsyncClient(transport=TwinTransport(twin, there=9), base_url="http://venue.test") as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(book(client, "ana"), timeout=1)

    run_virtual(scenario(), left=left)
    assert left == ["a call at the venue"]
