"""A box at AimHarder, booked by the whole scheduler on a virtual clock: judged by the box's ledger and the rows."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from prebooking.bookers.aimharder.seal import Seal
from prebooking.bookers.aimharder.site import Session
from prebooking.local.venue.aimharder import BOOK, BOOKINGS, TOKEN_UPDATE, WHOAMI
from prebooking.local.venue.twin import DROP, CallPlan, Protection
from prebooking.local.venue.verdicts import VERDICTS
from tests.support.boxes import HOST, KEYS, PASSWORD, SEAL, Gym
from tests.support.database import Database
from tests.support.doubles import EPOCH, VirtualClock
from tests.support.world import World

OLD = timedelta(minutes=21)

# Every answer that has been seen, and what becomes of the row when the venue's ledger has no place: at once if the
# answer is clear. If it is not, nothing is final before a question that is asked after the lease.
CLEAR = {
    "full": ("failed", "full"),
    "no_credit": ("failed", "no_credit"),
    "payment_due": ("failed", "payment_due"),
    "too_late": ("failed", "too_late"),
    "limit_reached": ("failed", "limit_reached"),
    "limit_of_contract": ("failed", "limit_reached"),
    "too_early": ("pending", None),
    "too_early_gym": ("pending", None),
    "too_early_hours": ("pending", None),
    "logout": ("pending", None),  # also after a new login that worked: no fault of the member's
    "blocked": ("pending", None),
    "captcha": ("pending", None),
    "too_many_requests": ("pending", None),
}
DISPUTED = {
    "same_hour": ("failed", "conflict_same_hour"),
    "waiting_list_offered": ("failed", "full"),
    "waitlisted": ("failed", "full"),  # said, and not found on the list
}
UNREADABLE = (
    "refused_without_key",
    "refused_with_unknown_key",
    "unknown_number",
    "error_without_state",
    "no_such_class",
    "page",
    "empty",
    "redirect",
    "accepted",
    "bad_request",
    "cut_json",
    "list",
    "null",
    "empty_object",
    "state_as_bool",
    "state_null",
    "down",
    "gateway_timeout",
)


@pytest.fixture
def gym(database: Database) -> Gym:
    return Gym(World(database))


def end(gym: Gym, row: UUID) -> tuple[str, str | None]:
    return gym.world.ends([row])[0]


def booked(gym: Gym) -> list[str]:
    return [act.member for act in gym.twin.ledger.bookings()]


def test_members_are_booked_with_their_own_logins_in_order_and_with_one_call_each(gym: Gym) -> None:
    class_id = gym.gym_class(at=3, capacity=2)
    members = [gym.member(name) for name in ("ana", "ben", "cleo")]
    rows = [gym.wish(email, class_id) for email in members]
    summary = gym.world.play(gym.invoke(LEAD_SECONDS="4"))
    assert summary.outcomes == {"booked": 2, "full": 1}
    assert gym.world.ends(rows) == [("completed", "booked")] * 2 + [("failed", "full")]
    assert gym.calls(BOOK) == members
    assert gym.calls(TOKEN_UPDATE) == gym.calls(WHOAMI) == gym.calls(BOOKINGS) == []
    assert gym.world.sent()[0] == pytest.approx(3.025, abs=0.001), "20 ms to the box, 5 from the database"


def test_a_booking_has_the_venue_s_number(gym: Gym) -> None:
    row = gym.wish(gym.member("ana"), gym.gym_class())
    gym.world.play(gym.invoke())
    [act] = gym.twin.ledger.bookings()
    assert gym.world.row(row)["booking_id"] == act.booking_id


def test_a_request_that_insists_gets_onto_the_waiting_list_and_that_is_looked_up(gym: Gym) -> None:
    class_id = gym.gym_class(capacity=0, waiting=1)
    row = gym.wish(gym.member("ana"), class_id, data={"insist": 1})
    gym.world.play(gym.invoke())
    assert end(gym, row) == ("completed", "waitlisted")
    assert gym.calls(BOOKINGS) == ["ana@example.com"]


def says_without_acting(gym: Gym, said: str) -> UUID:
    email = gym.member("ana")
    gym.twin.script(email, *[CallPlan(acts=False, answer=VERDICTS[said])] * 100)
    return gym.wish(email, gym.gym_class())


async def invoke_until_settled(gym: Gym, row: UUID, *, minutes: int) -> None:
    for _ in range(minutes):
        await gym.invoke()
        if end(gym, row)[0] != "pending":
            return
        await asyncio.sleep(60)


@pytest.mark.parametrize("said", CLEAR)
def test_every_clear_answer_ends_in_the_right_state_at_once(gym: Gym, said: str) -> None:
    row = says_without_acting(gym, said)
    gym.world.play(gym.invoke())
    assert (end(gym, row), booked(gym)) == (CLEAR[said], [])


@pytest.mark.parametrize("said", DISPUTED)
def test_a_disputed_answer_is_a_refusal_once_a_question_says_so(gym: Gym, said: str) -> None:
    row = says_without_acting(gym, said)
    gym.world.play(invoke_until_settled(gym, row, minutes=10))
    assert (end(gym, row), booked(gym)) == (DISPUTED[said], [])


@pytest.mark.parametrize("said", UNREADABLE)
def test_an_answer_that_cannot_be_read_is_no_refusal(gym: Gym, said: str) -> None:
    """I4: the box may act on the call after a question that was asked at once."""
    row = says_without_acting(gym, said)
    gym.world.play(gym.invoke())
    assert (end(gym, row), booked(gym)) == (("pending", None), [])


def test_an_unreadable_answer_may_be_acted_on_half_a_second_later(gym: Gym) -> None:
    """I4: 20 members ask, each gets a page at once, and the box gives them their places when they have asked again."""
    class_id = gym.gym_class()
    members = [gym.member(f"member{number}") for number in range(20)]
    rows = [gym.wish(email, class_id) for email in members]
    for email in members:
        gym.twin.script(email, CallPlan(answer=VERDICTS["page"], acts_after=0.5))

    async def story() -> None:
        for _ in range(10):  # a few rows in doubt are asked about in each run
            await gym.invoke()
            await asyncio.sleep(60)

    gym.world.play(story())
    assert gym.world.ends(rows) == [("completed", "reconciled")] * 20
    assert sorted(booked(gym)) == sorted(members)


def test_every_answer_is_in_a_table_above_or_gives_a_place() -> None:
    places = {"booked", "state_as_text"}
    elsewhere = {"login_refused", "login_locked", "cancelled", "cancelled_late", "cancel_refused"}
    assert CLEAR.keys() | DISPUTED.keys() | set(UNREADABLE) == set(VERDICTS) - places - elsewhere


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ("waiting_list_offered", "booked"),
        ("page", "reconciled"),
        ("cut_json", "reconciled"),
        ("redirect", "reconciled"),
        ("unknown_number", "reconciled"),
        ("refused_without_key", "reconciled"),
        ("error_without_state", "reconciled"),
    ],
)
def test_whatever_is_said_a_place_that_was_given_is_found(gym: Gym, said: str, outcome: str) -> None:
    email = gym.member("ana")
    row = gym.wish(email, gym.gym_class())
    gym.twin.script(email, CallPlan(answer=VERDICTS[said]))
    gym.world.play(gym.invoke())
    assert (end(gym, row), booked(gym)) == (("completed", outcome), [email])


@pytest.mark.parametrize("behind", [0.2, 3.0, 6.0])
def test_a_list_that_is_behind_the_ledger_makes_no_refusal_of_a_place(gym: Gym, behind: float) -> None:
    """I4: the box answers bookState 0, the member has a waiting-list place, and the day's list does not show it yet."""
    gym.twin.page.behind = behind
    email, class_id = gym.member("ana"), gym.gym_class(capacity=0, waiting=1)
    row = gym.wish(email, class_id, data={"insist": 1})
    gym.world.play(invoke_until_settled(gym, row, minutes=5))
    assert (end(gym, row), booked(gym)) == (("completed", "waitlisted"), [email])


