"""Members' places at a box of AimHarder: the member's marks in the day's list, and the page's call that cancels."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from prebooking.bookers.aimharder import transport
from prebooking.bookers.aimharder.booker import AimHarderBooker
from prebooking.bookers.aimharder.seal import Seal
from prebooking.bookers.call import Reply, ask
from prebooking.bookers.places import CancelAnswer, MemberPlace, PlaceAccess, Places
from prebooking.clock import Deadline
from prebooking.errors import SendRefused
from prebooking.foreign import read_id, read_number
from prebooking.http import isolated_client
from prebooking.model import Kind, Prebooking, Venue

_CANCEL_STATES = {1: CancelAnswer.DONE, 3: CancelAnswer.REFUSED}
_LATE = 2  # a cancelState


@asynccontextmanager
async def open_places(venue: Venue, access: PlaceAccess) -> AsyncIterator[Places]:
    """Open a box with its own HTTP client."""
    to_venues = access.to_venues or transport(access.settings)
    async with isolated_client(transport=to_venues) as client:
        seal = Seal.of(access.settings)
        yield AimHarderPlaces(client, venue=venue, seal=seal, sessions=access.sessions, clock=access.clock)


class AimHarderPlaces(AimHarderBooker):
    """Asks and cancels with the member's own cookies, which are refreshed once if the box does not accept them."""

    must_be_found = True  # the first cancelBook already cancels, so the list must show the place before it

    async def find(self, row: Prebooking, *, until: Deadline) -> MemberPlace:
        """Read the member's mark in the day's list. See Places."""
        if not self.is_ready(row) and not self._site.problem:
            return MemberPlace(Kind.SESSION_EXPIRED)
        found = await self.confirm(row, timeout=until.remaining())
        if found.kind is Kind.SESSION_EXPIRED:
            failure = await self.prepare(row, timeout=until.remaining(), renew=True)
            found = failure or await self.confirm(row, timeout=until.remaining())
        return MemberPlace(found.kind, found.booking_id)

    async def cancel(self, row: Prebooking, place: MemberPlace, *, late: bool, timeout: float) -> CancelAnswer:  # noqa: ASYNC109 - see Places
        """Send the form of the page's button. See Places."""
        family_id = read_id(row.booking_data.get("family_id")) or ""
        try:
            session = self._session(row)
        except SendRefused:
            return CancelAnswer.UNCLEAR
        if place.booking_id is None:
            return CancelAnswer.UNABLE
        form = {"id": place.booking_id, "late": str(int(late)), "familyId": family_id}
        request = self._site.cancellation(session, form)
        return classify_cancellation(await ask(self._client, request, timeout=timeout), late=late)


def classify_cancellation(reply: Reply | None, *, late: bool) -> CancelAnswer:
    """Return the meaning of an answer to cancelBook, by its number. ``late``: the call has accepted the loss."""
    if reply is None:
        return CancelAnswer.UNCLEAR
    if reply.status in (httpx.codes.FORBIDDEN, httpx.codes.TOO_MANY_REQUESTS):
        return CancelAnswer.BLOCKED
    body = reply.json_object() if reply.status == httpx.codes.OK else None
    number = read_number((body or {}).get("cancelState"))
    if number == _LATE:
        return CancelAnswer.UNCLEAR if late else CancelAnswer.LATE
    return CancelAnswer.UNCLEAR if number is None else _CANCEL_STATES.get(number, CancelAnswer.UNCLEAR)
