"""Hosts that lead astray: refused where they are read, or never called."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import psycopg

from prebooking.errors import SettingsError
from prebooking.settings import Settings
from tests.support.calls import prebooking
from tests.support.factories import add_prebooking, add_session, add_venue
from tests.support.world import ENVIRONMENT
from tests.verification.canaries import MARK
from tests.verification.hostile_replies import BOOKED
from tests.verification.hostile_venue import HostileScenario, run
from tests.verification.part import Part, Result, Share

HOSTS = [
    "127.0.0.1",
    "127.0.0.1:9",
    "localhost",
    "[::1]",
    "0.0.0.0",  # noqa: S104 - a host that somebody may write, not one that we bind
    "169.254.169.254",
    "metadata.google.internal",
    "10.0.0.1",
    "2130706433",
    "0x7f000001",
    "127.1",
    "evil.example/book.aimharder.com",
    "user@evil.example",
    "evil.example\n.aimharder.com",
    "evil.example#.aimharder.com",
    "evil.example?.aimharder.com",
    "evil.example\\.aimharder.com",
    "aimharder.com.evil.example",
    "aimharder.com",
    "login.aimharder.com.evil.example",
    "a.b.aimharder.com",
    "box.aimharder.com.",
    "box.aimharder.com:8443",
    "box.aimharder.net",
    "boxaimharder.com",
    "aimharder.com@127.0.0.1:9",
    "xn--imharder-6fg.com",
    "..",
    "-",
    "%31%32%37.0.0.1",
]


def _refused(host: str) -> Iterator[str]:
    """Complain if the settings take the host for a public endpoint."""
    public = {"SUPABASE_URL": "https://project.supabase.co", "BOOKING_WEBHOOK_URL": f"https://{host}/book"}
    try:
        Settings.from_environment(ENVIRONMENT | public)
    except SettingsError:
        return
    if not host.endswith((".example", ".com", ".net", ":8443")):  # a public name, which may be anybody's
        yield f"the settings take {host!r}"


def _venues(on: HostileScenario, provider: str) -> Iterator[tuple[str, UUID]]:
    """Add a venue for every host that the database takes, and somebody who wishes for a class there."""
    connection = on.where.stack.connection
    for host in HOSTS:
        try:
            venue = add_venue(connection, host=host, provider=provider)
        except psycopg.errors.CheckViolation:
            continue
        email = f"{MARK}@example.com"
        data = {"class_id": "1", "day": "20300111"}
        row = add_prebooking(connection, venue, user_email=email, booking_data=data)
        on.venue.replies[row] = BOOKED["foreign cookies"]
        if provider == "aimharder":
            sealed = on.seal.seal({"token": MARK, "cookies": {}, "fingerprint": "f"}, venue_id=venue, member=email)
            add_session(connection, venue, email, sealed=sealed, refreshed_at=on.where.stack.twin.now())
        yield host, row


def _ends(provider: str, end: tuple[str, str | None]) -> Iterator[str]:
    """Let everybody be booked, and complain if a row ends otherwise, or anybody else was called or looked up."""
    with run(AIMHARDER_TWIN_URL="") as on:
        rows = list(_venues(on, provider))
        yield from on.answered(provider)
        for host, row_id in rows:
            row = prebooking(on.where.stack.connection, row_id)
            if (row["status"], row["outcome"]) != end:
                yield f"{provider} at {host!r}: {row['status']} {row['outcome']}"
        yield from on.where.foreign_connections()


def _run(_: Share) -> Iterator[Result]:
    yield Result(
        "hosts of the endpoint, refused by the settings",
        len(HOSTS),
        [wrong for host in HOSTS for wrong in _refused(host)],
    )
    found = list(_ends("webhook", ("completed", "booked")))
    yield Result("hosts of venues behind the endpoint, never called", len(HOSTS), found)
    # The operator has mistyped a host: that is no fault of the member's, whose row waits for the right one.
    found = list(_ends("aimharder", ("pending", None)))
    yield Result("hosts of boxes, never called or looked up", len(HOSTS), found)


PART = Part("hostile hosts", _run)
