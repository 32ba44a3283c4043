"""Topics at the operator's ntfy server, or at ntfy.sh (https://docs.ntfy.sh/publish)."""

from __future__ import annotations

import base64

import httpx

from prebooking.channels import Delivery, Message, SendResult
from prebooking.channels.addresses import address_problem
from prebooking.channels.post import classify, post
from prebooking.channels.settings import NotificationSettings

_LONGEST = 4000  # bytes; ntfy turns a text of more than 4,096 into an attachment


class NtfyChannel:
    """Publishes a message with its id as the sequence id, so that a repetition replaces it (ntfy 2.16 and newer)."""

    def __init__(self, client: httpx.AsyncClient, url: str, token: str) -> None:
        self._client, self._url = client, url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def send(self, message: Message, *, timeout: float) -> Delivery:  # noqa: ASYNC109 - see Channel
        """Send the message once."""
        if address_problem("ntfy", message.address):
            return Delivery(SendResult.GONE, "bad_address")
        title = base64.b64encode(" ".join(message.subject.split()).encode()).decode()
        headers = {
            **self._headers,
            "Content-Type": "text/plain; charset=utf-8",
            "X-Sequence-ID": str(message.id),
            "X-Title": f"=?UTF-8?B?{title}?=",  # RFC 2047: a header has no characters outside ASCII
        }
        body = message.text.encode()[:_LONGEST].decode(errors="ignore").encode()
        return classify(
            await post(self._client, f"{self._url}/{message.address}", body=body, headers=headers, timeout=timeout)
        )


def open_channel(settings: NotificationSettings, client: httpx.AsyncClient) -> NtfyChannel:
    """Return the channel to the topics at NTFY_URL."""
    token = settings.ntfy_token
    return NtfyChannel(client, settings.ntfy_url, token.get_secret_value() if token else "")