@pytest.mark.parametrize(("held", "outcome"), [("this", "already_booked"), ("another", "conflict_same_hour")])
def test_the_same_hour_is_the_same_class_or_another(database: Database, held: str, outcome: str) -> None:
    gym = Gym(World(database, protection=Protection.DUPLICATES))
    email, class_id = gym.member("ana"), gym.gym_class()
    other = class_id if held == "this" else gym.gym_class()
    row = gym.wish(email, class_id)

    async def story() -> None:
        gym.twin.book(replace(gym.world.wish(row), class_id=other, venue=HOST))  # by hand, on a telephone
        await invoke_until_settled(gym, row, minutes=3)

    gym.world.play(story())
    [(status, ended)] = set(gym.world.connection.execute("select status, outcome from public.prebookings").fetchall())
    assert (status == "completed", ended) == (held == "this", outcome)
    assert len(booked(gym)) == 1


# sessions


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(hours=1), timedelta(hours=-1)])
def test_a_login_is_used_as_it_is_whatever_the_function_s_clock_says(gym: Gym, ahead: timedelta) -> None:
    class_id = gym.gym_class(at=3)
    members = [gym.member(name, old=timedelta(minutes=27)) for name in ("ana", "ben", "cleo")]
    rows = [gym.wish(email, class_id) for email in members]
    gym.world.play(gym.invoke(clock=VirtualClock(wall_skew=ahead), LEAD_SECONDS="4"))
    assert gym.world.ends(rows) == [("completed", "booked")] * 3
    assert (gym.calls(BOOK), gym.calls(TOKEN_UPDATE)) == (members, []), "in order, and nobody refreshed"


