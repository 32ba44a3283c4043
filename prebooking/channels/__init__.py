"""The interface of a channel: how one message is sent to its receiver, and which kinds of channels are set up.

Each kind has a module of its name here, with ``open_channel(settings, client)``. It is imported when a message of this
kind is due, and not before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from importlib import import_module
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import httpx

from prebooking.channels.settings import NotificationSettings

# The kinds of channels, and the setting without which a kind is not set up.
KINDS: Mapping[str, str] = {
    "webhook": "notify_webhook_url",
    "mail": "smtp_url",
    "ntfy": "ntfy_url",
    "telegram": "telegram_bot_token",
}


class SendResult(StrEnum):
    """How an attempt to send a message ended; the database's ``settle_notification_v1`` explains what follows."""

    SENT = "sent"  # the receiver has taken it
    NOT_SENT = "not_sent"  # it has certainly not taken it
    UNSURE = "unsure"  # it may have taken it: the answer is missing
    GONE = "gone"  # the receiver does not exist any more


class Delivery(NamedTuple):
    """The result of an attempt. ``failure`` is a code of ours, without any text or address of the receiver."""

    result: SendResult
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A message as a channel sends it.

    Attributes:
        id: of the notification. Every attempt has the same, so that a receiver can drop repeated ones.
        address: of the receiver; its meaning depends on the kind, and it is empty for the webhook.
        at: when the event happened.
        subject: one short line.
        text: one sentence or two, in the language of the channel.
        facts: what the text was made of, as JSON values.
        channel_id: of the channel, for the address with which a receiver removes it.
        unsure: an earlier attempt may have arrived.
        language: of the text.

    """

    id: UUID
    event: str
    address: str
    at: datetime
    subject: str
    text: str
    channel_id: UUID
    facts: Mapping[str, Any] = field(default_factory=dict)
    unsure: bool = False
    language: str = "en"


class Channel(Protocol):
    """One kind of channel, opened for one invocation."""

    async def send(self, message: Message, *, timeout: float) -> Delivery:  # noqa: ASYNC109 - of the attempt as a whole
        """Send a message once, in at most ``timeout`` seconds. It may raise anything: that counts as unsure."""
        ...


def kinds_set_up(settings: NotificationSettings) -> list[str]:
    """Return the kinds of channels whose setting is there."""
    return [kind for kind, setting in KINDS.items() if getattr(settings, setting, None)]


def open_channel(kind: str, settings: NotificationSettings, client: httpx.AsyncClient) -> Channel:
    """Import the module of a kind, and return its channel. ``client`` is for channels that speak HTTP."""
    opens: Callable[[NotificationSettings, httpx.AsyncClient], Channel] = import_module(
        f"{__name__}.{kind}"
    ).open_channel
    return opens(settings, client)
