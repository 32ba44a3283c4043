"""Logins under stress: slow boxes, lost answers, several rows of one member, the keeper during an opening."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest

from prebooking.local.venue.aimharder import BOOK, BOOKINGS, TOKEN_UPDATE, WHOAMI
from prebooking.local.venue.twin import DROP, CallPlan
from prebooking.local.venue.verdicts import VERDICTS, json_reply
from prebooking.run.attempt import CONFIRM_TIME
from tests.support.boxes import Gym, side_by_side
from tests.support.doubles import EPOCH

OLD = timedelta(minutes=21)


def member_with_expired_session(gym: Gym) -> str:
    email = gym.member("ana")
    gym.twin.expire(email)
    return email


def lease_to_another_run(gym: Gym) -> None:
    lease = "update public.member_sessions set leased_by = %s, leased_until = %s"
    gym.connection.execute(lease, [uuid4(), EPOCH + timedelta(seconds=30)])


async def log_in_after(gym: Gym, email: str, seconds: float) -> None:
    """Replace the member's login after some seconds."""
    await asyncio.sleep(seconds)
    gym.connection.execute("delete from public.member_sessions where user_email = %s", [email])
    gym.log_in(email)
    gym.connection.execute("update public.member_sessions set version = 2 where user_email = %s", [email])


# one member, two rows


@pytest.mark.parametrize("slow", [0.0, 0.1, 0.3])
def test_an_expired_session_is_refreshed_once_for_all_rows_of_its_member(gym: Gym, slow: float) -> None:
    email = gym.member("ana")
    rows = [gym.prebook(email, gym.gym_class(time=time)) for time in ("07:00", "09:00")]
    gym.twin.expire(email)
    gym.twin.script(email, CallPlan(), CallPlan(), CallPlan(delay_before=slow), CallPlan(delay_before=slow), path=BOOK)
    gym.world.run(gym.invoke())
    assert gym.world.ends(rows) == [("completed", "booked")] * 2
    assert gym.calls(TOKEN_UPDATE) == [email]


def test_an_address_in_another_case_is_the_same_member(gym: Gym) -> None:
    email = member_with_expired_session(gym)
    rows = [gym.prebook(email, gym.gym_class()), gym.prebook("Ana@example.com", gym.gym_class(time="09:00"))]
    gym.twin.script(email, CallPlan(delay_after=0.3), path=TOKEN_UPDATE)
    gym.world.run(gym.invoke())
    assert gym.world.ends(rows) == [("completed", "booked")] * 2


@pytest.mark.parametrize("plan", [CallPlan(delay_before=9), CallPlan(answer=DROP)], ids=["too slow", "lost"])
def test_a_token_whose_refresh_has_no_answer_is_not_sent_again_and_ends_no_login(gym: Gym, plan: CallPlan) -> None:
    email = member_with_expired_session(gym)
    rows = [gym.prebook(email, gym.gym_class(time=time)) for time in ("07:00", "08:00", "09:00")]
    gym.twin.script(email, plan, path=TOKEN_UPDATE)
    gym.world.run(gym.invoke())
    assert gym.calls(TOKEN_UPDATE) == [email]
    assert (gym.world.ends(rows), gym.session(email)["expired"]) == ([("pending", None)] * 3, False)


def test_a_run_waits_for_a_login_that_another_run_is_refreshing(gym: Gym) -> None:
    email = member_with_expired_session(gym)
    row = gym.prebook(email, gym.gym_class())
    lease_to_another_run(gym)
    gym.world.run(side_by_side(gym.invoke(), log_in_after(gym, email, 1.0)))
    assert (gym.end(row), gym.calls(TOKEN_UPDATE)) == (("completed", "booked"), [])


# time


def test_a_refresh_is_not_started_without_time_for_its_answer(gym: Gym) -> None:
    gym.prebook(member_with_expired_session(gym), gym.gym_class())
    gym.world.run(gym.invoke(guard=5.0))
    assert gym.calls(TOKEN_UPDATE) == []


def test_a_box_that_takes_three_seconds_to_refresh_ends_no_login(gym: Gym) -> None:
    members = [gym.member(name, old=OLD) for name in ("ana", "ben")]
    for email in members:
        gym.prebook(email, gym.gym_class(at=7200))
        gym.twin.script(email, CallPlan(delay_before=3.0), path=TOKEN_UPDATE)
    gym.world.run(gym.keep_sessions())
    assert [gym.session(email)["version"] for email in members] == [2, 2]


