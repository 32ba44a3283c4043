"""Logins under stress: slow boxes, lost answers, two rows of one member, the keeper at the wrong moment."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest

from prebooking.local.venue.aimharder import BOOK, BOOKINGS, TOKEN_UPDATE, WHOAMI
from prebooking.local.venue.twin import DROP, CallPlan
from prebooking.local.venue.verdicts import VERDICTS, json_reply
from prebooking.run.attempt import CONFIRM_TIME
from tests.support.boxes import HOST, Gym
from tests.support.database import Database
from tests.support.doubles import EPOCH
from tests.support.world import World

OLD = timedelta(minutes=21)


@pytest.fixture
def gym(database: Database) -> Gym:
    return Gym(World(database))


def booked(gym: Gym) -> list[str]:
    return [act.member for act in gym.twin.ledger.bookings()]


def loses(gym: Gym, function: str, fates: list[str]) -> None:
    """Let the next calls of a function of the database end so; those after them as they should."""
    script: Iterator[str] = iter(fates)
    gym.world.wire.loses = lambda called: next(script, "") if called == function else ""


async def logs_in_after(gym: Gym, email: str, seconds: float) -> None:
    """Let the member log in anew in the middle of something."""
    await asyncio.sleep(seconds)
    gym.connection.execute("delete from public.member_sessions where user_email = %s", [email])
    gym.log_in(email)
    gym.connection.execute("update public.member_sessions set version = 2 where user_email = %s", [email])


# one member, two rows


@pytest.mark.parametrize("slow", [0.0, 0.1, 0.3])
def test_a_session_that_has_died_is_renewed_once_for_all_of_a_member_s_rows(gym: Gym, slow: float) -> None:
    email = gym.member("ana")
    rows = [gym.wish(email, gym.gym_class(time=time)) for time in ("07:00", "09:00")]
    gym.twin.expire(email)
    gym.twin.script(email, CallPlan(), CallPlan(), CallPlan(delay_before=slow), CallPlan(delay_before=slow), path=BOOK)
    gym.world.play(gym.invoke())
    assert gym.world.ends(rows) == [("completed", "booked")] * 2
    assert gym.calls(TOKEN_UPDATE) == [email]


def test_an_address_in_another_case_is_the_same_member(gym: Gym) -> None:
    email = gym.member("ana")
    gym.twin.expire(email)
    rows = [gym.wish(who, gym.gym_class(time=time)) for who, time in ((email, "07:00"), ("Ana@example.com", "09:00"))]
    gym.twin.script(email, CallPlan(delay_after=0.3), path=TOKEN_UPDATE)
    gym.world.play(gym.invoke())
    assert gym.world.ends(rows) == [("completed", "booked")] * 2


def test_a_token_that_may_be_used_up_is_not_sent_again_for_the_member_s_other_rows(gym: Gym) -> None:
    email = gym.member("ana")
    rows = [gym.wish(email, gym.gym_class(time=time)) for time in ("07:00", "08:00", "09:00")]
    gym.twin.expire(email)
    gym.twin.script(email, CallPlan(delay_before=9), path=TOKEN_UPDATE)
    gym.world.play(gym.invoke())
    assert gym.calls(TOKEN_UPDATE) == [email]
    assert gym.world.ends(rows) == [("pending", None)] * 3, "nobody knows, so nothing has failed"


def test_a_token_whose_answer_was_lost_is_not_sent_again_and_ends_no_login(gym: Gym) -> None:
    email = gym.member("ana")
    rows = [gym.wish(email, gym.gym_class(time=time)) for time in ("07:00", "08:00", "09:00")]
    gym.twin.expire(email)
    gym.twin.script(email, CallPlan(answer=DROP), path=TOKEN_UPDATE)
    gym.world.play(gym.invoke())
    assert gym.calls(TOKEN_UPDATE) == [email]
    assert (gym.world.ends(rows), gym.session(email)["expired"]) == ([("pending", None)] * 3, False)


def test_a_login_that_another_run_is_refreshing_is_waited_for(gym: Gym) -> None:
    email = gym.member("ana")
    gym.twin.expire(email)
    row = gym.wish(email, gym.gym_class())
    lease = "update public.member_sessions set leased_by = %s, leased_until = %s"
    gym.connection.execute(lease, [uuid4(), EPOCH + timedelta(seconds=30)])

    async def story() -> None:
        await asyncio.gather(gym.invoke(), logs_in_after(gym, email, 1.0))

    gym.world.play(story())
    assert (gym.world.ends([row]), gym.calls(TOKEN_UPDATE)) == ([("completed", "booked")], [])


# time


def test_a_refresh_is_not_begun_without_the_time_to_hear_its_answer(gym: Gym) -> None:
    email = gym.member("ana")
    gym.twin.expire(email)
    gym.wish(email, gym.gym_class())
    gym.world.play(gym.invoke(guard=5.0))
    assert gym.calls(TOKEN_UPDATE) == []


def test_a_box_that_takes_three_seconds_to_refresh_costs_nobody_their_login(gym: Gym) -> None:
    members = [gym.member(name, old=OLD) for name in ("ana", "ben")]
    for email in members:
        gym.wish(email, gym.gym_class(at=7200))
        gym.twin.script(email, CallPlan(delay_before=3.0), path=TOKEN_UPDATE)
    gym.world.play(gym.keep_sessions())
    assert [gym.session(email)["version"] for email in members] == [2, 2]


def test_a_login_that_was_renewed_too_late_to_call_again_goes_back_in_line(gym: Gym) -> None:
    ana, ben = gym.member("ana"), gym.member("ben")
    class_id = gym.gym_class()
    rows = [gym.wish(email, class_id) for email in (ana, ben)]
    gym.twin.expire(ana)
    gym.twin.script(ana, CallPlan(delay_after=0.3), path=TOKEN_UPDATE)
    gym.twin.script(ben, CallPlan(acts=False, answer=VERDICTS["blocked"]), path=BOOK)
    summary = gym.world.play(gym.invoke())
    assert gym.world.ends(rows)[0] == ("pending", None)
    assert (gym.world.row(rows[0])["claimed_by"], gym.world.row(rows[0])["maybe_sent"]) == (None, False)
    assert summary.outcomes == {"blocked": 1, "logged_out": 1}


def test_a_refresh_by_another_run_is_waited_for_until_the_guard_and_no_longer(gym: Gym) -> None:
    email = gym.member("ana")
    gym.twin.expire(email)
    row = gym.wish(email, gym.gym_class())
    gym.twin.script(email, CallPlan(delay_after=4.0), path=BOOK)
    lease = "update public.member_sessions set leased_by = %s, leased_until = %s"
    gym.connection.execute(lease, [uuid4(), EPOCH + timedelta(seconds=30)])
    summary = gym.world.play(gym.invoke(guard=5.0))
    assert (summary.timed_out, summary.outcomes) == (False, {"logged_out": 1})
    assert gym.world.ends([row]) == [("pending", None)]


@pytest.mark.parametrize(("listed", "known"), [(0.9, 2.0), (0.45, 2.0)])
def test_the_two_questions_about_a_row_take_no_longer_than_one_may(gym: Gym, listed: float, known: float) -> None:
    email = gym.member("ana")
    left_behind(gym, email, gym.gym_class())
    gym.twin.script(email, CallPlan(delay_after=listed * CONFIRM_TIME), method="GET", path=BOOKINGS)
    gym.twin.script(email, CallPlan(delay_after=known * CONFIRM_TIME), method="GET", path=WHOAMI)
    summary = gym.world.play(gym.invoke())
    assert summary.execution_time_ms < 1100 * CONFIRM_TIME


# writes, and what they answer


def test_one_failed_write_of_the_keeper_costs_nobody_else_their_login(gym: Gym) -> None:
    members = [gym.member(name, old=OLD) for name in ("ana", "ben", "cleo", "dan")]
    for email in members:
        gym.wish(email, gym.gym_class(at=3600))
    for email in members[1:]:
        gym.twin.script(email, CallPlan(delay_after=1.9), path=TOKEN_UPDATE)
    loses(gym, "save_session_v1", ["before"] * 3)
    assert not gym.world.play(gym.keep_sessions()).success
    assert [gym.session(email)["version"] for email in members] == [1, 2, 2, 2]


def test_a_second_claim_of_the_keeper_that_fails_costs_nobody_their_login(gym: Gym) -> None:
    members = [gym.member(name, old=OLD) for name in ("ana", "ben")]
    for email in members:
        gym.wish(email, gym.gym_class(at=3600))
        gym.twin.script(email, CallPlan(delay_after=1.9), path=TOKEN_UPDATE)
    loses(gym, "claim_sessions_v1", ["", "before", "before", "before"])
    assert not gym.world.play(gym.keep_sessions()).success
    assert [gym.session(email)["version"] for email in members] == [2, 2]


def test_a_login_that_could_not_be_kept_books_all_the_same(gym: Gym) -> None:
    email = gym.member("ana")
    gym.twin.expire(email)
    row = gym.wish(email, gym.gym_class())
    loses(gym, "save_session_v1", ["before"] * 3)
    gym.world.play(gym.invoke())
    assert gym.world.ends([row]) == [("completed", "booked")]


@pytest.mark.parametrize("dead", [True, False])
def test_a_login_made_while_the_old_one_is_refreshed_is_the_one_that_counts(gym: Gym, *, dead: bool) -> None:
    email = gym.member("ana")
    gym.twin.expire(email)
    row = gym.wish(email, gym.gym_class())
    if dead:
        gym.twin.members.log_out(email)
    gym.twin.script(email, CallPlan(delay_after=1.0), path=TOKEN_UPDATE)

    async def story() -> None:
        await asyncio.gather(gym.invoke(), logs_in_after(gym, email, 0.5))

    gym.world.play(story())
    assert gym.world.ends([row]) == [("completed", "booked")]
    assert (gym.session(email)["version"], gym.session(email)["expired"]) == (2, False)


def test_a_login_made_while_the_old_one_is_refreshed_is_never_ended_by_us(gym: Gym) -> None:
    email = gym.member("ana")
    gym.twin.expire(email)
    row = gym.wish(email, gym.gym_class())
    gym.twin.script(email, CallPlan(delay_after=1.0), path=TOKEN_UPDATE)

    async def the_venue_ends_ours() -> None:
        await asyncio.sleep(1.03)
        theirs = gym.session(email)["cookies"]["amhrdrauth"]
        for session in [one for one in gym.twin.members._sessions.values() if one.cookie != theirs]:
            gym.twin.members._end(session, with_token=True)

    async def story() -> None:
        await asyncio.gather(gym.invoke(), logs_in_after(gym, email, 0.5), the_venue_ends_ours())

    gym.world.play(story())
    assert gym.world.ends([row]) == [("completed", "booked")]
    assert not gym.session(email)["expired"]


def test_a_login_that_is_removed_while_it_is_refreshed_fails_no_row_and_no_run(gym: Gym) -> None:
    email = gym.member("ana")
    gym.twin.expire(email)
    row = gym.wish(email, gym.gym_class())
    gym.twin.script(email, CallPlan(delay_after=1.0), path=TOKEN_UPDATE)

    async def logs_out() -> None:
        await asyncio.sleep(0.5)
        gym.connection.execute("delete from public.member_sessions where user_email = %s", [email])

    async def story() -> bool:
        summary, _ = await asyncio.gather(gym.invoke(), logs_out())
        return summary.success

    assert gym.world.play(story())
    assert gym.world.ends([row]) == [("pending", None)]


@pytest.mark.parametrize("token", ["\ud800", "a b", "x" * 5000])
def test_a_token_that_no_header_or_row_could_hold_is_not_kept_and_breaks_no_run(gym: Gym, token: str) -> None:
    gym.twin.members.token_life = timedelta(hours=2)
    email = gym.member("ana", old=timedelta(minutes=9))
    row = gym.wish(email, gym.gym_class(at=1300))
    gym.twin.script(email, CallPlan(acts=False, answer=json_reply({"newToken": token})), path=TOKEN_UPDATE)

    async def story() -> bool:
        await gym.keep_sessions()
        await asyncio.sleep(1310)
        return (await gym.invoke()).success

    assert gym.world.play(story())
    assert gym.world.ends([row]) == [("completed", "booked")], "with the token that was there before"


# the keeper at the wrong moment


@pytest.mark.parametrize("slow", [0.0, 0.2, 0.5])
def test_the_keeper_takes_no_login_away_at_the_opening(gym: Gym, slow: float) -> None:
    class_id = gym.gym_class(at=3)
    members = [gym.member(f"member{number}", old=timedelta(minutes=19, seconds=50)) for number in range(8)]
    rows = [gym.wish(email, class_id) for email in members]
    for email in members:
        gym.twin.script(email, CallPlan(delay_after=slow), path=TOKEN_UPDATE)

    async def keeper() -> None:
        await asyncio.sleep(2.9)
        await gym.keep_sessions()

    async def story() -> None:
        await asyncio.gather(keeper(), gym.invoke(LEAD_SECONDS="4"))

    gym.world.play(story())
    assert gym.world.ends(rows) == [("completed", "booked")] * 8
    assert gym.calls(BOOK) == members, "one call each"


# what proves nothing


def left_behind(gym: Gym, email: str, class_id: str, **data: str) -> UUID:
    lease = {"claimed_by": uuid4(), "claimed_until": EPOCH - timedelta(1), "turn_until": EPOCH - timedelta(1)}
    return gym.wish(email, class_id, data=data, **lease)


@pytest.mark.parametrize("shown", ["no class", "another class", "no mark"])
def test_a_day_that_does_not_show_the_member_s_mark_proves_nothing(gym: Gym, shown: str) -> None:
    email, class_id = gym.member("ana"), gym.gym_class()
    row = left_behind(gym, email, class_id)
    listed = {"no class": [], "another class": [{"id": 7, "bookState": None}], "no mark": [{"id": int(class_id)}]}
    gym.twin.script(email, CallPlan(answer=json_reply({"bookings": listed[shown]})), method="GET", path=BOOKINGS)

    async def story() -> None:
        gym.twin.book(replace(gym.world.wish(row), venue=HOST))
        await gym.invoke()

    gym.world.play(story())
    assert (booked(gym), gym.world.ends([row])) == ([email], [("pending", None)])


def test_a_family_member_s_place_is_looked_for_as_theirs(gym: Gym, monkeypatch: pytest.MonkeyPatch) -> None:
    left_behind(gym, gym.member("ana"), gym.gym_class(), family_id="77")
    asked: list[str] = []
    send = gym.world.venue_wire.handle_async_request

    async def listen(request: httpx.Request) -> httpx.Response:
        asked.extend([request.url.params["familyId"]] if request.url.path == BOOKINGS else [])
        return await send(request)

    monkeypatch.setattr(gym.world.venue_wire, "handle_async_request", listen)
    gym.world.play(gym.invoke())
    assert asked == ["77"]


# politeness


def test_a_box_that_is_down_for_a_class_is_called_four_times_in_all(gym: Gym) -> None:
    email = gym.member("ana")
    row = gym.wish(email, gym.gym_class())
    gym.twin.script(email, *[CallPlan(acts=False, answer=VERDICTS["down"])] * 200, path=BOOK)

    async def story() -> None:
        for _ in range(15):
            await gym.invoke()
            await asyncio.sleep(60)

    gym.world.play(story())
    assert (len(gym.calls(BOOK)), gym.world.ends([row])) == (4, [("failed", "rejected")])
    assert "4 calls" in gym.world.row(row)["error_message"]
