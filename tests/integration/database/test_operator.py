"""The operator's database functions through either REST layer: every result, and the rows afterwards."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from prebooking.database.operator import AddResult, AddVenueResult, NewPrebooking, OperatorStore
from prebooking.errors import StoreRefused
from prebooking.model import Venue
from tests.support.calls import claim, complete, prebooking, save_session
from tests.support.database import At, Connection, Rest
from tests.support.factories import add_prebooking, add_session, add_venue, noon
from tests.support.operators import deadline, open_operator_store
from tests.support.questions import ask

pytestmark = pytest.mark.anyio


def box(name: str = "Box Centro", **overrides: Any) -> Venue:
    data = {"id": uuid4(), "name": name, "provider": "aimharder", "host": "centro.aimharder.com"}
    data |= {"provider_box_id": "42", "timezone": "Europe/Madrid", "idempotent": False}
    return Venue.model_validate(data | overrides)


async def ask_for(store: OperatorStore, venue: UUID, **overrides: Any) -> AddResult:
    row: dict[str, Any] = {"row_id": uuid4(), "booking_data": {"class_id": "4711", "day": "20261123"}}
    row |= {"available_at": noon(3600), "expires_at": noon(7200)}
    given: dict[str, Any] = {"user_email": "ana@example.com", "again": False, "anyway": True}
    new = NewPrebooking(*(overrides.pop(name, value) for name, value in row.items()))
    return await store.add_prebookings([new], venue_id=venue, until=deadline(), **(given | overrides))


# venues


async def test_a_venue_is_added_and_listed_with_its_pending_count(owner: Connection, store: OperatorStore) -> None:
    centro = box()
    assert (await store.add_venue(centro, "4 days before", until=deadline())).verdict == "added"
    add_prebooking(owner, centro.id)
    [listed] = await store.venues(until=deadline())
    assert listed.model_dump() == centro.model_dump() | {
        "opening_rule": "4 days before",
        "late_cancel_hours": None,
        "enabled": True,
        "paused_until": None,
        "pending": 1,
    }


async def test_adding_a_venue_twice_returns_the_same_result(store: OperatorStore) -> None:
    centro = box()
    for _ in range(2):
        assert (await store.add_venue(centro, None, until=deadline())).verdict == "added"
    assert len(await store.venues(until=deadline())) == 1


@pytest.mark.parametrize(
    ("second", "verdict"),
    [
        (box("BOX centro", host="norte.aimharder.com"), "name_taken"),
        (box("Box Norte"), "box_taken"),
    ],
)
async def test_a_taken_name_or_box_returns_the_existing_venue(
    store: OperatorStore, second: Venue, verdict: str
) -> None:
    first = box()
    await store.add_venue(first, None, until=deadline())
    answer = await store.add_venue(second, None, until=deadline())
    assert answer == AddVenueResult.model_validate({"verdict": verdict, "id": first.id, "name": "Box Centro"})
    assert len(await store.venues(until=deadline())) == 1


async def test_two_boxes_of_one_host_are_two_venues(store: OperatorStore) -> None:
    await store.add_venue(box(), None, until=deadline())
    assert (await store.add_venue(box("Box Norte", provider_box_id="43"), None, until=deadline())).verdict == "added"


@pytest.mark.parametrize("rule", ["4 days", "0 days before", "72 hours before at 20:00", "3 days before at 25:00"])
async def test_an_unreadable_opening_rule_is_refused(store: OperatorStore, rule: str) -> None:
    with pytest.raises(StoreRefused, match="23514"):
        await store.add_venue(box(), rule, until=deadline())


async def test_a_disabled_venue_is_claimed_only_after_it_is_enabled(owner: Connection, store: OperatorStore) -> None:
    venue = add_venue(owner)
    row = add_prebooking(owner, venue)
    assert await store.enable_venue(venue, enabled=False, until=deadline())
    assert claim(owner, uuid4())["rows"] == []
    assert await store.enable_venue(venue, enabled=True, until=deadline())
    assert [found["id"] for found in claim(owner, uuid4())["rows"]] == [str(row)]


async def test_enabling_a_venue_ends_its_pause(owner: Connection, at: At, store: OperatorStore) -> None:
    venue = add_venue(owner, paused_until=noon(300))
    assert (await store.venues(until=deadline()))[0].paused_until == noon(300)
    await store.enable_venue(venue, enabled=True, until=deadline())
    assert (await store.venues(until=deadline()))[0].paused_until is None


async def test_enabling_a_venue_resets_trouble_and_overdue(owner: Connection, at: At, store: OperatorStore) -> None:
    venue = add_venue(owner, troubled_since=noon(-600), enabled=False)
    add_prebooking(owner, venue, available_at=noon(-500))
    await store.enable_venue(venue, enabled=True, until=deadline())
    status = await store.status(until=deadline())
    assert (status.troubled, status.rows.due, status.rows.overdue) == ([], 1, 0)
    at(106)
    assert (await store.status(until=deadline())).rows.overdue == 1


async def test_disabling_a_venue_keeps_its_trouble(owner: Connection, at: At, store: OperatorStore) -> None:
    venue = add_venue(owner, troubled_since=noon(-600))
    await store.enable_venue(venue, enabled=False, until=deadline())
    assert owner.execute("select troubled_since from public.venues").fetchone() == (noon(-600),)


async def test_an_elapsed_pause_is_not_listed(owner: Connection, at: At, store: OperatorStore) -> None:
    add_venue(owner, paused_until=noon(-1))
    assert (await store.venues(until=deadline()))[0].paused_until is None


async def test_disabling_an_unknown_venue_returns_false(store: OperatorStore) -> None:
    assert not await store.enable_venue(uuid4(), enabled=False, until=deadline())


# prebookings


async def test_a_prebooking_is_stored_as_requested(owner: Connection, at: At, store: OperatorStore) -> None:
    venue = add_venue(owner)
    answer = await ask_for(store, venue, booking_data={"class_id": "4711", "day": "20261123"})
    assert answer.verdict == "added"
    assert answer.id is not None
    row = prebooking(owner, answer.id)
    assert (row["venue_id"], row["user_email"], row["status"]) == (venue, "ana@example.com", "pending")
    assert (row["booking_data"], row["available_at"]) == ({"class_id": "4711", "day": "20261123"}, noon(3600))
    assert row["expires_at"] == noon(7200)


async def test_adding_the_same_id_twice_adds_one_row(owner: Connection, at: At, store: OperatorStore) -> None:
    venue, row_id = add_venue(owner), uuid4()
    answers = [await ask_for(store, venue, row_id=row_id) for _ in range(2)]
    assert answers == [AddResult(verdict="added", id=row_id)] * 2


async def test_a_second_prebooking_of_a_class_is_refused(owner: Connection, at: At, store: OperatorStore) -> None:
    venue = add_venue(owner)
    first = await ask_for(store, venue)
    assert await ask_for(store, venue, user_email="ANA@example.com") == AddResult(verdict="waiting", id=first.id)
    assert (await ask_for(store, venue, user_email="ben@example.com")).verdict == "added"
    assert (await ask_for(store, venue, booking_data={"class_id": "4712"})).verdict == "added"


async def test_a_booked_class_can_be_added_only_with_again(owner: Connection, at: At, store: OperatorStore) -> None:
    venue, me = add_venue(owner), uuid4()
    first = await ask_for(store, venue, available_at=noon(-1))
    assert first.id is not None
    claim(owner, me)
    assert complete(owner, first.id, me)
    assert await ask_for(store, venue) == AddResult(verdict="booked", id=first.id)
    assert (await ask_for(store, venue, again=True)).verdict == "added"


async def test_a_begun_class_and_an_unknown_venue_are_refused(owner: Connection, at: At, store: OperatorStore) -> None:
    begun = await ask_for(store, add_venue(owner), available_at=noon(-60), expires_at=noon())
    assert begun == AddResult(verdict="begun")
    assert await ask_for(store, uuid4()) == AddResult(verdict="no_venue")
    assert owner.execute("select * from public.prebookings").fetchall() == []


@pytest.mark.parametrize("other", [{"class_id": "4711 "}, {"class_id": " 4711"}, {"class_id": 4711}])
async def test_a_class_id_is_the_same_in_every_notation(
    owner: Connection, at: At, store: OperatorStore, other: dict[str, Any]
) -> None:
    venue, me = add_venue(owner), uuid4()
    ended = {"status": "completed", "outcome": "booked", "settled_at": noon(), "expires_at": noon(7200)}
    add_prebooking(owner, venue, user_email="ben@example.com", booking_data=other, **ended)
    assert (await ask_for(store, venue, user_email="ben@example.com")).verdict == "booked"
    first = await ask_for(store, venue, available_at=noon(-1))
    assert await ask_for(store, venue, booking_data=other) == AddResult(verdict="waiting", id=first.id)
    claim(owner, me)
    assert first.id is not None
    assert complete(owner, first.id, me)
    assert (await ask_for(store, venue, booking_data=other)).verdict == "booked"


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("booked", [False, True])
async def test_a_second_class_at_one_hour_needs_anyway(
    owner: Connection, at: At, store: OperatorStore, *, elsewhere: bool, booked: bool
) -> None:
    venue = add_venue(owner, name="Centro")
    first = await ask_for(store, venue, available_at=noon(-1), booking_data={"class_id": "1", "class_name": "WOD"})
    if booked:
        assert first.id is not None
        claim(owner, me := uuid4())
        assert complete(owner, first.id, me)
    there = add_venue(owner) if elsewhere else venue
    refused = await ask_for(store, there, booking_data={"class_id": "2"}, anyway=False)
    assert (refused.verdict, refused.id, refused.venue, refused.class_name) == ("same_hour", first.id, "Centro", "WOD")
    another_hour: dict[str, Any] = {"booking_data": {"class_id": "2"}, "expires_at": noon(7201), "anyway": False}
    assert (await ask_for(store, there, **another_hour)).verdict == "added"
    assert (await ask_for(store, there, booking_data={"class_id": "3"})).verdict == "added"


async def test_a_member_has_at_most_five_rows_per_opening(owner: Connection, at: At, store: OperatorStore) -> None:
    venue = add_venue(owner)
    for number in range(5):
        at_another_hour = noon(7200 + number)
        added = await ask_for(store, venue, booking_data={"class_id": number}, expires_at=at_another_hour)
        assert added.verdict == "added"
    sixth: dict[str, Any] = {"booking_data": {"class_id": "6"}, "expires_at": noon(9000)}
    assert (await ask_for(store, venue, **sixth)).verdict == "too_many"
    assert (await ask_for(store, venue, **sixth, available_at=noon(3601))).verdict == "too_many", "a moment apart"
    assert (await ask_for(store, venue, **sixth, available_at=noon(3660))).verdict == "added"
    assert (await ask_for(store, add_venue(owner), **sixth)).verdict == "added"
    assert (await ask_for(store, venue, **sixth, user_email="ben@example.com")).verdict == "added"


async def test_a_lookalike_address_reaches_no_data(owner: Connection, at: At, store: OperatorStore) -> None:
    venue, kelvin = add_venue(owner), "\u212aim@example.com"
    add_session(owner, venue, "kim@example.com")
    await ask_for(store, venue, user_email="Kim@example.com")
    with pytest.raises(StoreRefused, match="22023"):
        await ask_for(store, venue, user_email=kelvin)
    assert await store.sessions(kelvin, until=deadline()) == []
    assert await store.prebookings(kelvin, settled_days=7, limit=10, until=deadline()) == []
    for function, arguments in (("logout_v1", [venue, kelvin]), ("forget_member_v1", [kelvin])):
        ask(owner, function, *arguments)
    [(row,)] = owner.execute("select id from public.prebookings").fetchall()
    assert ask(owner, "cancel_prebooking_v1", row, kelvin) == "not_found"
    assert ask(owner, "lease_session_v1", uuid4(), venue, kelvin, 1) == {"state": "gone"}
    assert not ask(owner, "warn_about_session_v1", venue, kelvin, 1, True, "over")  # noqa: FBT003 - SQL has no keywords here
    with pytest.raises(psycopg.Error):
        save_session(owner, venue, kelvin, "sealed elsewhere", None)
    assert owner.execute("select sealed, expired_at from public.member_sessions").fetchall() == [("sealed", None)]
    assert owner.execute("select status from public.prebookings").fetchall() == [("pending",)]


async def test_due_rows_left_to_others_are_counted_per_reason(owner: Connection, at: At, store: OperatorStore) -> None:
    mine, box = add_venue(owner), add_venue(owner, provider="aimharder", host="box.aimharder.com")
    paused, blocked = add_venue(owner, enabled=False), add_venue(owner, paused_until=noon(60))
    for venue in (mine, mine, paused, blocked, box):
        add_prebooking(owner, venue)
    add_prebooking(owner, mine, available_at=noon(60))
    for number, warning in enumerate(("no_login: log in.", "other_key: another key.", "other_key: another key.")):
        add_prebooking(owner, box, warning=warning, booking_data={"class_id": number, "day": "20261123"})
    owner.execute("update public.prebookings set warning = 'no_login: x' where venue_id = %s", [mine])
    assert await store.due_elsewhere(["aimharder", "webhook"], until=deadline()) == {
        "paused": 2,
        "no_login": 3,
        "other_key": 2,
    }
    assert await store.due_elsewhere(["aimharder"], until=deadline()) == {"webhook": 4, "no_login": 1, "other_key": 2}
    assert await store.due_elsewhere(["webhook"], until=deadline()) == {"aimharder": 4, "paused": 2, "no_login": 2}


@pytest.mark.parametrize(
    ("login", "message"),
    [
        (None, "nobody has logged in"),
        ({"refreshed_at": noon(-1801)}, "log in again"),
        ({"refreshed_at": noon(-1799)}, None),
        ({"refreshed_at": noon(-1), "expired_at": noon()}, "log in again"),
    ],
)
async def test_a_list_warns_of_an_expired_login(
    owner: Connection, at: At, store: OperatorStore, login: dict[str, Any] | None, message: str | None
) -> None:
    venue = add_venue(owner, provider="aimharder", host="box.aimharder.com")
    if login:
        add_session(owner, venue, "ana@example.com", **login)
    await ask_for(store, venue, available_at=noon(4 * 86_400), expires_at=noon(8 * 86_400))
    await ask_for(store, add_venue(owner), user_email="ben@example.com")
    theirs, mine = await store.prebookings(None, settled_days=7, limit=10, until=deadline())
    assert theirs.warning is None, "no login books there"
    assert (mine.warning is None) == (message is None)
    assert not message or (mine.warning or "").startswith("session_expired")
    assert (message or "") in (mine.warning or "")


async def test_a_list_has_pending_and_recent_rows_by_class(owner: Connection, at: At, store: OperatorStore) -> None:
    venue = add_venue(owner, name="Box Centro")
    mine: dict[str, Any] = {"user_email": "Ana@example.com"}
    ended = {"status": "failed", "outcome": "full", "error_message": "The class was full."}
    late = add_prebooking(owner, venue, **mine, expires_at=noon(7200))
    soonest = add_prebooking(owner, venue, **mine, expires_at=noon(60), maybe_sent=True)
    full = add_prebooking(
        owner, venue, **mine, **ended, settled_at=noon(-3600), available_at=noon(-7200), expires_at=noon(-30)
    )
    add_prebooking(owner, venue, **mine, **ended, settled_at=noon(-8 * 86400))
    add_prebooking(owner, venue)
    listed = await store.prebookings("ana@EXAMPLE.com", settled_days=7, limit=10, until=deadline())
    assert [prebooking.id for prebooking in listed] == [full, soonest, late]
    assert [prebooking.being_booked for prebooking in listed] == [False, True, False]
    assert (listed[0].venue, listed[0].timezone, listed[0].error_message) == (
        "Box Centro",
        "Europe/Madrid",
        "The class was full.",
    )
    assert len(await store.prebookings(None, settled_days=30, limit=10, until=deadline())) == 5
    assert [
        prebooking.id for prebooking in await store.prebookings(None, settled_days=30, limit=1, until=deadline())
    ] == [soonest]


# logins


async def test_logins_are_listed_with_their_next_opening(owner: Connection, at: At, store: OperatorStore) -> None:
    venue = add_venue(owner, name="Box Centro")
    for member in ("ana@example.com", "ben@example.com"):
        save_session(owner, venue, member, "sealed", None)
    for opens in (7200, 60):
        add_prebooking(owner, venue, user_email="Ana@example.com", available_at=noon(opens))
    add_prebooking(owner, add_venue(owner), user_email="ben@example.com", available_at=noon(60))
    ana, ben = await store.sessions(None, until=deadline())
    assert (ana.user_email, ana.venue.name, ana.next_opening) == ("ana@example.com", "Box Centro", noon(60))
    assert (ana.session.sealed, ana.session.version, ana.session.refreshed_at) == ("sealed", 1, noon())
    assert (ben.user_email, ben.next_opening, ben.expired_at) == ("ben@example.com", None, None)
    assert await store.sessions("BEN@example.com", until=deadline()) == [ben]


async def test_a_venue_s_box_is_set_once(owner: Connection, store: OperatorStore) -> None:
    centro = box(provider_box_id=None)
    await store.add_venue(centro, None, until=deadline())
    verdicts = [(await store.set_box(centro.id, number, until=deadline())).verdict for number in ("42", "42", "43")]
    assert verdicts == ["set", "set", "other_box"]
    assert [venue.provider_box_id for venue in await store.venues(until=deadline())] == ["42"]


async def test_a_venue_cannot_get_another_venue_s_box(owner: Connection, store: OperatorStore) -> None:
    centro, other, norte = box(), box(name="Other", provider_box_id=None), box(name="Norte", host="norte.aimharder.com")
    for venue in (centro, other, norte.model_copy(update={"provider_box_id": None})):
        assert (await store.add_venue(venue, None, until=deadline())).verdict == "added"
    taken = await store.set_box(other.id, "42", until=deadline())
    assert (taken.verdict, taken.name) == ("box_taken", "Box Centro")
    assert (await store.set_box(norte.id, "42", until=deadline())).verdict == "set", "the same number at another host"
    assert (await store.set_box(other.id, "43", until=deadline())).verdict == "set"


async def test_only_one_venue_of_a_host_may_have_no_box(owner: Connection, store: OperatorStore) -> None:
    await store.add_venue(box(provider_box_id=None), None, until=deadline())
    again = await store.add_venue(box("Other", provider_box_id=None), None, until=deadline())
    assert (again.verdict, again.name) == ("box_taken", "Box Centro")
    for name in ("One of mine", "Another of mine"):
        mine = box(name, provider="webhook", host="mine.example", provider_box_id=None)
        assert (await store.add_venue(mine, None, until=deadline())).verdict == "added"


# prebooking_doctor_v1


async def test_the_doctor_gets_role_time_and_functions(owner: Connection, at: At, store: OperatorStore) -> None:
    owner.execute("revoke execute on function public.cancel_prebooking_v1 from service_role")
    facts = await store.access(["list_venues_v1", "cancel_prebooking_v1", "book_the_moon_v1"], until=deadline())
    assert facts.model_dump() == {
        "now": noon(),
        "role": "service_role",
        "functions": {"list_venues_v1": True, "cancel_prebooking_v1": False},
    }


async def test_an_anonymous_key_may_call_no_operator_function(rest: Rest) -> None:
    async for store in open_operator_store(rest, rest.anon_key):
        with pytest.raises(StoreRefused, match="42501"):
            await store.access([], until=deadline())
