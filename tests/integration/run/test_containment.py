"""Whatever goes wrong at one venue stays there: the others are booked on time, and the answer is 500."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from uuid import UUID

import pytest

from prebooking.bookers import Booker, Gate, OpenBooker
from prebooking.model import Outcome, Prebooking, Summary, Venue
from tests.support.bookers import ScriptedBooker
from tests.support.factories import add_venue
from tests.support.world import World

BOOKED = ("completed", "booked")
SECRET = "canary-of-an-exception"


class Unforeseen(Exception):
    """What no booker says it raises."""


class RaisingBooker:
    """A booker that raises at one kind of call."""

    def __init__(self, booker: Booker, at: str, raised: BaseException) -> None:
        self._booker, self._at, self._raised = booker, at, raised
        self.most_calls = booker.most_calls

    def is_ready(self, row: Prebooking) -> bool:
        self._strike("is_ready")
        return self._at != "prepare" and self._booker.is_ready(row)

    async def prepare(self, row: Prebooking, *, timeout: float, renew: bool = False) -> Outcome | None:  # noqa: ASYNC109 - see Booker
        self._strike("prepare")
        return await self._booker.prepare(row, timeout=timeout, renew=renew)

    async def book(self, row: Prebooking, *, timeout: float, gate: Gate) -> Outcome:  # noqa: ASYNC109 - see Booker
        self._strike("book")
        outcome = await self._booker.book(row, timeout=timeout, gate=gate)
        self._strike("book, after the call")
        return outcome

    async def confirm(self, row: Prebooking, *, timeout: float) -> Outcome:  # noqa: ASYNC109 - see Booker
        self._strike("confirm")
        return await self._booker.confirm(row, timeout=timeout)

    def _strike(self, call: str) -> None:
        if call == self._at:
            raise self._raised


def faulty_at(venue_id: UUID, at: str, raised: BaseException) -> Callable[[OpenBooker], OpenBooker]:
    """Return what replaces a way to open bookers, so that one venue's raises at a kind of call."""

    def replace(opens: OpenBooker) -> OpenBooker:
        @asynccontextmanager
        async def opened(venue: Venue) -> AsyncIterator[Booker]:
            if venue.id != venue_id:
                async with opens(venue) as booker:
                    yield booker
                return
            if at == "open":
                raise raised
            async with opens(venue) as booker:
                yield RaisingBooker(booker, at, raised)
            if at == "close":
                raise raised

        return opened

    return replace


CALLS = ["open", "is_ready", "prepare", "book", "book, after the call", "confirm", "close"]


@pytest.mark.parametrize("raised", [Unforeseen(SECRET), asyncio.CancelledError(SECRET), TimeoutError(SECRET)])
@pytest.mark.parametrize("at", CALLS)
def test_an_exception_of_one_booker_does_not_affect_other_venues(
    world: World,
    capsys: pytest.CaptureFixture[str],
    at: str,
    raised: BaseException,
) -> None:
    bad, good = add_venue(world.connection), add_venue(world.connection)
    doubtful = at == "confirm"
    bad_rows = world.opening(3, venue=bad, at=-1, maybe_sent=doubtful)
    good_rows = world.opening(3, venue=good)
    world.replace_opener = faulty_at(bad, at, raised)
    summary = world.run(world.invoke())
    assert world.ends(good_rows) == [BOOKED] * 3
    assert world.sent()[0] < 0.2
    assert not summary.success
    assert SECRET not in json.dumps(summary.as_json()) + capsys.readouterr().out
    assert world.twin.ledger.double_bookings() == {}
    held = [world.row(row)["claimed_by"] for row in bad_rows if world.row(row)["status"] == "pending"]
    sent = at == "book, after the call"
    assert all(holder == (summary.instance_id if sent else None) for holder in held)


class Stubborn(RaisingBooker):
    """A booker that at one kind of call goes on for a minute, although it is cancelled."""

    async def book(self, row: Prebooking, *, timeout: float, gate: Gate) -> Outcome:  # noqa: ASYNC109 - see Booker
        outcome = await super().book(row, timeout=timeout, gate=gate)
        await go_on(self._at == "book")
        return outcome

    async def confirm(self, row: Prebooking, *, timeout: float) -> Outcome:  # noqa: ASYNC109 - see Booker
        await go_on(self._at == "confirm")
        return await super().confirm(row, timeout=timeout)

    def _strike(self, call: str) -> None:
        """Raise nothing."""


