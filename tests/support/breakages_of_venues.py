"""Breakages of venues' pages and clocks, of the endpoint, and of members' logins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from prebooking.local.venue.twin import CallPlan, TwinReply
from tests.support.breakages import HealthySystem, breaks
from tests.support.factories import add_venue
from tests.support.peers import answers
from tests.support.terminal import ANA
from tests.verification.hostile_replies import ok

_SECRET = "f9e8d7c6b5a4f3e2d1c0b9a8f7e6d5c4"


def _page(system: HealthySystem, status: int, headers: dict[str, str] | None = None) -> None:
    """Make the box answer every request like this, except those about a login."""
    page = CallPlan(answer=TwinReply(status, headers or {}, b"hello"))
    system.terminal.twin.plan = lambda call: CallPlan() if call.path == "/api/whoami" else page


@breaks("venue", "unreadable", "cannot be read: correct paused_until in the database")
def _(system: HealthySystem) -> None:
    system.allow_any_instant()
    system.sql("alter table venues drop constraint if exists venues_paused_until_check")
    system.sql("update venues set paused_until = 'infinity'")


@breaks("venue", "zone", "Box Centro has a time zone that is not known here: set venues.timezone")
def _(system: HealthySystem) -> None:
    system.sql("alter table venues drop constraint venues_timezone_check")
    system.sql("update venues set timezone = 'Europe/Madird'")


@breaks("venue", "not_set_up", "Mine is booked with BOOKING_WEBHOOK_URL and BOOKING_WEBHOOK_SECRET, not set here")
def _(system: HealthySystem) -> None:
    add_venue(system.terminal.connection, name="Mine")


@breaks("venue", "no_answer", "Box Centro does not answer from here")
def _(system: HealthySystem) -> None:
    system.set(AIMHARDER_TWIN_URL="http://127.0.0.1:9")


@breaks("venue", "blocked", "blocks this address (HTTP 403): wait, or ask from a European connection")
def _(system: HealthySystem) -> None:
    _page(system, 403)


@breaks("venue", "gone", "has no page at its host (HTTP 404): correct the host")
def _(system: HealthySystem) -> None:
    _page(system, 404)


@breaks("venue", "trouble", "has trouble (HTTP 503): try again later")
def _(system: HealthySystem) -> None:
    _page(system, 503)


@breaks("venue clock", "off", "Box Centro's clock differs from ours by 1")
def _(system: HealthySystem) -> None:
    _page(system, 200, {"date": format_datetime(datetime.now(UTC) - timedelta(minutes=2), usegmt=True)})


def book_at(system: HealthySystem, url: str, *, idempotent: bool = False) -> None:
    """Add a webhook venue with this endpoint."""
    add_venue(system.terminal.connection, name="Mine", idempotent=idempotent)
    system.set(BOOKING_WEBHOOK_URL=f"{url}/book", BOOKING_WEBHOOK_SECRET=_SECRET)


def endpoint_answers(
    system: HealthySystem, status: str, body: bytes = b"", *headers: str, idempotent: bool = False
) -> None:
    """Add a webhook venue whose endpoint answers like this."""
    book_at(system, system.serve(answers(ok(body, *headers, status=status))), idempotent=idempotent)


@breaks("endpoint", "no_answer", "BOOKING_WEBHOOK_URL does not answer from here")
def _(system: HealthySystem) -> None:
    book_at(system, "http://127.0.0.1:9")


@breaks("endpoint", "redirect", "a redirect (HTTP 308), which is not followed: set it to the final address")
def _(system: HealthySystem) -> None:
    endpoint_answers(system, "308 Permanent Redirect", b"", "Location: https://www.example.com/book")


@breaks("endpoint", "refused", "refuses the secret (HTTP 401): give both sides the same BOOKING_WEBHOOK_SECRET")
def _(system: HealthySystem) -> None:
    endpoint_answers(system, "401 Unauthorized", b"<html>log in</html>", "Content-Type: text/html")


@breaks("endpoint", "too_often", "asked too often (HTTP 429)")
def _(system: HealthySystem) -> None:
    endpoint_answers(system, "429 Too Many Requests")


@breaks("endpoint", "missing", "there is nothing at BOOKING_WEBHOOK_URL (HTTP 404): correct its path")
def _(system: HealthySystem) -> None:
    endpoint_answers(system, "404 Not Found", b"<html>no such page</html>")


@breaks("endpoint", "trouble", "BOOKING_WEBHOOK_URL fails (HTTP 500): look at the endpoint's log")
def _(system: HealthySystem) -> None:
    endpoint_answers(system, "500 Internal Server Error")


@breaks("endpoint", "no_question", "does not answer GET ?prebooking_id=... with a state (HTTP 405)")
def _(system: HealthySystem) -> None:
    endpoint_answers(system, "405 Method Not Allowed", b"", "Allow: POST")


@breaks("endpoint", "no_question", "with a state (HTTP 200)", variant="a page instead")
def _(system: HealthySystem) -> None:
    endpoint_answers(system, "200 OK", b"<html>hello</html>", "Content-Type: text/html")


@breaks("session", "over", f'the venue asks for a new login: prebooking login "Box Centro" --member {ANA}')
def _(system: HealthySystem) -> None:
    system.sql("update member_sessions set expired_at = now()")


@breaks("session", "key", "no key here opens the login: set SESSION_ENCRYPTION_KEY as the function has it")
def _(system: HealthySystem) -> None:
    system.set(SESSION_ENCRYPTION_KEY="/+7dzLuqmYh3ZlVEMyIRAP/u3cy7qpmId2ZVRDMiEQA=")


@breaks("session", "unknown", "the venue does not know the login: prebooking login")
def _(system: HealthySystem) -> None:
    system.terminal.twin.members.log_out(ANA)


@breaks("session", "cannot_tell", "cannot tell (no answer): try again in a minute")
def _(system: HealthySystem) -> None:
    system.set(AIMHARDER_TWIN_URL="http://127.0.0.1:9")


@breaks("session", "unreadable", f"{ANA} cannot be read: correct expired_at in the database")
def _(system: HealthySystem) -> None:
    system.allow_any_instant()
    system.sql("update member_sessions set expired_at = 'infinity'")
