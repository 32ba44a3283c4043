"""Checks of the venues: whether they answer, whether clocks agree, and whether logins work."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import httpx

from prebooking.bookers.call import Reply
from prebooking.bookers.webhook.booker import classify_state
from prebooking.checks.check import Check, Fine, Found, fault
from prebooking.cli.dates import UNKNOWN_TIMEZONE
from prebooking.cli.doctor.observations import EndpointVisit, Observations, Visit
from prebooking.cli.doctor.setup import CLOCK_OFF, look_at_clock
from prebooking.database.operator import VenueView
from prebooking.database.overview import Rows
from prebooking.local_time import find_timezone
from prebooking.model import Kind
from prebooking.systems import SYSTEMS

NO_PREBOOKING = UUID(int=0)  # an id that no prebooking has
_FAULTS = {401: "refused", 403: "refused", 429: "too_often"}
_STATES = (Kind.BOOKED, Kind.WAITLISTED, Kind.NOT_BOOKED)


def _look_at_venues(observations: Observations) -> Iterator[Found]:
    venues = observations.venues if observations.venues is not None else Rows[VenueView]()
    yield from (fault("unreadable", sentence=sentence) for sentence in venues.unreadable)
    for venue in venues:
        if not find_timezone(venue.timezone):
            yield fault("zone", name=venue.name, problem=UNKNOWN_TIMEZONE)
        if not venue.enabled:
            yield Fine(f"{venue.name} is paused: not looked at")
        elif missing := SYSTEMS[venue.provider].missing(observations.environment):
            yield fault("not_set_up", name=venue.name, variables=" and ".join(missing))
    for visit in observations.visits:
        yield _check_page(visit)


def _check_page(visit: Visit) -> Found:
    status = visit.reply.status if visit.reply else 0
    if not visit.reply:
        return fault("no_answer", name=visit.name)
    if status in (httpx.codes.FORBIDDEN, httpx.codes.TOO_MANY_REQUESTS):
        return fault("blocked", name=visit.name, status=status)
    if status in (httpx.codes.NOT_FOUND, httpx.codes.GONE):
        return fault("gone", name=visit.name, status=status)
    if httpx.codes.is_server_error(status):
        return fault("trouble", name=visit.name, status=status)
    return Fine(f"{visit.name} answers from here (HTTP {status})")


def _look_at_endpoint(endpoint: EndpointVisit) -> Iterator[Found]:
    reply = endpoint.visit.reply
    if reply is None:
        yield fault("no_answer")
    else:
        yield _check_endpoint(endpoint, reply)


def _check_endpoint(endpoint: EndpointVisit, reply: Reply) -> Found:
    if way := _endpoint_fault(reply.status, takes_posts=endpoint.takes_posts):
        return fault(way, status=reply.status)
    if classify_state(reply).kind not in _STATES and endpoint.question_needed:
        return fault("no_question", status=reply.status)
    return Fine(f"answers from here (HTTP {reply.status})")


def _endpoint_fault(status: int, *, takes_posts: bool) -> str | None:
    """Return the fault that a status shows, or None. A working endpoint that takes only POST may answer 404 or 405."""
    if httpx.codes.is_redirect(status):
        return "redirect"
    if httpx.codes.is_server_error(status) and status != httpx.codes.NOT_IMPLEMENTED:
        return "trouble"
    if status in (httpx.codes.NOT_FOUND, httpx.codes.GONE):
        return None if takes_posts else "missing"
    return _FAULTS.get(status)


def _look_at_clocks(observations: Observations) -> Iterator[Found]:
    visits = [*observations.visits, *([observations.endpoint.visit] if observations.endpoint else [])]
    for visit in visits:
        if visit.clock:
            yield from look_at_clock(visit.clock)


def _look_at_sessions(observations: Observations) -> Iterator[Found]:
    yield from (fault("unreadable", sentence=sentence) for sentence in observations.unreadable_sessions)
    for visit in observations.sessions or []:
        known, whose = visit.known, f"{visit.known.user_email} at {visit.known.venue.name}"
        words = {"whose": whose, "venue": known.venue.name, "member": known.user_email}
        if known.remembered and (known.expired_at or visit.is_over):
            yield Fine(f"{whose} is logged in again before the opening, with the remembered password")
        elif known.expired_at:
            yield fault("over", **words)
        elif not visit.opens:
            yield fault("key", **words)
        elif visit.answer is None:
            yield Fine(f"{whose} is logged in")
        elif visit.is_over:
            yield fault("unknown", **words)
        else:
            yield fault("cannot_tell", detail=visit.answer.detail, **words)
    if not observations.sessions and not observations.unreadable_sessions:
        yield Fine("no stored login is needed within a day")


_LOGIN = ': prebooking login "{venue}" --member {member}'
VENUES: tuple[Check[Observations] | Check[EndpointVisit], ...] = (
    Check(
        "venue",
        lambda all_: all_ if all_.venues is not None else None,
        _look_at_venues,
        {
            "unreadable": "{sentence}",
            "zone": "{name} {problem}",
            "not_set_up": "{name} is booked with {variables}, not set here: set it, as the function has it",
            "no_answer": "{name} does not answer from here: look at its host and the network",
            "blocked": "{name} blocks this address (HTTP {status}): wait, or ask from a European connection",
            "gone": "{name} has no page at its host (HTTP {status}): correct the host of the venue",
            "trouble": "{name} has trouble (HTTP {status}): try again later, and open its page in a browser",
        },
    ),
    Check(
        "endpoint",
        lambda all_: all_.endpoint,
        _look_at_endpoint,
        {
            "no_answer": "BOOKING_WEBHOOK_URL does not answer from here: look at its host and the network",
            "redirect": "BOOKING_WEBHOOK_URL answers with a redirect (HTTP {status}), which is not followed: set it to"
            " the final address",
            "refused": "BOOKING_WEBHOOK_URL refuses the secret (HTTP {status}): give both sides the same"
            " BOOKING_WEBHOOK_SECRET, and let no login page or firewall stand before it",
            "too_often": "BOOKING_WEBHOOK_URL says that it is asked too often (HTTP 429): raise its limit",
            "missing": "there is nothing at BOOKING_WEBHOOK_URL (HTTP {status}): correct its path, or deploy it",
            "trouble": "BOOKING_WEBHOOK_URL fails (HTTP {status}): look at the endpoint's log",
            "no_question": "BOOKING_WEBHOOK_URL does not answer GET ?prebooking_id=... with a state (HTTP {status}), so"
            " a call without a clear answer cannot be settled by asking: add that (docs/webhook.md), or set"
            " the venue to idempotent",
        },
        warnings=frozenset({"no_question"}),
    ),
    Check("venue clock", lambda all_: all_, _look_at_clocks, {"off": CLOCK_OFF}),
    Check(
        "session",
        lambda all_: all_ if all_.sessions is not None else None,
        _look_at_sessions,
        {
            "unreadable": "{sentence}",
            "over": "{whose}: the venue asks for a new login" + _LOGIN,
            "key": "{whose}: no key here opens the login: set SESSION_ENCRYPTION_KEY as the function has it, or"
            + _LOGIN[1:],
            "unknown": "{whose}: the venue does not know the login" + _LOGIN,
            "cannot_tell": "{whose}: cannot tell ({detail}): try again in a minute",
        },
    ),
)
