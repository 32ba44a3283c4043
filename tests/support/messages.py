"""Messages for channels, and their settings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prebooking.channels import Message
from prebooking.channels.settings import NotificationSettings
from tests.support.world import ENVIRONMENT

WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # the example of Standard Webhooks
BOT_TOKEN = "123456789:AAFakeTokenOfTheTests-0123456789abcdef"
CHANNEL = UUID("5b0f5f0e-7c5b-4f0c-9b0e-5b6f7e8d9c0a")


def message(address: str = "", **changes: Any) -> Message:
    """Return a message about a booked class."""
    given: dict[str, Any] = {
        "id": UUID("0d4a1f6e-2f4f-4d0e-8a51-6d8b7a3c2e10"),
        "event": "booked",
        "address": address,
        "at": datetime(2026, 11, 26, 6, 0, tzinfo=UTC),
        "subject": "Clase de Sábado: booked",
        "text": "You are in: Clase de Sábado at Box Norte, Saturday 28 November, 08:00.",
        "channel_id": CHANNEL,
        "facts": {"venue": "Box Norte", "class_name": "Clase de Sábado", "lateness_ms": 7},
    }
    return Message(**given | changes)


def notification_settings(**environment: str) -> NotificationSettings:
    """Return the settings of the local stack with these variables."""
    return NotificationSettings.from_environment(ENVIRONMENT | environment)
