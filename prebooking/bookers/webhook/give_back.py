"""Members' places at the operator's own endpoint: ``GET`` asks about a prebooking, ``DELETE`` gives its place back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prebooking.bookers.call import Reply, ask
from prebooking.bookers.places import CancelAnswer, MemberPlace, PlaceAccess, Places
from prebooking.bookers.webhook.booker import WebhookBooker, classify_state
from prebooking.clock import Deadline
from prebooking.foreign import read_count
from prebooking.http import isolated_client
from prebooking.model import Kind, Prebooking, Venue

# Caused by the endpoint's configuration or load: a wrong secret, a proxy, or a limit.
_BLOCKED = frozenset({401, 403, 407, 421, 426, 429, 431})
_UNABLE = frozenset({405, 501})
# An HTTP status, and the state in the body.
_DONE = {(status, state) for status in (200, 204) for state in ("", "given_back", "not_booked")} | {(404, "not_booked")}
_LATE = (409, "late")


@asynccontextmanager
async def open_places(venue: Venue, access: PlaceAccess) -> AsyncIterator[Places]:  # noqa: ARG001 - see PlaceSystem
    """Open the operator's endpoint, which is the same for every venue."""
    secret = access.settings.booking_webhook_secret
    async with isolated_client(transport=access.to_venues) as client:
        yield WebhookPlaces(
            client,
            url=access.settings.booking_webhook_url or "",
            secret=secret.get_secret_value() if secret else "",
        )


class WebhookPlaces(WebhookBooker):
    """Asks and deletes by the prebooking's id."""

    must_be_found = False  # a DELETE of a place that does not exist changes nothing, and an endpoint may have no GET

    async def find(self, row: Prebooking, *, until: Deadline) -> MemberPlace:
        """Ask for the state of the prebooking, and its position on the waiting list. See Places."""
        reply = await ask(self._client, self.about(row, "GET"), timeout=until.remaining())
        if reply is None:
            return MemberPlace(Kind.CANNOT_TELL)
        found = classify_state(reply)
        position = read_count((reply.json_object() or {}).get("position")) if found.kind is Kind.WAITLISTED else None
        return MemberPlace(found.kind, found.booking_id, position or None)

    async def cancel(self, row: Prebooking, place: MemberPlace, *, late: bool, timeout: float) -> CancelAnswer:  # noqa: ARG002, ASYNC109 - see Places
        """DELETE the prebooking. See Places."""
        request = self.about(row, "DELETE", **({"late": "1"} if late else {}))
        return classify_deletion(await ask(self._client, request, timeout=timeout), late=late)


def classify_deletion(reply: Reply | None, *, late: bool) -> CancelAnswer:
    """Return the meaning of an answer to a DELETE: from the HTTP status, then from ``state`` in the body.

    ``late``: the call has accepted that the credit is lost.
    """
    if reply is None:
        return CancelAnswer.UNCLEAR
    if reply.status in _BLOCKED:
        return CancelAnswer.BLOCKED
    if reply.status in _UNABLE:
        return CancelAnswer.UNABLE
    body = reply.json_object()
    if body is None or not isinstance(state := body.get("state", ""), str):  # for example a proxy's page
        return CancelAnswer.UNCLEAR
    if (reply.status, state) == _LATE:
        return CancelAnswer.UNCLEAR if late else CancelAnswer.LATE
    return CancelAnswer.DONE if (reply.status, state) in _DONE else CancelAnswer.UNCLEAR
