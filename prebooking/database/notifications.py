"""The database functions for notifications: leasing those that are due, and storing how an attempt ended."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError

from prebooking.clock import Deadline
from prebooking.database.client import IsolatedSupabase, read_bool


class Notification(BaseModel):
    """A leased notification: its channel, and the facts that its text is made of.

    Attributes:
        about: a warning's code, an alert's cause and hour, or empty.
        created_at: when the event happened.
        unsure: an earlier attempt may have arrived.
        is_operator: the channel is the operator's, who is told about every member.
        user_email: the address of its member; None for an alert.
        expires_at: when the class begins, if the prebooking says so.
        warning: the warning of a "warned" one; None if it does not exist any more.
        promoted: a later choice of the same request is tried now.
        cancel_until: until when the place can be given back without a late cancellation.

    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    id: UUID
    event: str
    about: str
    created_at: AwareDatetime
    attempts: int
    unsure: bool
    channel_id: UUID
    kind: str
    address: str
    language: str
    is_operator: bool
    prebooking_id: UUID | None = None
    user_email: str | None = None
    venue: str | None = None
    timezone: str | None = None
    class_name: str | None = None
    available_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    outcome: str | None = None
    lateness_ms: int | None = None
    place: str | None = None
    position: int | None = None
    warning: str | None = None
    promoted: bool = False
    cancel_until: AwareDatetime | None = None


@dataclass(frozen=True, slots=True)
class NotificationClaim:
    """What one claim has leased. ``unreadable``: the ids of rows that this version cannot read."""

    rows: list[Notification]
    unreadable: list[UUID]


_raw = TypeAdapter(list[dict[str, Any]]).validate_python


class NotificationStore:
    """Notifications: one method calls one function. Every method can raise a StoreError."""

    def __init__(self, database: IsolatedSupabase, instance_id: UUID) -> None:
        self._database, self._instance = database, str(instance_id)

    async def claim(self, *, kinds: Iterable[str], limit: int, until: Deadline) -> NotificationClaim:
        """Lease notifications that are due on channels of these kinds, those that this invocation holds among them."""
        params = {"p_instance": self._instance, "p_kinds": list(kinds), "p_limit": limit}
        rows = (await self._database.call("claim_notifications_v1", params, _raw, until=until)).value
        claim = NotificationClaim([], [])
        for row in rows:  # one by one, so that an unreadable row does not hide the others
            try:
                claim.rows.append(Notification.model_validate(row))
            except ValidationError:
                with suppress(ValueError):
                    claim.unreadable.append(UUID(str(row.get("id"))))
        return claim

    async def settle(self, row_id: UUID, result: str, failure: str | None = None, *, until: Deadline) -> bool:
        """Store how an attempt ended. Returns False if another invocation has leased the notification since."""
        params = {"p_id": str(row_id), "p_instance": self._instance, "p_result": result, "p_failure": failure}
        return (await self._database.call("settle_notification_v1", params, read_bool, until=until)).value


async def unsubscribe(database: IsolatedSupabase, channel_id: UUID, *, until: Deadline) -> bool:
    """Remove a channel of mail. Return whether it was there. Raises a StoreError."""
    params = {"p_channel": str(channel_id)}
    return (await database.call("unsubscribe_v1", params, read_bool, until=until)).value
