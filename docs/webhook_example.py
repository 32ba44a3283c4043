"""The example of a webhook's message, signed by the code that signs all of them."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from prebooking.channels import Message
from prebooking.channels.settings import signing_key
from prebooking.channels.texts import compose
from prebooking.channels.webhook import signed
from prebooking.database.notifications import Notification

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - the example of Standard Webhooks
_AT = datetime(2026, 11, 26, 6, 0, tzinfo=UTC)
_BOOKED = Notification(
    id=UUID(int=0),
    event="booked",
    about="",
    created_at=_AT,
    attempts=1,
    unsure=False,
    channel_id=UUID(int=0),
    kind="webhook",
    address="",
    language="en",
    is_operator=True,
    user_email="ana@example.com",
    venue="Box Norte",
    timezone="Europe/Madrid",
    class_name="Yoga",
    expires_at=datetime(2026, 11, 28, 7, 0, tzinfo=UTC),
)
_MESSAGE = Message(
    id=UUID("0d4a1f6e-2f4f-4d0e-8a51-6d8b7a3c2e10"),
    event="booked",
    address="",
    at=_AT,
    subject="",
    text=compose(_BOOKED).text,
    channel_id=UUID(int=0),
    facts={
        "prebooking_id": "7c0e5b52-6a0e-4d0c-9b9c-0d7c2f7d1f10",
        "user_email": "ana@example.com",
        "venue": "Box Norte",
        "class_name": "Yoga",
    },
)


def webhook_message() -> str:
    """Return a whole request."""
    headers, body = signed(_MESSAGE, signing_key(SECRET), _AT)
    lines = [f"{name}: {value}" for name, value in headers.items()]
    return "\n".join(["```http", "POST /prebookings HTTP/1.1", *lines, "", body.decode(), "```"])
