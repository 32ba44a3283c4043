"""The operator's webhook, in the format of Standard Webhooks (https://www.standardwebhooks.com), version 1."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import datetime

import httpx

from prebooking.channels import Delivery, Message
from prebooking.channels.post import classify, post
from prebooking.channels.settings import NotificationSettings, signing_key
from prebooking.clock import Clock


class WebhookChannel:
    """POSTs a message as JSON with an HMAC of it. The receiver can drop a repeated ``webhook-id``."""

    def __init__(self, client: httpx.AsyncClient, url: str, key: bytes, clock: Clock) -> None:
        self._client, self._url, self._key, self._clock = client, url, key, clock

    async def send(self, message: Message, *, timeout: float) -> Delivery:  # noqa: ASYNC109 - see Channel
        """Send the message once."""
        headers, body = signed(message, self._key, self._clock.now())
        return classify(await post(self._client, self._url, body=body, headers=headers, timeout=timeout))


def signed(message: Message, key: bytes, now: datetime) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of a message."""
    facts = {**message.facts, "text": message.text}
    payload = {"type": f"prebooking.{message.event}", "timestamp": message.at.isoformat(), "data": facts}
    body, at = json.dumps(payload).encode(), str(int(now.timestamp()))
    signature = hmac.digest(key, f"{message.id}.{at}.".encode() + body, hashlib.sha256)
    headers = {
        "Content-Type": "application/json",
        "webhook-id": str(message.id),
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }
    return headers, body


def open_channel(settings: NotificationSettings, client: httpx.AsyncClient) -> WebhookChannel:
    """Return the channel to NOTIFY_WEBHOOK_URL."""
    secret = settings.notify_webhook_secret
    key = signing_key(secret.get_secret_value() if secret else "")
    return WebhookChannel(client, settings.notify_webhook_url or "", key, Clock())
