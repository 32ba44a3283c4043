"""One row at a box: missing logins, refreshes and confirmations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from prebooking.bookers.aimharder.booker import AimHarderBooker
from prebooking.bookers.aimharder.seal import Seal
from prebooking.bookers.aimharder.site import CLASSES, Session
from prebooking.clock import Clock
from prebooking.database.sessions import SessionLease, SessionStore
from prebooking.errors import StoreError, StoreUnavailable
from prebooking.http import isolated_client
from prebooking.model import Kind, Outcome, Prebooking, SealedSession, Venue
from tests.support.doubles import EPOCH
from tests.support.rows import claimed_row, claimed_venue

pytestmark = pytest.mark.anyio

KEY, ANA = bytes(32), "ana@example.com"
VENUE = claimed_venue(id=UUID(int=1), provider="aimharder", host="mybox.aimharder.com", provider_box_id="7")
SESSION = Session("token", {"amhrdrauth": "cookie"}, "f" * 50)
LOST = StoreUnavailable("a function", "lost")
ANA_SAYS = {"data": [{"id": 1, "name": "ana"}]}


class ScriptedStore(SessionStore):
    """Returns the scripted result of each database call."""

    def __init__(self, *, lease: Any = "leased", save: Any = 2, warn: Any = True) -> None:
        self.results = {"lease": lease, "save": save, "warn": warn}

    def _result(self, what: str) -> Any:
        result = next(self.results[what]) if isinstance(self.results[what], Iterator) else self.results[what]
        if isinstance(result, StoreError):
            raise result
        return result

    async def lease(self, *_: object, **__: object) -> SessionLease:
        state = self._result("lease")
        return SessionLease(state, sealed(version=3) if state == "newer" else None)

    async def save(self, *_: object, **__: object) -> int | None:
        return self._result("save")  # type: ignore[no-any-return]

    async def warn(self, *_: object, **__: object) -> bool:
        return self._result("warn")  # type: ignore[no-any-return]


def sealed(*, version: int = 1, seal: Seal | None = None) -> SealedSession:
    text = (seal or Seal(KEY)).seal(SESSION.as_json(), venue_id=VENUE.id, member=ANA)
    return SealedSession(sealed=text, version=version, refreshed_at=EPOCH)


def row(*, session: SealedSession | None, **about: Any) -> Prebooking:
    known: dict[str, Any] = {"venue": VENUE, "booking_data": {"class_id": "7", "day": "20300107"}}
    return claimed_row(**known | {"session": session} | about)


def booker(*replies: Any, store: ScriptedStore | None = None, venue: Venue = VENUE) -> AimHarderBooker:
    left = list(replies)

    def answer(_request: httpx.Request) -> httpx.Response:
        result = left.pop(0)
        status = result if isinstance(result, int) else 200
        return httpx.Response(status, stream=httpx.ByteStream(json.dumps(result).encode()))

    client = isolated_client(transport=httpx.MockTransport(answer))
    return AimHarderBooker(client, venue=venue, seal=Seal(KEY), sessions=store or ScriptedStore(), clock=Clock())


# missing logins


async def test_a_row_with_a_login_that_opens_is_ready() -> None:
    with_a_login = row(session=sealed())
    assert booker().is_ready(with_a_login)
    assert await booker().prepare(with_a_login, timeout=8) is None


@pytest.mark.parametrize("session", [None, sealed(seal=Seal(bytes([1] * 32)))], ids=["no login", "another key's"])
async def test_a_login_that_this_deployment_lacks_settles_nothing(session: SealedSession | None) -> None:
    without = row(session=session)
    assert not booker().is_ready(without)
    for renew in (False, True):
        outcome = await booker().prepare(without, timeout=8, renew=renew)
        assert outcome is not None
        assert outcome.kind is Kind.CANNOT_TELL


async def test_a_host_outside_aimharder_settles_nothing() -> None:
    outcome = await booker(venue=VENUE.model_copy(update={"host": "xn--x.aimharder.com"})).prepare(
        row(session=sealed()), timeout=8
    )
    assert outcome is not None
    assert outcome.kind is Kind.CANNOT_TELL


async def test_a_login_that_the_venue_has_ended_is_expired() -> None:
    assert await booker().prepare(row(session=None, session_over=True), timeout=8) == Outcome(Kind.SESSION_EXPIRED)


# refreshes


@pytest.mark.parametrize(
    ("reply", "store", "kind"),
    [
        ({"newToken": "t"}, {}, None),
        ({"newToken": "t"}, {"save": LOST}, None),  # it is good for this run
        ({"newToken": "t"}, {"save": None, "lease": iter(["leased", "newer"])}, None),  # the member logged in meanwhile
        ({"newToken": "t"}, {"lease": "newer"}, None),  # another run has renewed it
        ({"logout": 1}, {}, Kind.SESSION_EXPIRED),
        ({"logout": 1}, {"warn": False, "lease": iter(["leased", "newer"])}, None),  # that was of an older login
        ({"logout": 1}, {"lease": "over"}, Kind.SESSION_EXPIRED),
        ({"logout": 1}, {"warn": LOST}, Kind.CANNOT_TELL),
        (403, {}, Kind.BLOCKED),
        (503, {}, Kind.CANNOT_TELL),
        ({}, {}, Kind.CANNOT_TELL),
        ({}, {"lease": "gone"}, Kind.CANNOT_TELL),
        ({}, {"lease": LOST}, Kind.CANNOT_TELL),
    ],
)
async def test_each_result_of_a_refresh_has_its_outcome(reply: Any, store: dict[str, Any], kind: Kind | None) -> None:
    outcome = await booker(reply, store=ScriptedStore(**store)).prepare(row(session=sealed()), timeout=8, renew=True)
    assert (outcome.kind if outcome else None) is kind


async def test_a_refresh_is_not_started_without_time_for_its_answer() -> None:
    outcome = await booker().prepare(row(session=sealed()), timeout=2, renew=True)
    assert outcome is not None
    assert outcome.kind is Kind.CANNOT_TELL


async def test_a_refreshed_session_can_be_refreshed_again() -> None:
    box, one = booker({"newToken": "a"}, {"newToken": "b"}), row(session=sealed())
    assert await box.prepare(one, timeout=8, renew=True) is None
    assert box._session(one).token == "a"
    assert await box.prepare(one, timeout=8, renew=True) is None
    assert box._session(one).token == "b"


# confirmations


@pytest.mark.parametrize("data", [{"class_id": "?", "day": "20300107"}, {"class_id": "7", "day": "soon"}], ids=str)
async def test_unreadable_data_is_not_confirmed(data: dict[str, str]) -> None:
    one = row(session=sealed(), booking_data=data)
    assert await booker().confirm(one, timeout=2) == Outcome(Kind.CANNOT_TELL)


MINE = {"id": 7, "bookState": 1, "idres": 5}


@pytest.mark.parametrize(
    ("day", "whoami", "found"),
    [
        ([MINE], ANA_SAYS, Outcome(Kind.BOOKED, "5")),
        ([MINE | {"bookState": 0}], ANA_SAYS, Outcome(Kind.WAITLISTED, "5")),
        ([MINE | {"cancelledId": 77}], ANA_SAYS, Outcome(Kind.NOT_BOOKED)),
        ([MINE | {"bookState": None}], ANA_SAYS, Outcome(Kind.NOT_BOOKED)),
        ([MINE | {"bookState": None}], {"data": []}, Outcome(Kind.SESSION_EXPIRED)),
        ([{"id": 7}], ANA_SAYS, Outcome(Kind.CANNOT_TELL)),
        ([{"id": 7}], {"logout": 1}, Outcome(Kind.SESSION_EXPIRED)),
        ([], ANA_SAYS, Outcome(Kind.MISSING)),
        ([{"id": 8, "bookState": None}], ANA_SAYS, Outcome(Kind.MISSING)),
        ({"1": {"id": 8}}, ANA_SAYS, Outcome(Kind.MISSING)),
        ([{"id": 8}], {"data": []}, Outcome(Kind.SESSION_EXPIRED)),
        ([{"id": 8}], 503, Outcome(Kind.CANNOT_TELL)),
        ([{"id": 8}], 403, Outcome(Kind.BLOCKED, detail="HTTP 403")),
        ([{"id": "?"}], ANA_SAYS, Outcome(Kind.CANNOT_TELL)),
        ([{"id": 8}] * CLASSES, ANA_SAYS, Outcome(Kind.CANNOT_TELL)),
        ("none", ANA_SAYS, Outcome(Kind.CANNOT_TELL)),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_a_confirmation_has_the_outcome_that_the_list_proves(day: Any, whoami: Any, found: Outcome) -> None:
    """K7: only a complete list, read with a valid login, proves that a class is missing."""
    assert await booker({"bookings": day}, whoami).confirm(row(session=sealed()), timeout=2) == found
