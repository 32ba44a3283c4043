"""Estimating the database's clock while rows are held: a few queries bring the first byte close to the opening."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from pydantic import AwareDatetime, TypeAdapter

from prebooking.clock import DatabaseTime, Deadline, Reading
from prebooking.database.client import IsolatedSupabase, create_isolated_supabase
from prebooking.run.hold import READINGS, read_clock_while_held
from prebooking.settings import Settings
from tests.support.database import Database
from tests.support.doubles import EPOCH, VirtualClock, run_virtual
from tests.support.world import ENVIRONMENT, World

Ways = tuple[float, float]  # seconds there and back; LOST: there is no answer
LOST = float("inf")
_instant = TypeAdapter(AwareDatetime).validate_python


class Network(httpx.AsyncBaseTransport):
    """A transport to the real SQL with a cycle of delays. ``asked_at`` is in seconds since EPOCH."""

    def __init__(self, database: Database, ways: Sequence[Ways]) -> None:
        self._to_database, self._ways = World(database).to_database, itertools.cycle(ways)
        self._to_database.there = self._to_database.back = 0.0
        self.asked_at: list[float] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked_at.append(asyncio.get_running_loop().time())
        there, back = next(self._ways)
        await asyncio.sleep(there)
        response = await self._to_database.handle_async_request(request)
        if back == LOST:
            raise httpx.ReadError("lost", request=request)
        await asyncio.sleep(back)
        return response


async def first_reading(supabase: IsolatedSupabase, clock: VirtualClock) -> DatabaseTime:
    """Return the time that one answer tells, as a claim's answer does."""
    asked = Reading.of(clock)
    answer = await supabase.call("prebooking_clock", {}, _instant, until=Deadline(clock, asked, 8))
    return DatabaseTime(clock, answer.value, asked, Reading.of(clock))


def held(network: Network, *, opens: float = 3.0, hold: bool = True) -> float:
    """Hold a row that opens this many seconds after the epoch, and return how late its first byte would leave."""

    async def steps() -> float:
        clock, opening = VirtualClock(), EPOCH + timedelta(seconds=opens)
        settings = Settings.from_environment(ENVIRONMENT)
        async with create_isolated_supabase(settings, uuid4(), clock=clock, transport=network) as supabase:
            time = await first_reading(supabase, clock)
            network.asked_at.clear()
            left = asyncio.create_task(leaves(time, opening))
            if hold:
                latest = max(opening, clock.now()) + timedelta(seconds=0.51)
                await read_clock_while_held(supabase, time, opening)
                assert clock.now() <= latest, "it ends at most one way after the opening"
            return await left

    return run_virtual(steps())


async def leaves(time: DatabaseTime, opening: datetime) -> float:
    await time.sleep_until(opening)
    database = VirtualClock().now()
    assert time.at_least() <= database <= time.at_most()
    return (database - opening).total_seconds()


def test_with_one_answer_the_first_byte_is_as_late_as_the_way_back(database: Database) -> None:
    late = held(Network(database, [(0.01, 0.1)]), hold=False)
    assert 0.1 <= late < 0.101


GOOD_ENOUGH: dict[str, list[Ways]] = {
    "a claim of 20 ms": [(0.01, 0.02), *[(0.01, 0.01)] * READINGS],
    "a claim of 50 ms": [(0.01, 0.05), *[(0.01, 0.01)] * READINGS],
    "a claim of 100 ms": [(0.01, 0.1), *[(0.01, 0.01)] * READINGS],
    "a claim of 500 ms": [(0.01, 0.5), *[(0.01, 0.01)] * READINGS],
    "jitter": [(0.01, 0.1), (0.02, 0.07), (0.1, 0.04), (0.01, 0.009), (0.01, 0.2), (0.03, 0.05)],
    "one answer": [(0.01, 0.1), *[(0.01, LOST)] * 4, (0.01, 0.01), *[(0.01, LOST)] * 20],
}


@pytest.mark.parametrize("ways", GOOD_ENOUGH.values(), ids=GOOD_ENOUGH)
def test_with_one_fast_answer_the_first_byte_is_at_most_12_ms_late(database: Database, ways: list[Ways]) -> None:
    """The claim's answer may be slow, and most answers may be slow or lost."""
    assert 0 <= held(Network(database, ways)) <= 0.012


def test_without_any_answer_the_first_byte_is_as_late_as_without_queries(database: Database) -> None:
    late = held(Network(database, [(0.01, 0.1), *[(0.01, LOST)] * 30]))
    assert 0.1 <= late < 0.101


@pytest.mark.parametrize(("there", "back"), [(0.08, 0.005), (0.005, 0.08), (0.3, 0.0)])
def test_an_asymmetric_network_sends_nothing_early(database: Database, there: float, back: float) -> None:
    late = held(Network(database, [(there, back)]))
    assert 0 <= late <= back + 0.001


def test_queries_are_spread_over_the_hold_and_end_before_the_opening(database: Database) -> None:
    network = Network(database, [(0.01, 0.01)])
    held(network)
    assert len(network.asked_at) == READINGS
    assert max(network.asked_at) <= 2.95
    gaps = [after - before for before, after in itertools.pairwise(network.asked_at)]
    assert min(gaps) > 0.4


def test_the_queries_of_a_short_hold_end_before_the_opening(database: Database) -> None:
    network = Network(database, [(0.01, 0.01)])
    held(network, opens=0.2)
    assert len(network.asked_at) == READINGS
    assert max(network.asked_at) <= 0.15


@pytest.mark.parametrize("opens", [-1.0, 0.02, 0.16])
def test_a_very_short_hold_and_a_late_one_have_no_queries(database: Database, opens: float) -> None:
    network = Network(database, [(0.01, 0.01)])
    held(network, opens=opens)
    assert network.asked_at == []
