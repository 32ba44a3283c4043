"""Checks that misleading hosts are refused or never called."""

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
    "0.0.0.0",  # noqa: S104 - a misleading value, not an address to bind
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
    """Complain if the settings accept a host that is not public."""
    public = {"SUPABASE_URL": "https://project.supabase.co", "BOOKING_WEBHOOK_URL": f"https://{host}/book"}
    try:
        Settings.from_environment(ENVIRONMENT | public)
    except SettingsError:
        return
    if not host.endswith((".example", ".com", ".net", ":8443")):  # a public name is accepted
        yield f"the settings accept {host!r}"


def _venues(scenario: HostileScenario, provider: str) -> Iterator[tuple[str, UUID]]:
    """Add a venue and a prebooking for every host that the database accepts."""
    connection = scenario.harness.stack.connection
    for host in HOSTS:
        try:
            venue = add_venue(connection, host=host, provider=provider)
        except psycopg.errors.CheckViolation:
            continue
        email = f"{MARK}@example.com"
        data = {"class_id": "1", "day": "20300111"}
        row = add_prebooking(connection, venue, user_email=email, booking_data=data)
        scenario.venue.replies[row] = BOOKED["foreign cookies"]
        if provider == "aimharder":
            sealed = scenario.seal.seal(
                {"token": MARK, "cookies": {}, "fingerprint": "f"}, venue_id=venue, member=email
            )
            add_session(connection, venue, email, sealed=sealed, refreshed_at=scenario.harness.stack.twin.now())
        yield host, row


def _unexpected_results(provider: str, expected: tuple[str, str | None]) -> Iterator[str]:
    """Run the function; complain if a row has another result, or another host was called or looked up."""
    with run(AIMHARDER_TWIN_URL="") as scenario:
        rows = list(_venues(scenario, provider))
        yield from scenario.invoke(provider)
        for host, row_id in rows:
            row = prebooking(scenario.harness.stack.connection, row_id)
            if (row["status"], row["outcome"]) != expected:
                yield f"{provider} at {host!r}: {row['status']} {row['outcome']}"
        yield from scenario.harness.foreign_connections()


def _run(_: Share) -> Iterator[Result]:
    yield Result(
        "hosts of the endpoint, refused by the settings",
        len(HOSTS),
        [wrong for host in HOSTS for wrong in _refused(host)],
    )
    found = list(_unexpected_results("webhook", ("completed", "booked")))
    yield Result("hosts of venues behind the endpoint, never called", len(HOSTS), found)
    # A mistyped host of a box is the operator's fault, so the rows stay pending until it is corrected.
    found = list(_unexpected_results("aimharder", ("pending", None)))
    yield Result("hosts of boxes, never called or looked up", len(HOSTS), found)


PART = Part("hostile hosts", _run)
