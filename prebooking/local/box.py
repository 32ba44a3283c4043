"""Adds a box of AimHarder's twin to the database, and stores logins of its members."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

from prebooking.bookers.aimharder.seal import Seal
from prebooking.bookers.aimharder.site import AimHarderSite, Login
from prebooking.http import RewriteHostTransport, isolated_client
from prebooking.local.stack import Stack
from prebooking.settings import Settings

PASSWORD = "open sesame"  # noqa: S105 - of every member at the twin

_VENUE = """
insert into public.venues (name, provider, host, provider_box_id, timezone, opening_rule)
values (%s, 'aimharder', %s, %s, 'Europe/Madrid', %s) returning id
"""
_SAVE = "select public.save_session_v1(%s, %s, %s, null, %s)"


def add_box(stack: Stack, name: str, *, host: str, box_id: int, rule: str | None = None) -> UUID:
    """Add a box to the twin and to the venues, and return the venue's id."""
    stack.twin.open_box(host, box_id=box_id, name=name)
    (venue_id,) = stack.connection.execute(_VENUE, [name, host, str(box_id), rule]).fetchone() or (None,)
    return UUID(str(venue_id))


def log_in(stack: Stack, venue_id: UUID, host: str, emails: Sequence[str]) -> None:
    """Add accounts at the twin, log them in, and store their encrypted sessions."""
    for email in emails:
        stack.twin.join(email, PASSWORD)
    seal = Seal.of(Settings.from_environment(stack.environment))
    for email, login in zip(emails, asyncio.run(_logins(stack, host, emails)), strict=True):
        sealed = seal.seal(login.session.as_json(), venue_id=venue_id, member=email)
        stack.connection.execute(_SAVE, [venue_id, email, sealed, seal.key_ids[0]])


async def _logins(stack: Stack, host: str, emails: Sequence[str]) -> list[Login]:
    async with isolated_client(transport=RewriteHostTransport(stack.environment["AIMHARDER_TWIN_URL"])) as client:
        site = AimHarderSite(client, host=host, box_id=None)
        return [await site.login(email, PASSWORD, timeout=10) for email in emails]
