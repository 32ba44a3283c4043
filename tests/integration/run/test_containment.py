"""An exception, a hang or a cancellation at one venue does not affect the others, and the run fails."""

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
from tests.support.world import BOOKED, CLAIM, FINISH, World

SECRET = "canary-of-an-exception"


class UnexpectedError(Exception):
    """An exception that a booker does not declare."""


class RaisingBooker:
    """A booker that raises at one kind of call."""

    def __init__(self, booker: Booker, at: str, raised: BaseException) -> None:
        self._booker, self._at, self._raised = booker, at, raised
        self.max_unclear_calls = booker.max_unclear_calls

    def is_ready(self, row: Prebooking) -> bool:
        self._raise_at("is_ready")
        return self._at != "prepare" and self._booker.is_ready(row)

    async def prepare(self, row: Prebooking, *, timeout: float, renew: bool = False) -> Outcome | None:  # noqa: ASYNC109 - see Booker
        self._raise_at("prepare")
        return await self._booker.prepare(row, timeout=timeout, renew=renew)

    async def book(self, row: Prebooking, *, timeout: float, gate: Gate) -> Outcome:  # noqa: ASYNC109 - see Booker
        self._raise_at("book")
        outcome = await self._booker.book(row, timeout=timeout, gate=gate)
        self._raise_at("book, after the call")
        return outcome

    async def confirm(self, row: Prebooking, *, timeout: float) -> Outcome:  # noqa: ASYNC109 - see Booker
        self._raise_at("confirm")
        return await self._booker.confirm(row, timeout=timeout)

    def _raise_at(self, call: str) -> None:
        if call == self._at:
            raise self._raised


def raising_at(venue_id: UUID, at: str, raised: BaseException) -> Callable[[OpenBooker], OpenBooker]:
    """Replace the opener, so that the booker of one venue raises at this kind of call."""

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


@pytest.mark.parametrize("raised", [UnexpectedError(SECRET), asyncio.CancelledError(SECRET), TimeoutError(SECRET)])
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
    world.replace_opener = raising_at(bad, at, raised)
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
    """A booker whose calls of one kind take a minute and ignore cancellation."""

    async def book(self, row: Prebooking, *, timeout: float, gate: Gate) -> Outcome:  # noqa: ASYNC109 - see Booker
        outcome = await super().book(row, timeout=timeout, gate=gate)
        await go_on(self._at == "book")
        return outcome

    async def confirm(self, row: Prebooking, *, timeout: float) -> Outcome:  # noqa: ASYNC109 - see Booker
        await go_on(self._at == "confirm")
        return await super().confirm(row, timeout=timeout)

    def _raise_at(self, call: str) -> None:
        """Raise nothing."""


async def go_on(is_here: bool = True, *, seconds: float = 60) -> None:  # noqa: FBT001, FBT002 - the only argument but one
    """Sleep for this long, and ignore cancellation."""
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
                yield Stubborn(booker, here, UnexpectedError())
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
    assert len(world.sent()) == (4 if at in ("book", "close") else 2), "the calls that go on send nothing more"


def test_a_call_that_ignores_cancellation_is_not_sent_after_a_failed_run(world: World) -> None:
    """I1: the row was released long before the last start, and another run may call it."""
    [row] = world.opening(1)

    booker = world.use(ScriptedBooker(on_book=lambda _: go_on(seconds=1)))

    def breaks(called: str) -> str:
        if called != FINISH and world.to_database.calls.count(CLAIM) > 1:
            raise UnexpectedError
        return ""

    world.to_database.loses = breaks

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
    assert world.held(bad_rows) == [None] * 2


def test_a_venue_with_hanging_connections_does_not_delay_a_later_claim(world: World) -> None:
    world.opening(6, at=-1)
    other = add_venue(world.connection)

    async def steps() -> list[tuple[str, str | None]]:
        handshakes = iter([1.9] * 4)
        world.to_venues.connect = lambda _: next(handshakes, 0.0)
        run = asyncio.create_task(world.invoke())
        await asyncio.sleep(0.05)
        late = world.opening(1, venue=other)
        await asyncio.sleep(1)
        ends = world.ends(late)
        await run
        return ends

    assert world.run(steps()) == [BOOKED]
