"""No broken, endless, slow or misleading answer to the call that gives a place back is taken for a place given back."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from prebooking.bookers import give_back as procedure
from prebooking.bookers.aimharder.give_back import AimHarderPlaces
from prebooking.bookers.aimharder.seal import Seal
from prebooking.bookers.aimharder.site import Session
from prebooking.bookers.give_back import GiveBack, give_back
from prebooking.bookers.places import Places
from prebooking.bookers.webhook.give_back import WebhookPlaces
from prebooking.clock import Clock
from prebooking.database.sessions import SessionStore
from prebooking.http import RewriteHostTransport, isolated_client
from tests.support import peers
from tests.support.peers import Peer, Script
from tests.support.rows import claimed_row, claimed_venue
from tests.verification.hostile_replies import AT_AIMHARDER, BOOKED, UNSURE, ok, says

pytestmark = pytest.mark.anyio

CLOCK = Clock()
KEY = bytes(range(32))
BOX = claimed_venue(provider="aimharder", host="box.aimharder.com", provider_box_id="42")
_SHOWN = ok(b'{"state": "booked", "bookings": [{"id": 7, "bookState": 1, "idres": 77, "enabled": 1}]}')
_AT_BOX = {
    "a state of one that is a truth": ok(b'{"cancelState": true}'),
    "a state of one that is a list": ok(b'{"cancelState": [1]}'),
    "a state of one that is a fraction": ok(b'{"cancelState": 1.0}'),
    "a state of one in another field": ok(b'{"data": {"cancelState": 1}, "bookState": 1}'),
    "a state of one with an error": ok(b'{"cancelState": 1}', status="500 Internal Server Error"),
    "a state of one with a redirect": ok(b'{"cancelState": 1}', "Location: /", status="302 Found"),
    "a logout": ok(b'{"logout": 1}'),
}
_AT_ENDPOINT = {
    "given back in a list": ok(b'{"state": ["given_back"]}'),
    "given back, accepted for later": ok(b'{"state": "given_back"}', status="202 Accepted"),
    "not booked, with an error": ok(b'{"state": "not_booked"}', status="503 Service Unavailable"),
    "gone": ok(b'{"state": "not_booked"}', status="410 Gone"),
    "not found": ok(b"{}", status="404 Not Found"),
}
AT_BOX: dict[str, Script] = UNSURE | BOOKED | AT_AIMHARDER | {name: says(text) for name, text in _AT_BOX.items()}
AT_ENDPOINT: dict[str, Script] = UNSURE | BOOKED | {name: says(text) for name, text in _AT_ENDPOINT.items()}


def answers(script: Script) -> Script:
    """Return the script of a venue that shows the place, and answers the call that gives it back like this."""

    async def answer(peer: Peer) -> None:
        await peer.request()
        is_call = not bytes(peer.received).startswith(b"GET")
        await (script(peer) if is_call else says(_SHOWN)(peer))

    return answer


async def at_endpoint(url: str) -> GiveBack:
    async with isolated_client() as client:
        places = WebhookPlaces(client, url=f"{url}/book", secret="the-secret-of-the-venue")
        return await give_back(places, claimed_row(), booking_id=None, late=False, clock=CLOCK)


async def at_box(url: str) -> GiveBack:
    seal = Seal(KEY)
    session = Session("token", {"amhrdrauth": "cookie"}, "f" * 50).as_json()
    sealed = seal.seal(session, venue_id=BOX.id, member="ana@example.com")
    stored = {"sealed": sealed, "version": 1, "refreshed_at": CLOCK.now()}
    row = claimed_row(venue=BOX, session=stored, booking_data={"class_id": 7, "day": "20300111"})
    no_store: Any = None
    async with isolated_client(transport=RewriteHostTransport(url)) as client:
        sessions = cast("SessionStore", no_store)
        places: Places = AimHarderPlaces(client, venue=BOX, seal=seal, sessions=sessions, clock=CLOCK)
        return await give_back(places, row, booking_id=None, late=False, clock=CLOCK)


async def result(name: str, script: Script, at: Any) -> tuple[str, GiveBack, list[bytes]]:
    async with peers.serve(answers(script)) as server:
        ended = await at(server.url)
        return name, ended, [request.split(b" ", 1)[0] for request in server.requests()]


@pytest.mark.parametrize(
    ("at", "method", "cases"),
    [(at_endpoint, b"DELETE", AT_ENDPOINT), (at_box, b"POST", AT_BOX)],
    ids=["endpoint", "box"],
)
async def test_no_hostile_answer_is_taken_for_a_place_given_back(
    at: Any, method: bytes, cases: dict[str, Script], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(procedure, "CANCEL_TIME", 0.5)
    names = list(cases)
    assert len(names) >= 60
    for number in range(0, len(names), 12):
        batch = names[number : number + 12]
        for name, ended, sent in await asyncio.gather(*(result(name, cases[name], at) for name in batch)):
            assert (name, ended) == (name, GiveBack.STILL_BOOKED)
            assert sent == [b"GET", method, b"GET"], name
