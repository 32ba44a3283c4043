"""A third venue system, made for the tests: its package and its ledger."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from prebooking.bookers import Booker, Gate
from prebooking.bookers.adapter import Invocation
from prebooking.model import Kind, Outcome, Prebooking, Venue
from prebooking.settings import AccountSettings
from prebooking.systems import VenueSystem

TOKEN = "the-token-of-the-club"
CLUB = VenueSystem(name="club", title="The Club", module=__name__, variables=("CLUB_TOKEN",), page="https://{host}/")

# The migration of a deployment with this system.
IN_SQL = """
create or replace function public.prebooking_systems() returns jsonb language sql immutable set search_path = '' as $$
  select jsonb_build_object(
    'webhook', '["idempotency"]'::jsonb,
    'club', '[]'::jsonb,
    'aimharder', '["timetable", "logins"]'::jsonb)
$$
"""

ledger: list[tuple[str, str, str]] = []  # the token, the member and the class of each booking
loaded: list[str] = []


class ClubBooker:
    """Books by writing into the club's ledger."""

    max_unclear_calls: float = math.inf

    def __init__(self, token: str) -> None:
        self._token = token

    def is_ready(self, row: Prebooking) -> bool:
        return True

    async def prepare(self, row: Prebooking, *, timeout: float, renew: bool = False) -> Outcome | None:
        return None

    async def book(self, row: Prebooking, *, timeout: float, gate: Gate) -> Outcome:
        await gate.wait()
        gate.mark_sent()
        ledger.append((self._token, row.user_email, str(row.booking_data["class_id"])))
        return Outcome(Kind.BOOKED, booking_id=str(len(ledger)))

    async def confirm(self, row: Prebooking, *, timeout: float) -> Outcome:
        return Outcome(Kind.CANNOT_TELL)


async def load() -> None:
    loaded.append(CLUB.name)


@asynccontextmanager
async def open_booker(invocation: Invocation, venue: Venue) -> AsyncIterator[Booker]:
    assert loaded
    yield ClubBooker(invocation.settings.variable("CLUB_TOKEN"))


def transport(settings: AccountSettings) -> httpx.AsyncBaseTransport | None:
    return None


def host_problem(host: str | None) -> str | None:
    return None if host == "the.club.example" else "The Club is at the.club.example."
