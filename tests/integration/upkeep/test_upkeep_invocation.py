"""One invocation of upkeep: it asks once what is due, and no part stops another."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from prebooking import __version__
from prebooking.clock import Deadline
from prebooking.database.upkeep import UpkeepStore
from prebooking.errors import StoreUnavailable
from prebooking.local.venue.aimharder import TOKEN_UPDATE
from prebooking.upkeep.part import ERRORS, OUT_OF_TIME
from prebooking.upkeep.run import NO_TIME, PARTS
from tests.support.boxes import Gym
from tests.support.world import ENVIRONMENT

HOUR = 3600.0


class ScriptedPart:
    """A part that does what a test says."""

    def __init__(self, does: Callable[[Deadline], Awaitable[dict[str, int]]]) -> None:
        self.run = does


def use_parts(monkeypatch: pytest.MonkeyPatch, **parts: Callable[[Deadline], Awaitable[dict[str, int]]]) -> None:
    """Replace all parts of upkeep with these, which are all due."""
    for name in list(PARTS):
        monkeypatch.delitem(PARTS, name)
    for name, does in parts.items():
        monkeypatch.setitem(PARTS, name, lambda _, does=does: ScriptedPart(does))
    due = UpkeepStore.due

    async def all_due(store: UpkeepStore, **how: object) -> object:
        answer = await due(store, **how)  # type: ignore[arg-type]
        return answer.model_copy(update=dict.fromkeys(parts, True))

    monkeypatch.setattr(UpkeepStore, "due", all_due)


async def fine(_: Deadline) -> dict[str, int]:
    return {"done": 1}


async def fails(_: Deadline) -> dict[str, int]:
    raise LookupError("ana@example.com")


async def is_not_answered(_: Deadline) -> dict[str, int]:
    raise StoreUnavailable("some_function_v1", "ReadTimeout")


async def hangs(_: Deadline) -> dict[str, int]:
    await asyncio.Event().wait()
    return {}


def old_login(gym: Gym, minutes: float, *, opens: float = HOUR) -> str:
    """Add a member with a login of this age and a prebooking."""
    email = gym.member("ana", old=timedelta(minutes=minutes))
    gym.prebook(email, gym.gym_class(at=opens))
    return email


def test_nothing_due_is_one_call_of_the_database_and_none_of_a_venue(gym: Gym) -> None:
    old_login(gym, 24)
    kept = gym.world.run(gym.keep_up())
    assert (kept.success, kept.as_json()["message"], kept.parts) == (True, "Nothing was due", {})
    assert gym.world.to_database.calls == ["upkeep_due_v2"]
    assert gym.connection.execute("select version from prebooking_heartbeat").fetchall() == [(__version__,)]
    assert gym.twin.ledger.arrivals(None) == []


def test_a_login_of_25_minutes_is_refreshed(gym: Gym) -> None:
    email = old_login(gym, 25.1)
    kept = gym.world.run(gym.keep_up())
    assert kept.parts["logins"]["refreshed"] == 1
    assert gym.calls(TOKEN_UPDATE) == [email]


def test_a_login_is_refreshed_every_25_minutes(gym: Gym) -> None:
    email = old_login(gym, 0, opens=4 * HOUR)

    async def hours() -> None:
        for _ in range(3 * 60):
            await gym.keep_up()
            await asyncio.sleep(60)

    gym.world.run(hours())
    assert 180 // 30 <= len(gym.calls(TOKEN_UPDATE)) <= 180 // 25
    assert not gym.session(email)["expired"]


def test_a_login_is_not_due_while_its_member_is_being_booked(gym: Gym) -> None:
    old_login(gym, 26, opens=30)
    assert gym.world.run(gym.keep_up()).parts == {}


@pytest.mark.parametrize("broken", [fails, is_not_answered])
def test_a_part_that_fails_stops_no_other(
    gym: Gym, monkeypatch: pytest.MonkeyPatch, broken: Callable[[Deadline], Awaitable[dict[str, int]]]
) -> None:
    use_parts(monkeypatch, first=broken, second=fine)
    kept = gym.world.run(gym.keep_up())
    assert (kept.success, kept.failed, kept.parts) == (False, ["first"], {"first": {}, "second": {"done": 1}})
    assert "ana@" not in json.dumps(kept.as_json())


def test_a_part_that_hangs_is_cancelled_and_stops_no_other(
    gym: Gym, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use_parts(monkeypatch, first=hangs, second=fine)
    kept = gym.world.run(gym.keep_up())
    assert (kept.success, kept.timed_out, kept.failed) == (False, True, ["first"])
    assert kept.parts["second"] == {"done": 1}
    assert kept.execution_time_ms < 9_500, "there is time for the answer"
    assert [line for line in capsys.readouterr().out.splitlines() if '"unexpected"' in line] == []


@pytest.mark.parametrize(("count", "success", "timed_out"), [(ERRORS, False, False), (OUT_OF_TIME, True, True)])
def test_counts_of_a_part_decide_on_the_answer(
    gym: Gym, monkeypatch: pytest.MonkeyPatch, count: str, *, success: bool, timed_out: bool
) -> None:
    async def counts(_: Deadline) -> dict[str, int]:
        return {count: 1}

    use_parts(monkeypatch, only=counts, other=fine)
    kept = gym.world.run(gym.keep_up())
    assert (kept.success, kept.timed_out) == (success, timed_out)
    assert kept.details == {f"only_{count}": 1, "other_done": 1, "no_login": 0}


def test_an_unanswered_question_is_a_failure_and_runs_no_part(gym: Gym) -> None:
    old_login(gym, 26)
    gym.world.to_database.loses = lambda _: "before"
    kept = gym.world.run(gym.keep_up())
    assert (kept.success, kept.parts, gym.twin.ledger.arrivals(None)) == (False, {}, [])
    assert kept.as_json()["message"] == "Upkeep failed: see the log"


def test_an_upkeep_without_time_asks_and_reports_nothing_and_says_so(gym: Gym, monkeypatch: pytest.MonkeyPatch) -> None:
    """The platform's deadline is near after a slow cold start."""
    for name, value in (ENVIRONMENT | {"HEARTBEAT_URL": "http://127.0.0.1:9/ping"}).items():
        monkeypatch.setenv(name, value)
    old_login(gym, 26)
    kept = gym.world.run(gym.keep_up(guard=0.0))
    assert (kept.success, kept.timed_out, kept.failed, kept.as_json()["message"]) == (True, True, [], NO_TIME)
    assert (gym.world.to_database.calls, gym.twin.ledger.arrivals(None)) == ([], [])


BROKEN = {
    "upkeep_repeats_due": "repeats",
    "upkeep_classes_due": "classes",
    "upkeep_places_due": "places",
    "warn_about_logins_v1": "warnings",
    "prebooking_repair_choices": "choices",
    "prebooking_raise_alerts": "alerts",
}


@pytest.mark.parametrize("function", BROKEN)
def test_a_broken_function_of_the_database_stops_no_other_part(gym: Gym, function: str) -> None:
    email = old_login(gym, 26)
    gym.connection.execute(f"alter function public.{function} rename to gone".encode())
    kept = gym.world.run(gym.keep_up())
    assert gym.calls(TOKEN_UPDATE) == [email]
    assert BROKEN[function] in [*kept.failed, *kept.parts]
    assert kept.success is (BROKEN[function] in kept.parts)


def test_a_lost_answer_is_asked_for_again(gym: Gym) -> None:
    email = old_login(gym, 26)
    gym.world.lose("upkeep_due_v2", "after")
    assert gym.world.run(gym.keep_up()).success
    assert gym.world.to_database.calls[:2] == ["upkeep_due_v2"] * 2
    assert gym.calls(TOKEN_UPDATE) == [email]
