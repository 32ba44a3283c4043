"""The database functions of the channels on which members and the operator are told: one method calls one function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import time
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime

from prebooking.clock import Deadline
from prebooking.database.client import IsolatedSupabase, read_bool
from prebooking.database.overview import DatabaseModel, Rows, read_each


@dataclass(frozen=True, slots=True)
class NewChannel:
    """A channel to add. ``user_email`` is None for the operator; ``quiet`` are the quiet hours, or None."""

    id: UUID
    user_email: str | None
    kind: str
    address: str
    events: Sequence[str]
    language: str
    quiet: tuple[time, time] | None


class ChannelView(DatabaseModel):
    """One channel of a list.

    ``failed_at`` is set if its last message was not taken, and ``failure`` is our code for why. ``waiting`` and
    ``dead`` count its messages.
    """

    id: UUID
    user_email: str | None
    kind: str
    address: str
    events: list[str]
    language: str
    quiet_from: time | None
    quiet_until: time | None
    failed_at: AwareDatetime | None
    failure: str | None
    waiting: int
    dead: int


class AddChannelResult(DatabaseModel):
    """The result of adding a channel; ``id`` is that of the existing one with this address."""

    verdict: Literal["added", "exists"]
    id: UUID


_channels = read_each(ChannelView)


class ChannelStore:
    """The channels of notifications: one method calls one function. Every method can raise a StoreError."""

    def __init__(self, database: IsolatedSupabase) -> None:
        self._database = database

    async def add(self, new: NewChannel, *, until: Deadline) -> AddChannelResult:
        """Add a channel with the id it has, so that a repeated call adds it once."""
        first, last = [f"{each:%H:%M}" for each in new.quiet] if new.quiet else (None, None)
        params = {
            "p_id": str(new.id),
            "p_user_email": new.user_email,
            "p_kind": new.kind,
            "p_address": new.address,
            "p_events": list(new.events),
            "p_language": new.language,
            "p_quiet_from": first,
            "p_quiet_until": last,
        }
        answer = await self._database.call("add_channel_v1", params, AddChannelResult.model_validate, until=until)
        return answer.value

    async def all(self, user_email: str | None, *, until: Deadline) -> Rows[ChannelView]:
        """Return the channels of one member, or of all members and the operator."""
        params = {"p_user_email": user_email}
        return (await self._database.call("list_channels_v1", params, _channels, until=until)).value

    async def remove(self, channel: UUID, *, until: Deadline) -> bool:
        """Remove a channel and the messages that wait for it. Returns False if there is no such channel."""
        return (await self._database.call("remove_channel_v1", {"p_id": str(channel)}, read_bool, until=until)).value
