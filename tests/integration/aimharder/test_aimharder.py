"""A box at AimHarder, booked by the whole scheduler on a virtual clock; the box's ledger and the rows are checked."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from prebooking.bookers.aimharder.seal import Seal
from prebooking.bookers.aimharder.site import Session
from prebooking.local.venue.aimharder import BOOK, BOOKINGS, TOKEN_UPDATE, WHOAMI
from prebooking.local.venue.twin import DROP, CallPlan, Protection
from prebooking.local.venue.verdicts import VERDICTS
from tests.support.boxes import KEYS, PASSWORD, SEAL, Gym
from tests.support.database import Database
from tests.support.doubles import EPOCH, VirtualClock
from tests.support.factories import add_session
from tests.support.world import World

# The row's status and outcome after one run, for every known answer of a venue that has given no place.
# An unreadable answer settles nothing: a confirmation after the lease does.
AFTER_ONE_RUN: dict[str, tuple[str, str | None]] = {
    "full": ("failed", "full"),
    "no_credit": ("failed", "no_credit"),
    "payment_due": ("failed", "payment_due"),
    "too_late": ("failed", "too_late"),
    "limit_reached": ("failed", "limit_reached"),
    "limit_of_contract": ("failed", "limit_reached"),
    "too_early": ("pending", None),
    "too_early_gym": ("pending", None),
    "too_early_hours": ("pending", None),
    "logout": ("pending", None),  # also after a refresh that worked: not the member's fault
    "blocked": ("pending", None),
    "captcha": ("pending", None),
    "too_many_requests": ("pending", None),
    # unreadable
    **dict.fromkeys(["refused_without_key", "refused_with_unknown_key", "unknown_number"], ("pending", None)),
    **dict.fromkeys(["error_without_state", "state_as_bool", "state_null", "no_such_class"], ("pending", None)),
    **dict.fromkeys(["empty", "page", "cut_json", "list", "null", "empty_object"], ("pending", None)),
    **dict.fromkeys(["redirect", "accepted", "bad_request", "down", "gateway_timeout"], ("pending", None)),
}
# The same after a later confirmation that does not find the place.
AFTER_CONFIRMATION = {
    "same_hour": ("failed", "conflict_same_hour"),
    "waiting_list_offered": ("failed", "full"),
    "waitlisted": ("failed", "full"),
}


def test_members_are_booked_in_order_with_one_call_each(gym: Gym) -> None:
    class_id = gym.gym_class(at=3, capacity=2)
    members = [gym.member(name) for name in ("ana", "ben", "cleo")]
    rows = [gym.prebook(email, class_id) for email in members]
    summary = gym.world.run(gym.invoke(LEAD_SECONDS="4"))
    assert summary.outcomes == {"booked": 2, "full": 1}
    assert gym.world.ends(rows) == [("completed", "booked")] * 2 + [("failed", "full")]
    assert gym.calls(BOOK) == members
    assert gym.calls(TOKEN_UPDATE) == gym.calls(WHOAMI) == gym.calls(BOOKINGS) == []
    assert gym.world.sent()[0] == pytest.approx(3.025, abs=0.001), "20 ms to the box, 5 from the database"


def test_a_booked_row_has_the_venue_s_booking_id(gym: Gym) -> None:
    row = gym.prebook(gym.member("ana"), gym.gym_class())
    gym.world.run(gym.invoke())
    [act] = gym.twin.ledger.bookings()
    assert gym.world.row(row)["booking_id"] == act.booking_id


def test_an_insisting_request_is_waitlisted_and_confirmed(gym: Gym) -> None:
    class_id = gym.gym_class(capacity=0, waiting=1)
    row = gym.prebook(gym.member("ana"), class_id, data={"insist": 1})
    gym.world.run(gym.invoke())
    assert gym.end(row) == ("completed", "waitlisted")
    assert gym.calls(BOOKINGS) == ["ana@example.com"]


def answers_without_acting(gym: Gym, answer: str) -> UUID:
    """Add a member's row, and let the box answer each of its calls so, without giving a place."""
    email = gym.member("ana")
    gym.twin.script(email, *[CallPlan(acts=False, answer=VERDICTS[answer])] * 100)
    return gym.prebook(email, gym.gym_class())