def test_a_refresh_holds_up_nobody_whose_session_lives(gym: Gym) -> None:
    dead, alive = gym.member("ana"), gym.member("ben")
    class_id = gym.gym_class()
    for email in (dead, alive):
        gym.wish(email, class_id)
    gym.twin.expire(dead)
    gym.twin.script(dead, CallPlan(delay_before=2.0), path=TOKEN_UPDATE)
    gym.world.play(gym.invoke())
    assert booked(gym) == [alive, dead]


def test_a_session_that_has_died_early_is_renewed_and_the_call_made_once_more(gym: Gym) -> None:
    email = gym.member("ana")
    row = gym.wish(email, gym.gym_class())
    gym.twin.expire(email)
    gym.world.play(gym.invoke())
    assert (end(gym, row), gym.world.row(row)["attempts"]) == (("completed", "booked"), 2)
    assert gym.calls(TOKEN_UPDATE) == [email]


def test_a_session_that_cannot_be_renewed_fails_its_row_and_warns_the_others(gym: Gym) -> None:
    email = gym.member("ana")
    row, later = gym.wish(email, gym.gym_class()), gym.wish(email, gym.gym_class(at=3_600))
    gym.twin.members.log_out(email)
    gym.world.play(gym.invoke())
    assert (end(gym, row), gym.session(email)["expired"]) == (("failed", "session_expired"), True)
    assert "log in again" in gym.world.row(later)["warning"]
    assert gym.calls(BOOK) == [email], "the second call would have been the same"


def test_two_rows_of_one_member_refresh_once(gym: Gym) -> None:
    email = gym.member("ana")
    rows = [gym.wish(email, gym.gym_class(time=time)) for time in ("07:00", "09:00")]
    gym.twin.expire(email)
    gym.world.play(gym.invoke())
    assert gym.world.ends(rows) == [("completed", "booked")] * 2
    assert gym.calls(TOKEN_UPDATE) == [email]


