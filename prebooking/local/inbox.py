"""An inbox for the local stack: it receives the messages of channels, and shows them on a page.

It is a mail server, an ntfy server and an endpoint for the webhook. It keeps one message per id, like a receiver that
compares ids; ``deliveries`` counts how often each id has arrived.
"""

from __future__ import annotations

import asyncio
import html
import json
import threading
import warnings
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from secrets import token_bytes
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session

SENDER = "classes@gym.example.com"
_PAGE = """<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="5"><title>Inbox</title>
<style>body{{font:16px sans-serif;max-width:60em;margin:2em auto}}article{{border-top:1px solid #ccc;padding:.5em 0}}
small{{color:#666}}</style><h1>Inbox</h1>{messages}"""
_MESSAGE = "<article><small>{how} to {to}</small><br><b>{subject}</b><p>{text}</p></article>"


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A message as its receiver reads it. ``to`` is a mail address, a topic, or empty for the webhook."""

    id: str
    how: str
    to: str
    subject: str
    text: str


@dataclass(slots=True)
class Inbox:
    """What has arrived. ``environment`` has the settings with which the function sends here."""

    url: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    deliveries: Counter[str] = field(default_factory=Counter)
    _messages: dict[str, ReceivedMessage] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, message: ReceivedMessage) -> None:
        """Keep a message; a repeated id replaces the earlier one."""
        with self._lock:
            self.deliveries[message.id] += 1
            self._messages[message.id] = message

    def messages(self) -> list[ReceivedMessage]:
        """Return the messages, the first one first."""
        with self._lock:
            return list(self._messages.values())

    def page(self) -> str:
        """Return the messages as HTML, the newest first."""
        rows = [
            _MESSAGE.format(
                how=one.how,
                to=html.escape(one.to or "your app"),
                subject=html.escape(one.subject),
                text=html.escape(one.text),
            )
            for one in reversed(self.messages())
        ]
        return _PAGE.format(messages="".join(rows) or "<p>Nothing has arrived yet.</p>")


@asynccontextmanager
async def serve_inbox() -> AsyncIterator[Inbox]:
    """Receive messages on this machine during the context."""
    inbox = Inbox()
    runner = web.ServerRunner(web.Server(_responder(inbox), access_log=None), shutdown_timeout=1)
    await runner.setup()
    mail = await asyncio.get_running_loop().create_server(lambda: _mail_session(inbox), "127.0.0.1", 0)
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        inbox.url = "http://{}:{}".format(*runner.addresses[0])
        inbox.environment = {
            "NOTIFY_WEBHOOK_URL": f"{inbox.url}/webhook",
            "NOTIFY_WEBHOOK_SECRET": f"whsec_{b64encode(token_bytes(32)).decode()}",
            "SMTP_URL": "smtp://{}:{}".format(*mail.sockets[0].getsockname()),
            "MAIL_FROM": SENDER,
            "NTFY_URL": inbox.url,
        }
        yield inbox
    finally:
        mail.close()
        await runner.cleanup()


def _responder(inbox: Inbox) -> Any:
    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        if request.method != "POST":
            return web.Response(text=inbox.page(), content_type="text/html")
        body = await request.text()
        if id_ := request.headers.get("webhook-id"):
            payload = json.loads(body)
            inbox.put(ReceivedMessage(id_, "webhook", "", payload["type"], payload["data"]["text"]))
        else:
            id_, title = request.headers.get("X-Sequence-ID", ""), request.headers.get("X-Title", "")
            inbox.put(ReceivedMessage(id_, "ntfy", request.path.strip("/"), _decode(title), body))
        return web.json_response({})

    return respond


def _decode(header: str) -> str:
    return str(make_header(decode_header(header)))


def _mail_session(inbox: Inbox) -> SMTP:
    with warnings.catch_warnings():  # about a login without TLS, which nobody makes here
        warnings.simplefilter("ignore")
        return SMTP(_MailHandler(inbox), hostname="localhost")


class _MailHandler:
    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Keep a mail."""
        mail = message_from_bytes(envelope.original_content or b"", policy=policy.default)
        body = mail.get_body()
        text = str(body.get_content()).strip() if body else ""
        id_ = str(mail["Message-ID"]).strip("<>").partition("@")[0]
        self._inbox.put(ReceivedMessage(id_, "mail", ", ".join(envelope.rcpt_tos), str(mail["Subject"]), text))
        return "250 OK"