@pytest.mark.parametrize("answer", AFTER_ONE_RUN)
def test_a_clear_answer_settles_the_row_and_an_unreadable_one_does_not(gym: Gym, answer: str) -> None:
    """I4: the box may act on a call with an unreadable answer after a confirmation that was asked at once."""
    row = answers_without_acting(gym, answer)
    gym.world.run(gym.invoke())
    assert (gym.end(row), gym.booked()) == (AFTER_ONE_RUN[answer], [])


@pytest.mark.parametrize("answer", AFTER_CONFIRMATION)
def test_a_disputed_answer_is_a_refusal_after_a_later_confirmation(gym: Gym, answer: str) -> None:
    row = answers_without_acting(gym, answer)
    gym.world.run(gym.invoke_each_minute(10, until=row))
    assert (gym.end(row), gym.booked()) == (AFTER_CONFIRMATION[answer], [])


def test_a_place_given_half_a_second_after_an_unreadable_answer_is_found(gym: Gym) -> None:
    """I4: the box answers 20 calls with a page, and acts on them after a confirmation has found no place."""
    class_id = gym.gym_class()
    members = [gym.member(f"member{number}") for number in range(20)]
    rows = [gym.prebook(email, class_id) for email in members]
    for email in members:
        gym.twin.script(email, CallPlan(answer=VERDICTS["page"], acts_after=0.5))
    gym.world.run(gym.invoke_each_minute(10))  # each run confirms a few rows in doubt
    assert gym.world.ends(rows) == [("completed", "reconciled")] * 20
    assert sorted(gym.booked()) == sorted(members)


def test_every_known_answer_is_in_a_table_or_gives_a_place() -> None:
    places = {"booked", "state_as_text"}
    other_calls = {"login_refused", "login_locked", "cancelled", "cancelled_late", "cancel_refused"}
    assert AFTER_ONE_RUN.keys() | AFTER_CONFIRMATION.keys() == set(VERDICTS) - places - other_calls


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("waiting_list_offered", "booked"),
        ("page", "reconciled"),
        ("cut_json", "reconciled"),
        ("redirect", "reconciled"),
        ("unknown_number", "reconciled"),
        ("refused_without_key", "reconciled"),
        ("error_without_state", "reconciled"),
        ("lost", "reconciled"),
    ],
)
def test_a_place_that_was_given_is_found_after_any_answer(gym: Gym, answer: str, outcome: str) -> None:
    email = gym.member("ana")
    row = gym.prebook(email, gym.gym_class())
    gym.twin.script(email, CallPlan(answer=VERDICTS.get(answer, DROP)))
    gym.world.run(gym.invoke())
    assert (gym.end(row), gym.booked()) == (("completed", outcome), [email])


@pytest.mark.parametrize("behind", [0.2, 3.0, 6.0])
def test_an_outdated_list_makes_no_refusal_of_a_place(gym: Gym, behind: float) -> None:
    """I4: the box answers bookState 0, and the day's list does not show the place on the waiting list yet."""
    gym.twin.page.behind = behind
    email, class_id = gym.member("ana"), gym.gym_class(capacity=0, waiting=1)
    row = gym.prebook(email, class_id, data={"insist": 1})
    gym.world.run(gym.invoke_each_minute(5, until=row))
    assert (gym.end(row), gym.booked()) == (("completed", "waitlisted"), [email])


@pytest.mark.parametrize(("held", "outcome"), [("this", "already_booked"), ("another", "conflict_same_hour")])
def test_a_same_hour_answer_is_resolved_by_the_class_of_the_place(database: Database, held: str, outcome: str) -> None:
    gym = Gym(World(database, protection=Protection.DUPLICATES))
    email, class_id = gym.member("ana"), gym.gym_class()
    other = class_id if held == "this" else gym.gym_class()
    row = gym.prebook(email, class_id)

    async def scenario() -> None:
        gym.book_by_hand(row, other)
        await gym.invoke_each_minute(3, until=row)

    gym.world.run(scenario())
    assert gym.end(row) == ("completed" if held == "this" else "failed", outcome)
    assert len(gym.booked()) == 1