def test_a_row_whose_login_was_refreshed_too_late_is_released(gym: Gym) -> None:
    ana, ben = member_with_expired_session(gym), gym.member("ben")
    class_id = gym.gym_class()
    row, _ = (gym.prebook(email, class_id) for email in (ana, ben))
    gym.twin.script(ana, CallPlan(delay_after=0.3), path=TOKEN_UPDATE)
    gym.twin.script(ben, CallPlan(acts=False, answer=VERDICTS["blocked"]), path=BOOK)
    summary = gym.world.run(gym.invoke())
    assert gym.end(row) == ("pending", None)
    assert (gym.world.row(row)["claimed_by"], gym.world.row(row)["maybe_sent"]) == (None, False)
    assert summary.outcomes == {"blocked": 1, "logged_out": 1}


def test_a_run_waits_for_a_refresh_of_another_run_until_its_guard(gym: Gym) -> None:
    email = member_with_expired_session(gym)
    row = gym.prebook(email, gym.gym_class())
    gym.twin.script(email, CallPlan(delay_after=4.0), path=BOOK)
    lease_to_another_run(gym)
    summary = gym.world.run(gym.invoke(guard=5.0))
    assert (summary.timed_out, summary.outcomes) == (False, {"logged_out": 1})
    assert gym.end(row) == ("pending", None)


@pytest.mark.parametrize(("listed", "known"), [(0.9, 2.0), (0.45, 2.0)])
def test_the_two_requests_of_a_confirmation_share_one_time_limit(gym: Gym, listed: float, known: float) -> None:
    email = gym.member("ana")
    gym.prebook_in_doubt(email, gym.gym_class())
    gym.twin.script(email, CallPlan(delay_after=listed * CONFIRM_TIME), method="GET", path=BOOKINGS)
    gym.twin.script(email, CallPlan(delay_after=known * CONFIRM_TIME), method="GET", path=WHOAMI)
    summary = gym.world.run(gym.invoke())
    assert summary.execution_time_ms < 1100 * CONFIRM_TIME


# writes and their results


def test_one_failed_write_of_the_keeper_ends_no_other_login(gym: Gym) -> None:
    members = [gym.member(name, old=OLD) for name in ("ana", "ben", "cleo", "dan")]
    for email in members:
        gym.prebook(email, gym.gym_class(at=3600))
    for email in members[1:]:
        gym.twin.script(email, CallPlan(delay_after=1.9), path=TOKEN_UPDATE)
    gym.world.lose("save_session_v1", *["before"] * 3)
    assert not gym.world.run(gym.keep_sessions()).success
    assert [gym.session(email)["version"] for email in members] == [1, 2, 2, 2]


def test_a_failed_second_claim_of_the_keeper_ends_no_login(gym: Gym) -> None:
    members = [gym.member(name, old=OLD) for name in ("ana", "ben")]
    for email in members:
        gym.prebook(email, gym.gym_class(at=3600))
        gym.twin.script(email, CallPlan(delay_after=1.9), path=TOKEN_UPDATE)
    gym.world.lose("claim_sessions_v1", "", *["before"] * 3)
    assert not gym.world.run(gym.keep_sessions()).success
    assert [gym.session(email)["version"] for email in members] == [2, 2]


def test_a_refreshed_login_that_could_not_be_stored_still_books(gym: Gym) -> None:
    row = gym.prebook(member_with_expired_session(gym), gym.gym_class())
    gym.world.lose("save_session_v1", *["before"] * 3)
    gym.world.run(gym.invoke())
    assert gym.end(row) == ("completed", "booked")


@pytest.mark.parametrize("dead", [True, False])
def test_a_login_made_during_a_refresh_of_the_old_one_is_used(gym: Gym, *, dead: bool) -> None:
    email = member_with_expired_session(gym)
    row = gym.prebook(email, gym.gym_class())
    if dead:
        gym.twin.members.log_out(email)
    gym.twin.script(email, CallPlan(delay_after=1.0), path=TOKEN_UPDATE)
    gym.world.run(side_by_side(gym.invoke(), log_in_after(gym, email, 0.5)))
    assert gym.end(row) == ("completed", "booked")
    assert (gym.session(email)["version"], gym.session(email)["expired"]) == (2, False)


def test_a_login_made_during_a_refresh_of_the_old_one_is_not_ended(gym: Gym) -> None:
    email = member_with_expired_session(gym)
    row = gym.prebook(email, gym.gym_class())
    gym.twin.script(email, CallPlan(delay_after=1.0), path=TOKEN_UPDATE)

    async def end_all_sessions_but_the_new_one() -> None:
        await asyncio.sleep(1.03)
        new = gym.session(email)["cookies"]["amhrdrauth"]
        for session in [one for one in gym.twin.members._sessions.values() if one.cookie != new]:
            gym.twin.members._end(session, with_token=True)

    gym.world.run(side_by_side(gym.invoke(), log_in_after(gym, email, 0.5), end_all_sessions_but_the_new_one()))
    assert gym.end(row) == ("completed", "booked")
    assert not gym.session(email)["expired"]