def test_a_row_without_a_login_waits_for_one_and_says_so(gym: Gym) -> None:
    row = gym.wish("ana@example.com", gym.gym_class())
    gym.world.play(gym.invoke())
    assert end(gym, row) == ("pending", None)
    assert gym.world.row(row)["warning"].startswith("no_login: ")
    assert gym.twin.ledger.arrivals(None) == []


@pytest.mark.parametrize("stored", ["another member's", "another key's", "no session", "no base64"])
def test_without_a_login_that_opens_nothing_is_sent_and_nothing_is_final(gym: Gym, stored: str) -> None:
    email, other = "ana@example.com", gym.member("ben")
    session, sealed = Session("token", {}, "f" * 50), ""
    if stored == "another member's":
        sealed = SEAL.seal(session.as_json(), venue_id=gym.venue, member=other)
    elif stored == "another key's":
        sealed = Seal(bytes(32)).seal(session.as_json(), venue_id=gym.venue, member=email)
    elif stored == "no session":
        sealed = SEAL.seal({"token": 1}, venue_id=gym.venue, member=email)
    elif stored == "no base64":
        sealed = "?"
    gym.world.connection.execute(
        "insert into public.member_sessions (venue_id, user_email, sealed, refreshed_at) values (%s, %s, %s, %s)",
        [gym.venue, email, sealed, EPOCH],
    )
    row = gym.wish(email, gym.gym_class())
    gym.world.play(gym.invoke())
    assert (end(gym, row), gym.world.row(row)["claimed_by"]) == (("pending", None), None)
    assert gym.twin.ledger.arrivals(None) == []

    gym.twin.join(email, PASSWORD)
    gym.connection.execute("delete from public.member_sessions where user_email = %s", [email])
    gym.log_in(email)
    gym.world.play(invoke_until_settled(gym, row, minutes=20))
    assert end(gym, row) == ("completed", "booked")


def test_a_login_that_the_venue_has_ended_before_is_final_without_a_call(gym: Gym) -> None:
    email = gym.member("ana")
    row = gym.wish(email, gym.gym_class())
    gym.connection.execute("update public.member_sessions set expired_at = refreshed_at")
    gym.world.play(gym.invoke())
    assert end(gym, row) == ("failed", "session_expired")
    assert gym.twin.ledger.arrivals(None) == []


def test_another_deployment_s_key_costs_nobody_their_place(gym: Gym) -> None:
    """K3: a preview with a key of its own is triggered first; production has everything to do a second later."""
    class_id = gym.gym_class()
    rows = [gym.wish(gym.member(name), class_id) for name in ("ana", "ben", "cleo")]

    async def story() -> None:
        await gym.invoke(SESSION_ENCRYPTION_KEY="A" * 43 + "=")
        assert gym.world.ends(rows) == [("pending", None)] * 3
        assert (gym.world.row(rows[0])["warning"] or "").startswith("other_key: ")
        await asyncio.sleep(1)
        await gym.invoke()

    gym.world.play(story())
    assert gym.world.ends(rows) == [("completed", "booked")] * 3
    assert gym.world.row(rows[0])["warning"] is None


def test_a_previous_key_opens_what_it_has_sealed(gym: Gym) -> None:
    row = gym.wish(gym.member("ana"), gym.gym_class())
    ours = KEYS["SESSION_ENCRYPTION_KEY"]
    gym.world.play(gym.invoke(SESSION_ENCRYPTION_KEY="A" * 43 + "=", SESSION_ENCRYPTION_KEY_PREVIOUS=ours))
    assert end(gym, row) == ("completed", "booked")


def test_no_cookie_ever_goes_along_with_another_member_s_call(gym: Gym) -> None:
    class_id = gym.gym_class()
    members = [gym.member(name, old=OLD) for name in ("ana", "ben", "cleo", "dan")]
    for email in members:
        gym.wish(email, class_id)
        gym.twin.expire(email)
    gym.world.play(gym.invoke())
    assert sorted(booked(gym)) == sorted(members), "the box knows a member by nothing but the cookie"