# sessions


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(hours=1), timedelta(hours=-1)])
def test_a_login_is_used_without_a_refresh_for_any_clock_skew(gym: Gym, ahead: timedelta) -> None:
    class_id = gym.gym_class(at=3)
    members = [gym.member(name, old=timedelta(minutes=27)) for name in ("ana", "ben", "cleo")]
    rows = [gym.prebook(email, class_id) for email in members]
    gym.world.run(gym.invoke(clock=VirtualClock(wall_skew=ahead), LEAD_SECONDS="4"))
    assert gym.world.ends(rows) == [("completed", "booked")] * 3
    assert (gym.calls(BOOK), gym.calls(TOKEN_UPDATE)) == (members, [])


def test_a_refresh_does_not_delay_members_with_a_valid_session(gym: Gym) -> None:
    dead, alive = gym.member("ana"), gym.member("ben")
    class_id = gym.gym_class()
    for email in (dead, alive):
        gym.prebook(email, class_id)
    gym.twin.expire(dead)
    gym.twin.script(dead, CallPlan(delay_before=2.0), path=TOKEN_UPDATE)
    gym.world.run(gym.invoke())
    assert gym.booked() == [alive, dead]


def test_an_expired_session_is_refreshed_and_the_call_repeated_once(gym: Gym) -> None:
    email = gym.member("ana")
    row = gym.prebook(email, gym.gym_class())
    gym.twin.expire(email)
    gym.world.run(gym.invoke())
    assert (gym.end(row), gym.world.row(row)["attempts"]) == (("completed", "booked"), 2)
    assert gym.calls(TOKEN_UPDATE) == [email]


def test_a_session_that_cannot_be_refreshed_fails_its_row_and_warns_later_ones(gym: Gym) -> None:
    email = gym.member("ana")
    row, later = gym.prebook(email, gym.gym_class()), gym.prebook(email, gym.gym_class(at=3_600))
    gym.twin.members.log_out(email)
    gym.world.run(gym.invoke())
    assert (gym.end(row), gym.session(email)["expired"]) == (("failed", "session_expired"), True)
    assert "log in again" in gym.world.row(later)["warning"]
    assert gym.calls(BOOK) == [email], "the second call would have been the same"


def test_a_row_without_a_login_stays_pending_with_a_warning(gym: Gym) -> None:
    row = gym.prebook("ana@example.com", gym.gym_class())
    gym.world.run(gym.invoke())
    assert gym.end(row) == ("pending", None)
    assert gym.world.row(row)["warning"].startswith("no_login: ")
    assert gym.twin.ledger.arrivals(None) == []


@pytest.mark.parametrize("stored", ["another member's", "another key's", "no session", "no base64"])
def test_a_row_waits_for_a_login_that_opens_and_is_booked_with_it(gym: Gym, stored: str) -> None:
    email, other = "ana@example.com", gym.member("ben")
    session = Session("token", {}, "f" * 50).as_json()
    sealed = {
        "another member's": SEAL.seal(session, venue_id=gym.venue, member=other),
        "another key's": Seal(bytes(32)).seal(session, venue_id=gym.venue, member=email),
        "no session": SEAL.seal({"token": 1}, venue_id=gym.venue, member=email),
        "no base64": "?",
    }
    add_session(gym.connection, gym.venue, email, sealed=sealed[stored], refreshed_at=EPOCH)
    row = gym.prebook(email, gym.gym_class())
    gym.world.run(gym.invoke())
    assert (gym.end(row), gym.world.row(row)["claimed_by"]) == (("pending", None), None)
    assert gym.twin.ledger.arrivals(None) == []

    gym.twin.join(email, PASSWORD)
    gym.connection.execute("delete from public.member_sessions where user_email = %s", [email])
    gym.log_in(email)
    gym.world.run(gym.invoke_each_minute(20, until=row))
    assert gym.end(row) == ("completed", "booked")


def test_a_login_known_to_be_over_fails_the_row_without_a_call(gym: Gym) -> None:
    email = gym.member("ana")
    row = gym.prebook(email, gym.gym_class())
    gym.connection.execute("update public.member_sessions set expired_at = refreshed_at")
    gym.world.run(gym.invoke())
    assert gym.end(row) == ("failed", "session_expired")
    assert gym.twin.ledger.arrivals(None) == []