def test_a_login_removed_during_its_refresh_fails_no_row_and_no_run(gym: Gym) -> None:
    email = member_with_expired_session(gym)
    row = gym.prebook(email, gym.gym_class())
    gym.twin.script(email, CallPlan(delay_after=1.0), path=TOKEN_UPDATE)

    async def log_out() -> None:
        await asyncio.sleep(0.5)
        gym.connection.execute("delete from public.member_sessions where user_email = %s", [email])

    summary, _ = gym.world.run(side_by_side(gym.invoke(), log_out()))
    assert summary.success
    assert gym.end(row) == ("pending", None)


@pytest.mark.parametrize("token", ["\ud800", "a b", "x" * 5000])
def test_a_token_that_cannot_be_stored_or_sent_is_not_kept(gym: Gym, token: str) -> None:
    gym.twin.members.token_life = timedelta(hours=2)
    email = gym.member("ana", old=timedelta(minutes=9))
    row = gym.prebook(email, gym.gym_class(at=1300))
    gym.twin.script(email, CallPlan(acts=False, answer=json_reply({"newToken": token})), path=TOKEN_UPDATE)

    async def scenario() -> bool:
        await gym.keep_sessions()
        await asyncio.sleep(1310)
        return (await gym.invoke()).success

    assert gym.world.run(scenario())
    assert gym.end(row) == ("completed", "booked"), "with the previous token"


# the keeper during an opening


@pytest.mark.parametrize("slow", [0.0, 0.2, 0.5])
def test_the_keeper_ends_no_login_during_an_opening(gym: Gym, slow: float) -> None:
    class_id = gym.gym_class(at=3)
    members = [gym.member(f"member{number}", old=timedelta(minutes=19, seconds=50)) for number in range(8)]
    rows = [gym.prebook(email, class_id) for email in members]
    for email in members:
        gym.twin.script(email, CallPlan(delay_after=slow), path=TOKEN_UPDATE)

    async def keeper() -> None:
        await asyncio.sleep(2.9)
        await gym.keep_sessions()

    gym.world.run(side_by_side(keeper(), gym.invoke(LEAD_SECONDS="4")))
    assert gym.world.ends(rows) == [("completed", "booked")] * 8
    assert gym.calls(BOOK) == members, "one call each"


# answers that settle nothing


@pytest.mark.parametrize("shown", ["no class", "another class", "no mark"])
def test_a_list_without_the_member_s_mark_does_not_settle_a_row(gym: Gym, shown: str) -> None:
    email, class_id = gym.member("ana"), gym.gym_class()
    row = gym.prebook_in_doubt(email, class_id)
    listed = {"no class": [], "another class": [{"id": 7, "bookState": None}], "no mark": [{"id": int(class_id)}]}
    gym.twin.script(email, CallPlan(answer=json_reply({"bookings": listed[shown]})), method="GET", path=BOOKINGS)

    async def scenario() -> None:
        gym.book_by_hand(row)
        await gym.invoke()

    gym.world.run(scenario())
    assert (gym.booked(), gym.end(row)) == ([email], ("pending", None))


def test_a_family_member_s_place_is_confirmed_with_the_family_id(gym: Gym, monkeypatch: pytest.MonkeyPatch) -> None:
    gym.prebook_in_doubt(gym.member("ana"), gym.gym_class(), family_id="77")
    asked: list[str] = []
    send = gym.world.to_venues.handle_async_request

    async def listen(request: httpx.Request) -> httpx.Response:
        asked.extend([request.url.params["familyId"]] if request.url.path == BOOKINGS else [])
        return await send(request)

    monkeypatch.setattr(gym.world.to_venues, "handle_async_request", listen)
    gym.world.run(gym.invoke())
    assert asked == ["77"]


# politeness


def test_a_box_that_is_down_is_called_at_most_four_times_per_row(gym: Gym) -> None:
    email = gym.member("ana")
    row = gym.prebook(email, gym.gym_class())
    gym.twin.script(email, *[CallPlan(acts=False, answer=VERDICTS["down"])] * 200, path=BOOK)
    gym.world.run(gym.invoke_each_minute(15))
    assert (len(gym.calls(BOOK)), gym.end(row)) == (4, ("failed", "rejected"))
    assert "4 calls" in gym.world.row(row)["error_message"]
