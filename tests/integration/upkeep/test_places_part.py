"""The part "places": a promotion from a waiting list is seen, with a session that lives or can be refreshed."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from prebooking.bookers.aimharder.seal import Seal
from prebooking.bookers.webhook.give_back import WebhookPlaces
from prebooking.http import PlainClient
from prebooking.local.venue.aimharder import BOOKINGS, TOKEN_UPDATE, WHOAMI
from prebooking.local.venue.twin import DROP, HANG, Act, CallPlan, State
from prebooking.local.venue.verdicts import VERDICTS
from prebooking.upkeep.run import UpkeepSummary
from tests.support.boxes import Gym
from tests.support.doubles import EPOCH
from tests.support.factories import add_prebooking, add_venue

HOUR = 3600.0
_NONE = {"waiting": 0, "booked": 0, "lost": 0, "failed": 0}


def waitlisted(gym: Gym, name: str = "ana", *, old: float = 0.0, begins: float = HOUR) -> UUID:
    """Put a member on the waiting list of a full class that begins this many seconds after the epoch."""
    gym.twin.members.token_life = timedelta(days=7)
    email = gym.member(name, old=timedelta(minutes=old))
    end = {"status": "completed", "outcome": "waitlisted", "settled_at": EPOCH - timedelta(hours=2)}
    class_id = gym.gym_class(capacity=0, waiting=9)
    row = gym.prebook(email, class_id, expires_at=EPOCH + timedelta(seconds=begins), **end)
    wait_at_venue(gym, row, gym.host)
    return row


def wait_at_venue(gym: Gym, row: UUID, venue: str) -> None:
    """Put the row's member on the waiting list at the venue."""
    stored, number = gym.world.row(row), str(106_000_000 + len(gym.twin.ledger.entries))
    about = (str(row), stored["user_email"], stored["booking_data"]["class_id"], venue)
    gym.twin.ledger.write(Act(EPOCH, State.WAITLISTED, number, *about))


def at_endpoint(gym: Gym, places: int = 1) -> list[UUID]:
    """Put members on the waiting list of a class at the operator's own endpoint."""
    venue = add_venue(gym.connection)
    gym.twin.open_class("wod", opens_at=EPOCH, capacity=0, waiting_list=9)
    end: dict[str, Any] = {"status": "completed", "outcome": "waitlisted", "settled_at": EPOCH - timedelta(hours=2)}
    rows = []
    for number in range(places):
        about = {"booking_data": {"class_id": "wod"}, "expires_at": EPOCH + timedelta(seconds=1800 + number)}
        rows.append(add_prebooking(gym.connection, venue, available_at=EPOCH - timedelta(hours=2), **about | end))
        wait_at_venue(gym, rows[-1], str(venue))
    return rows


def promote(gym: Gym) -> None:
    """Give the first member of every waiting list a place."""
    for act in gym.twin.ledger.bookings():
        gym.twin.ledger.write(replace(act, state=State.BOOKED))


def keep_up(gym: Gym, **how: Any) -> UpkeepSummary:
    return gym.world.run(gym.keep_up(**how))


def place(gym: Gym, row: UUID) -> Any:
    query = "select place, position, tries from public.prebooking_places where prebooking_id = %s"
    return gym.connection.execute(query.encode(), [row]).fetchone()


def test_a_promotion_is_seen_with_a_living_session(gym: Gym) -> None:
    row = waitlisted(gym)
    promote(gym)
    assert keep_up(gym).parts == {"places": _NONE | {"booked": 1}}
    assert (place(gym, row), gym.end(row)) == (("booked", None, 1), ("completed", "waitlisted"))
    assert (len(gym.calls(BOOKINGS)), gym.calls(TOKEN_UPDATE)) == (1, [])
    assert keep_up(gym).parts == {}


def test_a_member_who_waits_and_one_who_has_left_the_list_are_told_apart(gym: Gym) -> None:
    waits, left = waitlisted(gym, "ana"), waitlisted(gym, "ben")
    [_, act] = gym.twin.ledger.bookings()
    gym.twin.ledger.write(replace(act, state=State.CANCELLED))
    assert keep_up(gym).parts == {"places": _NONE | {"waiting": 1, "lost": 1}}
    assert [place(gym, row) for row in (waits, left)] == [("waiting", None, 1), ("lost", None, 1)]


def test_the_endpoint_tells_the_position(gym: Gym) -> None:
    rows = at_endpoint(gym, 3)
    assert keep_up(gym).parts == {"places": _NONE | {"waiting": 3}}
    assert [place(gym, row) for row in rows] == [("waiting", position, 1) for position in (1, 2, 3)]