def test_a_deployment_with_another_key_leaves_the_rows_to_ours(gym: Gym) -> None:
    """K3: a preview with its own key is triggered first, and production a second later."""
    class_id = gym.gym_class()
    rows = [gym.prebook(gym.member(name), class_id) for name in ("ana", "ben", "cleo")]

    async def scenario() -> None:
        await gym.invoke(SESSION_ENCRYPTION_KEY="A" * 43 + "=")
        assert gym.world.ends(rows) == [("pending", None)] * 3
        assert (gym.world.row(rows[0])["warning"] or "").startswith("other_key: ")
        await asyncio.sleep(1)
        await gym.invoke()

    gym.world.run(scenario())
    assert gym.world.ends(rows) == [("completed", "booked")] * 3
    assert gym.world.row(rows[0])["warning"] is None


def test_a_previous_key_opens_the_logins_it_has_sealed(gym: Gym) -> None:
    row = gym.prebook(gym.member("ana"), gym.gym_class())
    ours = KEYS["SESSION_ENCRYPTION_KEY"]
    gym.world.run(gym.invoke(SESSION_ENCRYPTION_KEY="A" * 43 + "=", SESSION_ENCRYPTION_KEY_PREVIOUS=ours))
    assert gym.end(row) == ("completed", "booked")


def test_no_cookie_is_sent_with_another_member_s_call(gym: Gym) -> None:
    class_id = gym.gym_class()
    members = [gym.member(name, old=timedelta(minutes=21)) for name in ("ana", "ben", "cleo", "dan")]
    for email in members:
        gym.prebook(email, class_id)
        gym.twin.expire(email)
    gym.world.run(gym.invoke())
    assert sorted(gym.booked()) == sorted(members), "the box identifies a member by the cookie alone"


# doubt


@pytest.mark.parametrize("was_booked", [True, False])
def test_a_row_in_doubt_is_confirmed_before_a_call_is_sent(gym: Gym, *, was_booked: bool) -> None:
    email, class_id = gym.member("ana"), gym.gym_class()
    row = gym.prebook_in_doubt(email, class_id)

    async def scenario() -> None:
        if was_booked:
            gym.book_by_hand(row)
        await gym.invoke()

    gym.world.run(scenario())
    assert gym.end(row) == ("completed", "reconciled" if was_booked else "booked")
    assert gym.booked() == [email]
    assert gym.calls(WHOAMI) == ([] if was_booked else [email])


def test_a_dead_session_does_not_settle_a_row_in_doubt(gym: Gym) -> None:
    email, class_id = gym.member("ana"), gym.gym_class()
    row = gym.prebook_in_doubt(email, class_id)

    async def scenario() -> None:
        gym.book_by_hand(row)
        gym.twin.members.log_out(email)
        await gym.invoke()

    gym.world.run(scenario())
    assert gym.end(row) == ("pending", None)
    assert gym.calls(BOOK) == []
    assert gym.world.row(row)["maybe_sent"]


def test_an_expired_session_is_refreshed_to_confirm_a_row_in_doubt(gym: Gym) -> None:
    email, class_id = gym.member("ana"), gym.gym_class()
    row = gym.prebook_in_doubt(email, class_id)

    async def scenario() -> None:
        gym.book_by_hand(row)
        gym.twin.expire(email)
        await gym.invoke()

    gym.world.run(scenario())
    assert (gym.end(row), gym.booked()) == (("completed", "reconciled"), [email])


# politeness


def test_a_box_that_blocks_us_is_paused_and_the_other_rows_released(gym: Gym) -> None:
    class_id = gym.gym_class()
    members = [gym.member(name) for name in ("ana", "ben", "cleo", "dan", "eve")]
    rows = [gym.prebook(email, class_id) for email in members]
    gym.twin.script(members[0], CallPlan(acts=False, answer=VERDICTS["blocked"]))
    gym.world.run(gym.invoke(STAGGER_MS="200"))
    assert gym.calls(BOOK) == members[:1]
    assert [gym.world.row(row)["claimed_by"] is None for row in rows] == [False, True, True, True, True]
    paused = gym.connection.execute("select paused_until from public.venues").fetchone()
    assert paused is not None
    assert paused[0] - EPOCH > timedelta(minutes=5)


