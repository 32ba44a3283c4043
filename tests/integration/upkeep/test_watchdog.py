"""Upkeep reports to the watchdog at HEARTBEAT_URL, and nothing that goes wrong there changes what upkeep does."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import httpx
import pytest

from prebooking.upkeep.run import UpkeepSummary, keep_up
from tests.support.boxes import KEYS, Gym, side_by_side
from tests.support.doubles import EPOCH, VirtualClock
from tests.support.world import ENVIRONMENT

URL = "https://hc.example.com/canary-of-the-check"
Answer = Callable[[], Awaitable[httpx.Response]]


async def ok() -> httpx.Response:
    return httpx.Response(200, stream=httpx.ByteStream(b"OK"))


async def hangs() -> httpx.Response:
    await asyncio.Event().wait()
    return await ok()


async def breaks() -> httpx.Response:
    raise httpx.ConnectError("canary")


async def is_no_http() -> httpx.Response:
    raise ValueError("canary")


async def is_gone() -> httpx.Response:
    return httpx.Response(404, stream=httpx.ByteStream(b"canary"))


async def redirects() -> httpx.Response:
    return httpx.Response(302, headers={"Location": "https://evil.example/"}, stream=httpx.ByteStream(b""))


class Watchdog(httpx.AsyncBaseTransport):
    """Records the reports, and answers as told."""

    def __init__(self, answer: Answer = ok) -> None:
        self.reports = list[tuple[str, str]]()
        self.headers = list[httpx.Headers]()
        self._answer = answer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.reports.append((request.method, str(request.url)))
        self.headers.append(request.headers)
        return await self._answer()


GOOD, BAD = ("GET", URL), ("GET", f"{URL}/fail")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (ENVIRONMENT | {"HEARTBEAT_URL": URL}).items():
        monkeypatch.setenv(name, value)


async def invoke(gym: Gym, watchdog: Watchdog, url: str = "", **how: Any) -> UpkeepSummary:
    """Invoke upkeep; ``url`` replaces the address from now on."""
    os.environ["HEARTBEAT_URL"] = url or os.environ["HEARTBEAT_URL"]
    return await gym.world.call(partial(keep_up, to_watchdog=watchdog), guard=8, **KEYS | how)


def test_a_good_upkeep_is_reported_once_without_any_secret(gym: Gym, capsys: pytest.CaptureFixture[str]) -> None:
    watchdog = Watchdog()
    assert gym.world.run(invoke(gym, watchdog)).success
    assert (watchdog.reports, "heartbeat" in capsys.readouterr().out) == ([GOOD], False)
    [headers] = watchdog.headers
    assert {"authorization", "apikey", "x-instance-id"} & set(headers) == set()


@pytest.mark.parametrize("url", [" ", "http://hc.example.com/canary", "https://169.254.169.254/canary", "canary"])
def test_without_a_usable_address_nothing_is_asked_or_sent(
    gym: Gym, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    watchdog = Watchdog()
    assert gym.world.run(invoke(gym, watchdog, url=url)).success
    logged = capsys.readouterr().out
    assert ("HEARTBEAT_URL" in logged, "canary" in logged) == (bool(url.strip()), False)
    assert (watchdog.reports, gym.world.to_database.calls) == ([], ["upkeep_due_v2"])


@pytest.mark.parametrize(
    ("address", "reported"),
    [
        ("https://hc.example.com/check/", "https://hc.example.com/check/fail"),
        ("https://hc.example.com/check?rid=7", "https://hc.example.com/check/fail?rid=7"),
        ("https://hc.example.com", "https://hc.example.com/fail"),
    ],
)
def test_a_bad_upkeep_is_reported_below_the_address(gym: Gym, address: str, reported: str) -> None:
    gym.connection.execute("alter function public.prebooking_repair_choices rename to gone")
    watchdog = Watchdog()
    assert not gym.world.run(invoke(gym, watchdog, url=address)).success
    assert watchdog.reports == [("GET", reported)]


@pytest.mark.parametrize("loss", ["before", "hangs"])
def test_a_dead_database_is_reported_in_time_for_the_answer(gym: Gym, loss: str) -> None:
    """Also if the watchdog does not answer either."""
    gym.world.to_database.loses = lambda _: loss
    watchdog = Watchdog(hangs)

    async def steps() -> tuple[UpkeepSummary, float]:
        kept = await invoke(gym, watchdog)
        return kept, (VirtualClock().now() - EPOCH).total_seconds()

    kept, took = gym.world.run(steps())
    assert (kept.success, watchdog.reports) == (False, [BAD])
    assert took < 9.6


def test_a_claim_of_the_report_that_is_not_answered_is_reported_as_bad(gym: Gym) -> None:
    gym.world.to_database.loses = lambda function: "before" if function == "claim_heartbeat_v1" else ""
    watchdog = Watchdog()
    assert gym.world.run(invoke(gym, watchdog)).success
    assert watchdog.reports == [BAD]


def test_a_lost_answer_to_the_claim_loses_no_report(gym: Gym) -> None:
    gym.world.lose("claim_heartbeat_v1", "after")
    watchdog = Watchdog()
    gym.world.run(invoke(gym, watchdog))
    assert watchdog.reports == [GOOD]


def test_there_is_one_report_per_minute_whatever_calls(gym: Gym) -> None:
    watchdog = Watchdog()

    async def steps() -> None:
        await side_by_side(*(invoke(gym, watchdog) for _ in range(3)))
        await asyncio.sleep(30)
        await invoke(gym, watchdog)
        assert watchdog.reports == [GOOD]
        await asyncio.sleep(30)
        await invoke(gym, watchdog)

    gym.world.run(steps())
    assert watchdog.reports == [GOOD] * 2


@pytest.mark.parametrize("answer", [hangs, breaks, is_no_http, is_gone, redirects])
def test_a_watchdog_that_fails_changes_nothing(gym: Gym, answer: Answer, capsys: pytest.CaptureFixture[str]) -> None:
    watchdog = Watchdog(answer)

    async def steps() -> tuple[UpkeepSummary, float]:
        kept = await invoke(gym, watchdog)
        return kept, (VirtualClock().now() - EPOCH).total_seconds()

    kept, took = gym.world.run(steps())
    assert (kept.success, kept.timed_out, kept.failed) == (True, False, [])
    assert watchdog.reports == [GOOD]
    assert kept.execution_time_ms < 100
    assert took < 2.2
    logged = capsys.readouterr().out
    assert ("heartbeat_not_taken" in logged, "canary" in logged) == (True, False)


@pytest.mark.parametrize("url", ["https://xn--a.example.com/", f"https://hc.example.com/{'a' * 70_000}"])
def test_an_address_that_the_client_cannot_read_changes_nothing(gym: Gym, url: str) -> None:
    watchdog = Watchdog()
    assert gym.world.run(invoke(gym, watchdog, url=url)).success
    assert watchdog.reports == []