@pytest.mark.parametrize("position", [0, -1, 1_000_000, 1.5, True, "many", [1], None])
def test_a_position_that_is_no_position_is_not_stored(gym: Gym, position: object) -> None:
    [row] = at_endpoint(gym)
    answer = VERDICTS["empty_object"]
    body = json.dumps({"state": "waitlisted", "position": position}).encode()
    gym.twin.script(row, CallPlan(acts=False, answer=replace(answer, body=body)), method="GET")
    keep_up(gym)
    assert place(gym, row) == ("waiting", None, 1)


def test_a_dead_session_is_refreshed_once_for_the_look(gym: Gym) -> None:
    row = waitlisted(gym, old=40)
    assert keep_up(gym).parts == {"places": _NONE | {"waiting": 1}}
    assert (place(gym, row), len(gym.calls(TOKEN_UPDATE))) == (("waiting", None, 1), 1)
    assert gym.session("ana@example.com")["version"] == 2


def test_a_session_that_cannot_be_refreshed_is_noted_and_ends(gym: Gym) -> None:
    row = waitlisted(gym, old=40)
    gym.twin.members.log_out("ana@example.com")

    async def an_hour() -> None:
        for _ in range(40):
            kept = await gym.keep_up()
            assert kept.success
            await asyncio.sleep(60)

    gym.world.run(an_hour())
    assert (place(gym, row), len(gym.calls(TOKEN_UPDATE))) == ((None, None, 3), 1)
    assert gym.session("ana@example.com")["expired"]


@pytest.mark.parametrize("missing", ["login", "key", "host"])
def test_a_look_that_is_not_possible_calls_no_venue_and_stops_no_other(gym: Gym, missing: str) -> None:
    row, other = waitlisted(gym), waitlisted(gym, "ben")
    if missing == "login":
        gym.connection.execute("delete from public.member_sessions where user_email = 'ana@example.com'")
    elif missing == "key":
        foreign = Seal(b"x" * 32).seal({}, venue_id=gym.venue, member="ana@example.com")
        gym.connection.execute("update public.member_sessions set sealed = %s where user_email like 'ana%%'", [foreign])
    else:
        there = add_venue(gym.connection, provider="aimharder", host="evil.example")
        gym.connection.execute("alter table public.prebookings disable trigger prebookings_terminal")
        gym.connection.execute("update public.prebookings set venue_id = %s where id = %s", [there, row])
    assert keep_up(gym).parts == {"places": _NONE | {"waiting": 1, "failed": 1}}
    assert [place(gym, one) for one in (row, other)] == [(None, None, 1), ("waiting", None, 1)]
    assert gym.calls(BOOKINGS) == ["ben@example.com"]