async def go_on(is_here: bool = True, *, seconds: float = 60) -> None:  # noqa: FBT001, FBT002 - the only argument but one
    """Wait so long, whoever cancels it."""
    end = asyncio.get_running_loop().time() + seconds * is_here
    while (left := end - asyncio.get_running_loop().time()) > 0:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(left)


@pytest.mark.parametrize("at", ["open", "book", "confirm", "close"])
def test_a_booker_that_ignores_cancellation_does_not_keep_the_run_from_ending(world: World, at: str) -> None:
    bad, good = add_venue(world.connection), add_venue(world.connection)
    bad_rows = world.opening(2, venue=bad, at=-1, maybe_sent=at == "confirm")
    good_rows = world.opening(2, venue=good)

    def stubborn(opens: OpenBooker) -> OpenBooker:
        @asynccontextmanager
        async def opened(venue: Venue) -> AsyncIterator[Booker]:
            here = at if venue.id == bad else ""
            await go_on(here == "open")
            async with opens(venue) as booker:
                yield Stubborn(booker, here, Unforeseen())
            await go_on(here == "close")

        return opened

    world.replace_opener = stubborn

    async def steps() -> Summary:
        summary = await world.invoke()
        closed = world.connection.execute("select closed_at is not null from public.prebooking_runs").fetchone()
        assert closed == (True,)
        sent = [row for row in bad_rows if world.row(row)["claimed_by"]]
        assert sent == (bad_rows if at == "book" else [])
        await asyncio.sleep(70)
        return summary

    summary = world.run(steps())
    assert world.ends(good_rows) == [BOOKED] * 2
    assert summary.execution_time_ms < 9000
    assert not summary.success
    assert len(world.sent()) == (4 if at in ("book", "close") else 2), "what goes on sends nothing more"


def test_a_call_that_ignores_cancellation_is_not_sent_after_a_failed_run(world: World) -> None:
    """I1: its row was given back, long before the last start, and is somebody else's to call."""
    [row] = world.opening(1)

    class Slow(ScriptedBooker):
        async def book(self, row: Prebooking, *, timeout: float, gate: Gate) -> Outcome:  # noqa: ASYNC109 - see Booker
            await go_on(seconds=1)
            return await super().book(row, timeout=timeout, gate=gate)

    def breaks(called: str) -> str:
        if called != "finish_run_v1" and world.wire.calls.count("claim_due_prebookings_v1") > 1:
            raise Unforeseen
        return ""

    booker = world.use(Slow())
    world.wire.loses = breaks

    async def steps() -> Summary:
        summary = await world.invoke()
        await asyncio.sleep(2)
        return summary

    summary = world.run(steps())
    assert (summary.success, summary.execution_time_ms < 1000) == (False, True)
    assert (booker.calls, world.row(row)["claimed_by"]) == ([], None)


def test_a_booker_that_never_opens_does_not_delay_other_venues(world: World) -> None:
    bad, good = add_venue(world.connection), add_venue(world.connection)
    bad_rows, good_rows = world.opening(2, venue=bad, at=-1), world.opening(2, venue=good)

    def hangs(opens: OpenBooker) -> OpenBooker:
        @asynccontextmanager
        async def opened(venue: Venue) -> AsyncIterator[Booker]:
            if venue.id == bad:
                await asyncio.Event().wait()
            async with opens(venue) as booker:
                yield booker

        return opened

    world.replace_opener = hangs
    world.run(world.invoke())
    assert world.ends(good_rows) == [BOOKED] * 2
    assert world.sent()[0] < 0.2
    assert [world.row(row)["claimed_by"] for row in bad_rows] == [None] * 2


def test_a_venue_with_hanging_connections_does_not_delay_a_later_claim(world: World) -> None:
    world.opening(6, at=-1)
    other = add_venue(world.connection)

    async def steps() -> list[tuple[str, str | None]]:
        handshakes = iter([1.9] * 4)
        world.venue_wire.connect = lambda _: next(handshakes, 0.0)
        run = asyncio.create_task(world.invoke())
        await asyncio.sleep(0.05)
        late = world.opening(1, venue=other)
        await asyncio.sleep(1)
        ends = world.ends(late)
        await run
        return ends

    assert world.run(steps()) == [BOOKED]