# doubt


def left_behind(gym: Gym, email: str, class_id: str) -> UUID:
    """Leave a row as a run does that was killed after its call: its lease is over, and nobody knows."""
    lease = {"claimed_by": uuid4(), "claimed_until": EPOCH - timedelta(1), "turn_until": EPOCH - timedelta(1)}
    return gym.wish(email, class_id, **lease)


@pytest.mark.parametrize("was_booked", [True, False])
def test_a_row_in_doubt_is_looked_up_in_the_member_s_day_before_anything_is_sent(gym: Gym, *, was_booked: bool) -> None:
    email, class_id = gym.member("ana"), gym.gym_class()
    row = left_behind(gym, email, class_id)

    async def story() -> None:
        if was_booked:
            gym.twin.book(replace(gym.world.wish(row), venue=HOST))
        await gym.invoke()

    gym.world.play(story())
    assert end(gym, row) == ("completed", "reconciled" if was_booked else "booked")
    assert booked(gym) == [email]
    assert gym.calls(WHOAMI) == ([] if was_booked else [email])


def test_a_dead_session_proves_nothing_about_a_row_in_doubt(gym: Gym) -> None:
    email, class_id = gym.member("ana"), gym.gym_class()
    row = left_behind(gym, email, class_id)

    async def story() -> None:
        gym.twin.book(replace(gym.world.wish(row), venue=HOST))
        gym.twin.members.log_out(email)
        await gym.invoke()

    gym.world.play(story())
    assert end(gym, row) == ("pending", None)
    assert gym.calls(BOOK) == []
    assert gym.world.row(row)["maybe_sent"]


def test_a_session_that_died_is_renewed_to_ask_about_a_row_in_doubt(gym: Gym) -> None:
    email, class_id = gym.member("ana"), gym.gym_class()
    row = left_behind(gym, email, class_id)

    async def story() -> None:
        gym.twin.book(replace(gym.world.wish(row), venue=HOST))
        gym.twin.expire(email)
        await gym.invoke()

    gym.world.play(story())
    assert (end(gym, row), booked(gym)) == (("completed", "reconciled"), [email])


def test_an_answer_that_is_lost_after_the_box_has_acted_is_reconciled_at_once(gym: Gym) -> None:
    email = gym.member("ana")
    row = gym.wish(email, gym.gym_class())
    gym.twin.script(email, CallPlan(answer=DROP))
    gym.world.play(gym.invoke())
    assert (end(gym, row), booked(gym)) == (("completed", "reconciled"), [email])


# politeness


def test_a_box_that_blocks_us_is_left_alone_and_the_rest_is_released(gym: Gym) -> None:
    class_id = gym.gym_class()
    members = [gym.member(name) for name in ("ana", "ben", "cleo", "dan", "eve")]
    rows = [gym.wish(email, class_id) for email in members]
    gym.twin.script(members[0], CallPlan(acts=False, answer=VERDICTS["blocked"]))
    gym.world.play(gym.invoke(STAGGER_MS="200"))
    assert gym.calls(BOOK) == members[:1]
    assert [gym.world.row(row)["claimed_by"] is None for row in rows] == [False, True, True, True, True]
    paused = gym.connection.execute("select paused_until from public.venues").fetchone()
    assert paused is not None
    assert paused[0] - EPOCH > timedelta(minutes=5)


def test_too_early_is_asked_three_times_more_and_no_more(gym: Gym) -> None:
    email = gym.member("ana")
    row = gym.wish(email, gym.gym_class(at=5), available_at=EPOCH)
    gym.world.play(gym.invoke())
    assert (end(gym, row), gym.world.row(row)["attempts"]) == (("pending", None), 4)


def test_the_box_is_called_only_to_book_while_an_opening_is_awaited(gym: Gym) -> None:
    row = gym.wish(gym.member("ana"), gym.gym_class(at=3))
    gym.world.play(gym.invoke(LEAD_SECONDS="4"))
    assert [arrival.path for arrival in gym.twin.ledger.arrivals(None)] == [BOOK]
    assert end(gym, row) == ("completed", "booked")


