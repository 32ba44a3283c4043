"""The part "notifications": sends the messages that are due."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import httpx

from prebooking import channels
from prebooking.channels import Channel, Delivery, Message, SendResult
from prebooking.channels.settings import NotificationSettings
from prebooking.channels.texts import compose
from prebooking.clock import Deadline
from prebooking.database.notifications import Notification, NotificationStore
from prebooking.errors import StoreError
from prebooking.http import isolated_client
from prebooking.upkeep.part import ERRORS, OUT_OF_TIME, UpkeepContext

AT_ONCE = 50  # messages leased by one call
APART = {"telegram": 1.1}  # seconds between two messages on one channel; Telegram allows one per second and chat
PAUSE = 0.1  # seconds from the end of an attempt to the next claim, so that one claim follows several ends
SEND_TIME = 3.0  # seconds that one attempt may take
SPARE_TIME = 0.2  # seconds after which an attempt that ignores its timeout is cancelled
LAST_START = 2.0  # seconds before the guard after which no attempt starts, because a receiver needs time to answer
WRITE_TIME = 0.5  # seconds before the guard for storing a result
MAIL_TIME = 6.0  # seconds for a mail: servers scan its text before they answer, and one that is cut off is sent again

# Our codes for failures on our side, beside the results.
NO_TIME, NOT_PREPARED, UNREADABLE, RAISED, TIMEOUT = "no_time", "not_prepared", "unreadable", "raised", "timeout"
_FACTS = {
    "about", "prebooking_id", "user_email", "venue", "timezone", "class_name", "available_at", "expires_at", "outcome",
    "lateness_ms", "place", "position", "warning", "promoted", "cancel_until",
}  # fmt: skip


class NotificationsPart:
    """One round of sending. When it is killed, a later round sends what it had leased, with the same ids."""

    def __init__(self, context: UpkeepContext) -> None:
        self._context = context
        self._store = NotificationStore(context.database, context.instance_id)
        self._counts = Counter(sent=0, not_sent=0, unsure=0, gone=0)
        self._channels: dict[str, Channel] = {}
        self._handled: set[UUID] = set()
        self._free_at: dict[UUID, float] = {}  # when each channel may be used again, on the monotonic clock

    async def run(self, until: Deadline) -> dict[str, int]:
        """Send what is due side by side, until nothing is left or no attempt may start any more."""
        self._settings = self._context.notifications or NotificationSettings.from_environment(os.environ)
        self._guard, self._last_start = until, until.before(LAST_START)
        async with isolated_client(transport=self._context.to_venues) as client, asyncio.TaskGroup() as attempts:
            running: set[asyncio.Task[None]] = set()
            # A channel whose messages are all under way may have more: each end makes room for one.
            while (rows := await self._claim()) or (running and not self._last_start.passed()):
                running |= {attempts.create_task(self._send(row, client, self._wait(row))) for row in rows}
                _, running = await asyncio.wait(
                    running, timeout=self._last_start.remaining(), return_when=asyncio.FIRST_COMPLETED
                )
                await self._context.clock.sleep(PAUSE)
        return dict(self._counts) | ({OUT_OF_TIME: 1} if self._last_start.passed() else {})

    async def _claim(self) -> list[Notification]:
        """Lease more messages. Without an answer there are none, because the attempts under way must end."""
        if self._last_start.passed():
            return []
        kinds = channels.kinds_set_up(self._settings)
        try:
            claim = await self._store.claim(kinds=kinds, limit=AT_ONCE, until=self._last_start)
        except StoreError as exc:
            self._log_failure(exc)
            return []
        # A claim returns again what this invocation still holds.
        rows = [row for row in claim.rows if row.id not in self._handled]
        self._handled.update(row.id for row in rows)
        await self._settle_unreadable([row for row in claim.unreadable if row not in self._handled])
        return rows

    def _wait(self, row: Notification) -> float:
        """Return the seconds until the channel may be used again."""
        now = self._context.clock.monotonic()
        start = max(now, self._free_at.get(row.channel_id, now))
        self._free_at[row.channel_id] = start + APART.get(row.kind, 0.0)
        return start - now

    async def _settle_unreadable(self, rows: list[UUID]) -> None:
        self._handled.update(rows)
        for row in rows:
            self._counts[ERRORS] += 1
            self._context.log.error("a notification cannot be read", notification=row)
            await self._settle(row, SendResult.NOT_SENT, UNREADABLE)

    async def _send(self, row: Notification, client: httpx.AsyncClient, wait: float) -> None:
        """Send one message and store the result. It never raises, because the task group would cancel the others."""
        if wait:
            await self._context.clock.sleep(wait)
        result, failure = await self._attempt(row, client)
        self._context.log.info("notification", notification=row.id, about=row.event, kind=row.kind, result=result)
        await self._settle(row.id, result, failure)

    async def _attempt(self, row: Notification, client: httpx.AsyncClient) -> Delivery:
        if self._last_start.passed():
            return Delivery(SendResult.NOT_SENT, NO_TIME)
        try:
            channel, message = self._channel(row.kind, client), _message(row)
        except Exception as exc:  # noqa: BLE001 - as said above
            self._log_failure(exc)
            return Delivery(SendResult.NOT_SENT, NOT_PREPARED)
        timeout = min(MAIL_TIME if row.kind == "mail" else SEND_TIME, self._guard.remaining() - WRITE_TIME)
        try:
            async with asyncio.timeout(timeout + SPARE_TIME):
                return await channel.send(message, timeout=timeout)
        except TimeoutError:
            return Delivery(SendResult.UNSURE, TIMEOUT)
        except Exception as exc:  # noqa: BLE001 - as said above
            self._log_failure(exc)
            return Delivery(SendResult.UNSURE, RAISED)

    def _channel(self, kind: str, client: httpx.AsyncClient) -> Channel:
        if kind not in self._channels:
            self._channels[kind] = channels.open_channel(kind, self._settings, client)
        return self._channels[kind]

    async def _settle(self, row_id: UUID, result: SendResult, failure: str | None) -> None:
        """Store a result. If that fails, the message is sent again after its lease, with the same id."""
        self._counts[result] += 1
        try:
            if not await self._store.settle(row_id, result, failure, until=self._guard):
                self._context.log.error("a result came too late", notification=row_id, result=result)
        except StoreError as exc:
            self._log_failure(exc)

    def _log_failure(self, exc: Exception) -> None:
        self._counts[ERRORS] += 1
        self._context.log_failure("notifications", exc)


def _message(row: Notification) -> Message:
    composed = compose(row)
    facts: Mapping[str, Any] = row.model_dump(mode="json", include=_FACTS, exclude_none=True)
    return Message(
        id=row.id,
        event=row.event,
        address=row.address,
        at=row.created_at,
        subject=composed.subject,
        text=composed.text,
        channel_id=row.channel_id,
        facts=facts,
        unsure=row.unsure,
        language=row.language,
    )