def test_a_call_that_is_too_early_is_repeated_three_times(gym: Gym) -> None:
    email = gym.member("ana")
    row = gym.prebook(email, gym.gym_class(at=5), available_at=EPOCH)
    gym.world.run(gym.invoke())
    assert (gym.end(row), gym.world.row(row)["attempts"]) == (("pending", None), 4)


def test_the_box_gets_only_booking_calls_before_an_opening(gym: Gym) -> None:
    row = gym.prebook(gym.member("ana"), gym.gym_class(at=3))
    gym.world.run(gym.invoke(LEAD_SECONDS="4"))
    assert [arrival.path for arrival in gym.twin.ledger.arrivals(None)] == [BOOK]
    assert gym.end(row) == ("completed", "booked")


# bad rows


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "aimharder.com", "mybox.aimharder.com.evil.example", "mybox.aimharder.com:8080"),
        *("evil.example#.aimharder.com", "evil.example?.aimharder.com", "a.mybox.aimharder.com"),
        *("mybox.aimharder.org", "mybox-aimharder.com", "-.aimharder.com", ".aimharder.com", "mybox.aimharder.com."),
        *("mybox.aimhardér.com", "xn--aimharder.com", "127.0.0.1", "[::1]", "localhost"),
        *("mybox.aimharder.com\\.evil.example", "mybox%2eaimharder.com"),
    ],
)
def test_no_session_is_sent_to_a_host_outside_aimharder(gym: Gym, host: str) -> None:
    row = gym.prebook(gym.member("ana"), gym.gym_class())
    gym.connection.execute("alter table public.venues drop constraint venues_host_check")  # which refuses most of them
    gym.connection.execute("update public.venues set host = %s", [host])
    gym.world.run(gym.invoke())
    assert gym.end(row) == ("pending", None), "the operator can correct the host"
    assert gym.twin.ledger.arrivals(None) == []


@pytest.mark.parametrize("host", ["evil.example", "xn--x.aimharder.com", "a..b"])
def test_a_venue_with_a_bad_host_does_not_stop_another_venue(gym: Gym, host: str) -> None:
    good = Gym(gym.world, host="good.aimharder.com")
    bad_row, good_row = (one.prebook(one.member("ana"), one.gym_class()) for one in (gym, good))
    gym.connection.execute("alter table public.venues drop constraint venues_host_check")  # which refuses two of them
    gym.connection.execute("update public.venues set host = %s where id = %s", [host, gym.venue])
    gym.world.run(gym.invoke())
    assert gym.world.ends([bad_row, good_row]) == [("pending", None), ("completed", "booked")]


@pytest.mark.parametrize(
    "data",
    [
        *({"class_id": class_id} for class_id in (None, "a b", ["1"])),
        *({"day": day} for day in ("07/01/2030", "20301399", None)),
        *({"insist": 2}, {"insist": "yes"}, {"family_id": "1&insist=1"}),
    ],
)
def test_unreadable_booking_data_fails_its_row_and_no_other(gym: Gym, data: dict[str, Any]) -> None:
    class_id = gym.gym_class()
    bad, good = gym.prebook(gym.member("ana"), class_id, data=data), gym.prebook(gym.member("ben"), class_id)
    gym.world.run(gym.invoke())
    assert gym.world.ends([bad, good]) == [("failed", "bad_data"), ("completed", "booked")]
    assert gym.booked() == ["ben@example.com"]


@pytest.mark.parametrize(
    "written",
    [
        *({"day": "2030-01-07"}, {"day": 20300107}, {"class_id": " 2001 "}, {"class_id": 2001}),
        *({"insist": None, "family_id": ""}, {"insist": "0"}),
    ],
    ids=str,
)
def test_every_accepted_spelling_of_booking_data_is_booked(gym: Gym, written: dict[str, Any]) -> None:
    row = gym.prebook(gym.member("ana"), gym.gym_class(), data=written)
    gym.world.run(gym.invoke())
    assert gym.end(row) == ("completed", "booked")


def test_a_deployment_without_a_key_leaves_the_rows_to_others(gym: Gym) -> None:
    row = gym.prebook(gym.member("ana"), gym.gym_class())
    gym.world.run(gym.world.invoke())
    assert gym.end(row) == ("pending", None)
    assert gym.world.row(row)["claimed_by"] is None