# bad rows

HOSTILE = [
    "evil.example",
    "aimharder.com",
    "mybox.aimharder.com.evil.example",
    "mybox.aimharder.com:8080",
    "evil.example#.aimharder.com",
    "evil.example?.aimharder.com",
    "a.mybox.aimharder.com",
    "mybox.aimharder.org",
    "mybox-aimharder.com",
    "-.aimharder.com",
    ".aimharder.com",
    "mybox.aimharder.com.",
    "mybox.aimhardér.com",
    "xn--aimharder.com",
    "127.0.0.1",
    "[::1]",
    "localhost",
    "mybox.aimharder.com\\.evil.example",
    "mybox%2eaimharder.com",
]


@pytest.mark.parametrize("host", HOSTILE)
def test_no_session_goes_to_a_host_that_is_not_aimharder_s(gym: Gym, host: str) -> None:
    row = gym.wish(gym.member("ana"), gym.gym_class())
    gym.connection.execute("alter table public.venues drop constraint venues_host_check")  # which refuses most of them
    gym.connection.execute("update public.venues set host = %s", [host])
    gym.world.play(gym.invoke())
    assert end(gym, row) == ("pending", None), "the operator's fault, not the member's"
    assert gym.twin.ledger.arrivals(None) == []


@pytest.mark.parametrize("host", ["evil.example", "xn--x.aimharder.com", "a..b"])
def test_a_venue_with_a_bad_host_stops_no_other(gym: Gym, host: str) -> None:
    good = Gym(gym.world, host="good.aimharder.com")
    bad_row, good_row = (one.wish(one.member("ana"), one.gym_class()) for one in (gym, good))
    gym.connection.execute("alter table public.venues drop constraint venues_host_check")  # which refuses two of them
    gym.connection.execute("update public.venues set host = %s where id = %s", [host, gym.venue])
    gym.world.play(gym.invoke())
    assert gym.world.ends([bad_row, good_row]) == [("pending", None), ("completed", "booked")]


@pytest.mark.parametrize(
    "data",
    [
        {"class_id": None},
        {"class_id": "a b"},
        {"class_id": ["1"]},
        {"day": "07/01/2030"},
        {"day": "20301399"},
        {"day": None},
        {"insist": 2},
        {"insist": "yes"},
        {"family_id": "1&insist=1"},
    ],
)
def test_a_row_that_cannot_be_turned_into_a_form_says_why_and_the_next_goes_on(gym: Gym, data: dict[str, Any]) -> None:
    class_id = gym.gym_class()
    bad, good = gym.wish(gym.member("ana"), class_id, data=data), gym.wish(gym.member("ben"), class_id)
    gym.world.play(gym.invoke())
    assert gym.world.ends([bad, good]) == [("failed", "bad_data"), ("completed", "booked")]
    assert booked(gym) == ["ben@example.com"]


@pytest.mark.parametrize(
    "written",
    [
        {"day": "2030-01-07"},
        {"day": 20300107},
        {"class_id": " 2001 "},
        {"class_id": 2001},
        {"insist": None, "family_id": ""},
        {"insist": "0"},
    ],
    ids=str,
)
def test_a_row_is_booked_in_every_spelling_that_apps_use(gym: Gym, written: dict[str, Any]) -> None:
    row = gym.wish(gym.member("ana"), gym.gym_class(), data=written)
    gym.world.play(gym.invoke())
    assert end(gym, row) == ("completed", "booked")


def test_a_deployment_without_the_key_leaves_the_rows_for_one_that_has_it(gym: Gym) -> None:
    row = gym.wish(gym.member("ana"), gym.gym_class())
    gym.world.play(gym.world.invoke())
    assert end(gym, row) == ("pending", None)
    assert gym.world.row(row)["claimed_by"] is None
