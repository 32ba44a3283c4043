"""The time from the cron's request to the first booking byte at the venue, over a slow network with TLS."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import certifi
import trustme
from anyio.from_thread import start_blocking_portal

from benchmarks.called import NAIVE, OURS, CalledApp
from benchmarks.network import far_away
from benchmarks.run import opening
from prebooking.local.stack import Stack

TURNS = 15


def figures(stack: Stack) -> Iterator[tuple[str, str, str]]:
    for to_database, to_venue in ((0.010, 0.040), (0.030, 0.030)):
        with (
            far(stack, to_database, to_venue) as environment,
            CalledApp(OURS, environment) as ours,
            CalledApp(NAIVE, environment) as naive,
        ):
            turns = [(first_byte(stack, ours), first_byte(stack, naive)) for _ in range(1 + TURNS)][1:]
        took, naively = (median(one) for one in zip(*turns, strict=True))
        floor = network_floor(to_database, to_venue)
        where = f"database {to_database * 1000:.0f} ms and venue {to_venue * 1000:.0f} ms away"
        yield (
            f"request to first booking byte, {where}, against the naive design",
            f"{took / naively:.2f}",
            f"{took * 1000:.0f} ms against {naively * 1000:.0f} ms; the network's floor is {floor * 1000:.0f} ms",
        )


def network_floor(to_database: float, to_venue: float) -> float:
    """Return the least possible time: TCP, TLS 1.3 and the claim, beside TCP and TLS to the venue, then half a trip."""
    return max(3 * to_database, 2 * to_venue) + to_venue / 2


def first_byte(stack: Stack, app: CalledApp) -> float:
    """Return the seconds from a call to the arrival of its booking at the venue."""
    before = len(stack.ledger.first_calls())
    opening(stack, 1)
    asked = datetime.now(UTC)
    app.call()
    return (stack.ledger.first_calls()[before].at - asked).total_seconds()


@contextmanager
def far(stack: Stack, to_database: float, to_venue: float) -> Iterator[dict[str, str]]:
    """Add latency and TLS to the database and the venue; the value is the environment of a function behind it."""
    authority, tls = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(tls)
    with start_blocking_portal() as portal, tempfile.NamedTemporaryFile(suffix=".pem") as pem, ExitStack() as ends:
        Path(pem.name).write_bytes(Path(certifi.where()).read_bytes() + authority.cert_pem.bytes())  # as many as usual

        def away(url: str, round_trip: float) -> str:
            parts = urlsplit(url)
            proxy = far_away(parts.port or 0, round_trip=round_trip, tls=tls)
            return f"https://localhost:{ends.enter_context(portal.wrap_async_context_manager(proxy))}{parts.path}"

        addresses = {
            "SUPABASE_URL": away(stack.environment["SUPABASE_URL"], to_database),
            "BOOKING_WEBHOOK_URL": away(stack.environment["BOOKING_WEBHOOK_URL"], to_venue),
        }
        yield stack.environment | addresses | {"SSL_CERT_FILE": pem.name, "AIMHARDER_TWIN_URL": ""}
