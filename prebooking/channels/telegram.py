"""Chats with the operator's bot at Telegram (https://core.telegram.org/bots/api#sendmessage)."""

from __future__ import annotations

import json
import re
from typing import Final

import httpx

from prebooking.bookers.call import Reply
from prebooking.channels import Delivery, Message, SendResult
from prebooking.channels.addresses import address_problem
from prebooking.channels.post import post
from prebooking.channels.settings import NotificationSettings

API: Final = "https://api.telegram.org"
_LONGEST = 4000  # characters; Telegram refuses more than 4,096
# The chat cannot be written to any more. Other answers with 403 pass, such as "bot can't send messages to the user".
_GONE = re.compile(
    r"blocked by the user|user is deactivated|was kicked|is not a member|initiate conversation"
    r"|chat not found|user not found|upgraded to a supergroup|group chat was (deactivated|deleted)",
    re.IGNORECASE,
)
# Added to the second attempt, because Telegram does not compare ids.
AGAIN: Final = {"en": "(You may have this message twice.)", "es": "(Puede que este mensaje te llegue dos veces.)"}


class TelegramChannel:
    """Sends a message as plain text, so that nothing in it is markup."""

    def __init__(self, client: httpx.AsyncClient, token: str, api: str) -> None:
        self._client, self._url = client, f"{api}/bot{token}/sendMessage"

    async def send(self, message: Message, *, timeout: float) -> Delivery:  # noqa: ASYNC109 - see Channel
        """Send the message once."""
        if address_problem("telegram", message.address):
            return Delivery(SendResult.GONE, "bad_address")
        text = message.text[:_LONGEST]
        if message.unsure:
            text += "\n" + AGAIN.get(message.language, AGAIN["en"])
        payload = {"chat_id": int(message.address), "text": text, "link_preview_options": {"is_disabled": True}}
        headers = {"Content-Type": "application/json"}
        reply = await post(self._client, self._url, body=json.dumps(payload).encode(), headers=headers, timeout=timeout)
        return reply if isinstance(reply, Delivery) else _classify(reply)


def _classify(reply: Reply) -> Delivery:
    """Return the meaning of an answer. One that is not Telegram's own may be of a proxy that gave up waiting for it."""
    body = reply.json_object() or {}
    if httpx.codes.is_success(reply.status):
        return Delivery(SendResult.SENT)
    failure = f"http_{reply.status}"
    if _GONE.search(str(body.get("description", ""))):
        return Delivery(SendResult.GONE, failure)
    if body.get("ok") is not False and reply.status in (httpx.codes.INTERNAL_SERVER_ERROR, httpx.codes.GATEWAY_TIMEOUT):
        return Delivery(SendResult.UNSURE, failure)
    return Delivery(SendResult.NOT_SENT, failure)


def open_channel(settings: NotificationSettings, client: httpx.AsyncClient) -> TelegramChannel:
    """Return the channel of TELEGRAM_BOT_TOKEN."""
    token = settings.telegram_bot_token
    return TelegramChannel(client, token.get_secret_value() if token else "", API)