def test_an_exception_in_one_look_stops_no_other(gym: Gym, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, find = at_endpoint(gym, 3), WebhookPlaces.find

    async def sometimes(places: WebhookPlaces, row: Any, **how: Any) -> Any:
        if row.id == rows[0]:
            raise LookupError("ana@example.com")
        return await find(places, row, **how)

    monkeypatch.setattr(WebhookPlaces, "find", sometimes)
    kept = keep_up(gym)
    assert (kept.success, kept.parts) == (False, {"places": _NONE | {"waiting": 2, "errors": 1}})
    assert [place(gym, row)[0] for row in rows] == [None, "waiting", "waiting"]


def test_a_row_that_cannot_be_read_stops_no_other(gym: Gym) -> None:
    good, bad = at_endpoint(gym, 2)
    gym.connection.execute("alter table public.prebookings disable trigger prebookings_terminal")
    deep = "[" * 200 + "]" * 200
    gym.connection.execute(
        "update public.prebookings set booking_data = jsonb_build_object('class_id', %s::jsonb) where id = %s",
        [deep, bad],
    )
    kept = keep_up(gym)
    assert (kept.success, kept.parts) == (False, {"places": _NONE | {"waiting": 1, "failed": 1, "errors": 1}})
    assert place(gym, good)[0] == "waiting"


def test_a_venue_that_blocks_is_paused_and_looked_at_no_more(gym: Gym) -> None:
    rows = [waitlisted(gym, name) for name in ("ana", "ben", "cleo")]
    for row in ("ana", "ben", "cleo"):
        gym.twin.script(
            f"{row}@example.com", CallPlan(acts=False, answer=VERDICTS["blocked"]), method="GET", path=BOOKINGS
        )
    assert keep_up(gym).parts["places"]["failed"] < 3
    assert gym.world.paused_until(gym.venue) is not None
    assert len(gym.calls(BOOKINGS)) < 3
    assert all(place(gym, row)[0] is None for row in rows)


@pytest.mark.parametrize("plan", [DROP, HANG])
def test_a_venue_without_an_answer_is_asked_again_in_five_minutes(gym: Gym, plan: Any) -> None:
    row = waitlisted(gym)
    silent = CallPlan(acts=False, answer=plan)
    gym.twin.script("ana@example.com", *[silent] * 2, method="GET", path=BOOKINGS)
    gym.twin.script("ana@example.com", *[silent] * 2, method="GET", path=WHOAMI)

    async def twice() -> list[dict[str, dict[str, int]]]:
        kept = [await gym.keep_up()]
        for seconds in (280, 30):
            await asyncio.sleep(seconds)
            kept.append(await gym.keep_up())
        return [one.parts for one in kept]

    first, second, third = gym.world.run(twice())
    assert (first["places"]["failed"], second, third["places"]["failed"]) == (1, {}, 1)
    assert place(gym, row) == (None, None, 2)


def test_an_endpoint_that_hangs_leaves_time_to_store_that(gym: Gym) -> None:
    [row] = at_endpoint(gym)
    gym.twin.script(row, CallPlan(acts=False, answer=HANG), method="GET")
    kept = keep_up(gym)
    assert (kept.success, kept.parts["places"]["failed"], place(gym, row)) == (True, 1, (None, None, 1))
    [(until,)] = gym.connection.execute("select leased_until from public.prebooking_places").fetchall()
    assert until > EPOCH + timedelta(minutes=5)


def test_a_look_logs_no_member_and_nothing_secret(gym: Gym, capsys: pytest.CaptureFixture[str]) -> None:
    waitlisted(gym, old=40)
    gym.member("ben")
    at_endpoint(gym)
    kept = keep_up(gym)
    printed = capsys.readouterr().out + json.dumps(kept.as_json())
    assert '"place"' in printed
    sessions = gym.twin.members._sessions.values()
    secrets = {text for one in sessions for text in (one.cookie, one.token, one.fingerprint, one.email)}
    assert [secret for secret in {*secrets, "the-secret-of-the-venue", "@example.com"} if secret in printed] == []


def test_two_upkeeps_at_once_look_once(gym: Gym) -> None:
    waitlisted(gym)

    async def both() -> None:
        await asyncio.gather(gym.keep_up(), gym.keep_up())

    gym.world.run(both())
    assert len(gym.calls(BOOKINGS)) == 1


@pytest.mark.parametrize("lost", ["before", "after"])
@pytest.mark.parametrize("function", ["claim_places_v1", "note_place_v1", "lease_session_v1", "save_session_v1"])
def test_a_database_call_whose_answer_is_lost_is_repeated(gym: Gym, function: str, lost: str) -> None:
    row = waitlisted(gym, old=40)
    gym.world.lose(function, lost)
    assert keep_up(gym).parts == {"places": _NONE | {"waiting": 1}}
    assert (place(gym, row), len(gym.calls(TOKEN_UPDATE))) == (("waiting", None, 1), 1)


def test_an_upkeep_that_is_killed_at_any_request_is_followed_by_another_look(
    gym: Gym, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No login is lost: a token is used once, and the look is repeated as long as the new session was stored."""
    row, kills = waitlisted(gym, old=40), Kills(monkeypatch)
    gym.world.run(gym.keep_up())
    requests = kills.requests
    assert requests == 9, "of the database and of the venue"
    ends = [killed_and_run_again(gym, row, kills, number, when) for number in range(requests) for when in (0, 1)]
    assert {end for end in ends if end != ("waiting", False)} <= {(None, True)}
    assert ends.count((None, True)) <= 2, "only killed between the new session and its storage"


class Kills:
    """Cancels a task at its request with a number, before it is sent (0) or after it was answered (1)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.requests, self.at = 0, (-1, 0)
        send = PlainClient.send

        async def counted(client: PlainClient, request: httpx.Request, **how: Any) -> httpx.Response:
            self.requests += 1
            await self.kill(0)
            response = await send(client, request, **how)
            await self.kill(1)
            return response

        monkeypatch.setattr(PlainClient, "send", counted)

    async def kill(self, when: int) -> None:
        if (self.requests - 1, when) == self.at:
            self.task.cancel()
            await asyncio.sleep(0)

    async def kill_upkeep(self, gym: Gym, number: int, when: int) -> None:
        self.requests, self.at = 0, (number, when)
        self.task = asyncio.create_task(gym.keep_up())
        await asyncio.wait([self.task])
        self.at = (-1, 0)


def killed_and_run_again(gym: Gym, row: UUID, kills: Kills, number: int, when: int) -> tuple[str | None, bool]:
    """Return what the look has shown at the end, and whether the login is over."""
    gym.connection.execute("delete from public.prebooking_places")
    gym.connection.execute("delete from public.member_sessions")
    gym.log_in("ana@example.com", old=timedelta(minutes=40))

    async def killed() -> None:
        await kills.kill_upkeep(gym, number, when)
        for _ in range(3):
            await asyncio.sleep(60)
            await gym.keep_up()

    gym.world.run(killed())
    shown = place(gym, row)
    assert shown[2] <= 3
    return shown[0], gym.session("ana@example.com")["expired"]
