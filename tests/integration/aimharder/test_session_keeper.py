"""Upkeep of logins, on a virtual clock: the box, the sessions and the warnings are checked."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest

from prebooking.bookers.aimharder.seal import Seal
from prebooking.bookers.aimharder.site import Session
from prebooking.local.venue.aimharder import TOKEN_UPDATE
from prebooking.local.venue.twin import DROP, CallPlan
from prebooking.local.venue.verdicts import VERDICTS
from tests.support.boxes import KEYS, SEAL, Gym, side_by_side
from tests.support.database import Database
from tests.support.doubles import VirtualClock
from tests.support.world import World

OLD = timedelta(minutes=9)
HOUR = 3600.0


def member(gym: Gym, name: str, *, opens: float = HOUR, old: timedelta = OLD) -> str:
    """Add a member with an old login and a prebooking."""
    email = gym.member(name, old=old)
    gym.prebook(email, gym.gym_class(at=opens))
    return email


def warning(gym: Gym, email: str) -> str | None:
    row = gym.connection.execute("select warning from public.prebookings where user_email = %s", [email]).fetchone()
    assert row is not None
    return None if row[0] is None else str(row[0])


def test_a_session_is_kept_alive_for_a_day_and_then_books(gym: Gym) -> None:
    email = member(gym, "ana", opens=23 * HOUR)

    async def scenario() -> str:
        for _ in range(3 * 23):
            await gym.keep_sessions()
            await asyncio.sleep(20 * 60 - 8)
        await asyncio.sleep(10 * 60)  # past the opening, and before the session's half hour is over
        return (await gym.invoke()).message

    assert gym.world.run(scenario()) == "Processed 1 prebooking"
    assert [act.member for act in gym.twin.ledger.bookings()] == [email]
    assert gym.session(email)["version"] > 60


def test_the_answer_counts_refreshes_and_recent_logins_are_left(gym: Gym) -> None:
    old = [member(gym, name) for name in ("ana", "ben")]
    member(gym, "cleo", old=timedelta(minutes=7))
    kept = gym.world.run(gym.keep_sessions())
    assert kept.as_json()["message"] == "Upkeep of logins"
    counts = {"refreshed": 2, "logged_in": 0, "expired": 0, "wrong_password": 0, "failed": 0}
    assert (kept.success, kept.parts) == (True, {"logins": counts})
    assert gym.calls(TOKEN_UPDATE) == old


def test_a_session_that_is_over_warns_long_before_the_opening(gym: Gym) -> None:
    email = member(gym, "ana", opens=23 * HOUR)
    gym.twin.members.log_out(email)
    kept = gym.world.run(gym.keep_sessions())
    assert (kept.success, kept.parts["logins"]["expired"]) == (True, 1)
    assert warning(gym, email) == "session_expired: the venue asks the member to log in again."
    assert gym.session(email)["expired"]


@pytest.mark.parametrize("answer", ["down", "page", "list", "cut_json", "drop"])
def test_a_failed_refresh_is_warned_about_and_tried_again(gym: Gym, answer: str) -> None:
    email = member(gym, "ana")
    gym.twin.script(email, CallPlan(acts=False, answer=VERDICTS.get(answer, DROP)), path=TOKEN_UPDATE)

    async def scenario() -> str | None:
        await gym.keep_sessions()
        first = warning(gym, email)
        await asyncio.sleep(31)
        await gym.keep_sessions()
        return first

    assert gym.world.run(scenario()) == (
        "session_not_refreshed: AimHarder did not refresh the login; it is tried again."
    )
    assert (warning(gym, email), gym.session(email)["version"]) == (None, 2)


@pytest.mark.parametrize(("token", "seal"), [("token", Seal(bytes(32))), ("no token", SEAL)])
def test_a_session_that_cannot_be_opened_is_warned_about_and_left(gym: Gym, token: str, seal: Seal) -> None:
    email = "ana@example.com"
    gym.keep(email, Session(token, {}, "f" * 50), old=OLD, seal=seal)
    gym.connection.execute("update public.member_sessions set key_id = null")  # it may be ours
    gym.prebook(email, gym.gym_class(at=HOUR))
    kept = gym.world.run(gym.keep_sessions())
    assert (kept.parts["logins"]["failed"], gym.twin.ledger.arrivals(None)) == (1, [])
    assert "cannot be opened" in (warning(gym, email) or "")


def test_a_venue_that_blocks_us_is_paused_and_called_no_more(gym: Gym) -> None:
    members = [member(gym, name) for name in ("ana", "ben", "cleo")]
    gym.twin.script(members[0], CallPlan(acts=False, answer=VERDICTS["blocked"]), path=TOKEN_UPDATE)
    gym.world.run(gym.keep_sessions())
    assert gym.calls(TOKEN_UPDATE) == members[:1]
    row = gym.connection.execute("select paused_until is not null from public.venues").fetchone()
    assert row == (True,)


def test_concurrent_rounds_refresh_each_session_once(gym: Gym) -> None:
    members = [member(gym, name) for name in ("ana", "ben", "cleo", "dan")]
    gym.world.run(side_by_side(gym.keep_sessions(), gym.keep_sessions(), gym.keep_sessions()))
    assert sorted(gym.calls(TOKEN_UPDATE)) == sorted(members)
    assert [gym.session(email)["version"] for email in members] == [2] * 4


def test_a_concurrent_round_and_booking_refresh_the_session_once(gym: Gym) -> None:
    email = gym.member("ana", old=timedelta(minutes=21))
    row = gym.prebook(email, gym.gym_class())
    gym.twin.expire(email)
    gym.world.run(side_by_side(gym.keep_sessions(), gym.invoke()))
    assert gym.calls(TOKEN_UPDATE) == [email]
    assert gym.end(row) == ("completed", "booked")


def test_refreshes_are_spaced_out_and_end_within_the_guard(gym: Gym) -> None:
    for number in range(60):
        member(gym, f"member{number}")
    kept = gym.world.run(gym.keep_sessions())
    at = [arrival.at for arrival in gym.twin.ledger.arrivals(path=TOKEN_UPDATE)]
    assert min((after - before).total_seconds() for before, after in pairwise(at)) > 0.099
    assert (kept.timed_out, kept.execution_time_ms < 8_000) == (True, True)
    assert 20 < kept.parts["logins"]["refreshed"] < 60, "the others are left to the next round"
    leased = "select count(*) from public.member_sessions where version = 1 and leased_by is not null"
    assert gym.connection.execute(leased).fetchall()[0][0] <= 10, "no booking can renew a login that is leased"


def test_a_refresh_that_is_not_answered_leaves_time_for_the_warning(gym: Gym) -> None:
    email = member(gym, "ana")
    gym.twin.script(email, CallPlan(delay_before=9), path=TOKEN_UPDATE)
    kept = gym.world.run(gym.keep_sessions())
    assert (warning(gym, email) or "").startswith("session_not_refreshed: ")
    assert kept.execution_time_ms < 7_000


@pytest.mark.parametrize("function", ["claim_sessions_v1", "save_session_v1"])
def test_an_unreachable_database_is_a_failure(gym: Gym, function: str) -> None:
    member(gym, "ana")
    gym.world.to_database.loses = lambda called: "before" if called == function else ""
    assert not gym.world.run(gym.keep_sessions()).success


# one bad login or venue


@pytest.mark.parametrize(
    "spoils",
    [
        "update public.venues set host = 'xn--x.aimharder.com' where id = %s",
        "update public.venues set timezone = 'UTC', host = 'a..b' where id = %s",
        "update public.member_sessions set refreshed_at = '4000-01-01 BC' where venue_id = %s",
        "update public.member_sessions set sealed = '?' where venue_id = %s",
    ],
)
def test_a_bad_login_or_venue_ends_no_other_login(database: Database, spoils: str) -> None:
    world = World(database)
    bad, good = Gym(world), Gym(world, host="good.aimharder.com")
    for number in range(12):  # more than are leased at once, and those of the bad venue first
        member(bad, f"member{number}", opens=HOUR)
    email = member(good, "ana", opens=HOUR + 60)
    for rule in ("venues drop constraint venues_host_check", "member_sessions alter refreshed_at type timestamptz"):
        world.connection.execute(f"alter table public.{rule}".encode())  # these rules refuse most of the cases
    world.connection.execute(spoils.encode(), [bad.venue])
    kept = world.run(good.keep_sessions())
    assert good.calls(TOKEN_UPDATE)[-1:] == [email]
    assert good.session(email)["version"] == 2
    assert kept.parts["logins"]["refreshed"] + kept.parts["logins"]["failed"] == 13


def test_an_unexpected_error_ends_no_other_login(gym: Gym) -> None:
    members = [member(gym, name) for name in ("ana", "ben", "cleo")]
    gym.world.lose("save_session_v1", RuntimeError("a bug"))
    assert not gym.world.run(gym.keep_sessions()).success
    assert [gym.session(email)["version"] for email in members] == [1, 2, 2]


# warnings hours before the opening


def test_a_member_without_a_login_is_warned_by_the_keeper(gym: Gym) -> None:
    gym.prebook("ana@example.com", gym.gym_class(at=23 * HOUR))
    kept = gym.world.run(gym.keep_sessions())
    assert kept.no_login == 1
    assert (warning(gym, "ana@example.com") or "").startswith("no_login: ")


def test_a_login_sealed_with_another_key_is_left_and_warned_about(gym: Gym) -> None:
    email = member(gym, "ana")
    kept = gym.world.run(gym.keep_sessions(SESSION_ENCRYPTION_KEY="A" * 43 + "="))
    assert (kept.success, kept.parts["logins"]["failed"], gym.calls(TOKEN_UPDATE)) == (True, 0, [])
    assert (warning(gym, email) or "").startswith("other_key: ")

    gym.world.run(gym.keep_sessions())
    assert (warning(gym, email), gym.session(email)["version"]) == (None, 2)


def test_a_keeper_without_a_key_warns_of_nothing(gym: Gym) -> None:
    email = member(gym, "ana")
    kept = gym.world.run(gym.keep_sessions(SESSION_ENCRYPTION_KEY=""))
    assert (kept.success, warning(gym, email), gym.session(email)["version"]) == (True, None, 1)


def test_a_function_clock_that_is_an_hour_ahead_refreshes_no_recent_login(gym: Gym) -> None:
    member(gym, "ana", old=timedelta(minutes=7))
    gym.world.run(gym.keep_sessions(clock=VirtualClock(wall_skew=timedelta(hours=1))))
    assert gym.calls(TOKEN_UPDATE) == []


def test_a_refreshed_login_is_sealed_with_the_current_key_and_has_its_id(gym: Gym) -> None:
    member(gym, "ana")
    gym.world.run(
        gym.keep_sessions(
            SESSION_ENCRYPTION_KEY="A" * 43 + "=", SESSION_ENCRYPTION_KEY_PREVIOUS=KEYS["SESSION_ENCRYPTION_KEY"]
        )
    )
    row = gym.connection.execute("select version, key_id from public.member_sessions").fetchone()
    assert row == (2, Seal(bytes(32)).key_ids[0])
