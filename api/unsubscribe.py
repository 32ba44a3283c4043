"""The function behind the link in each mail: a POST removes the channel (RFC 8058). Importing it needs no settings."""

from __future__ import annotations

import gc

gc.disable()  # during the imports, which create no garbage: collecting takes a fifth of a cold start

import os  # noqa: E402 - as above
from uuid import UUID, uuid4  # noqa: E402 - as above

from fastapi import FastAPI, Request  # noqa: E402 - as above
from fastapi.responses import HTMLResponse  # noqa: E402 - as above

from prebooking import http, log  # noqa: E402 - as above
from prebooking.channels.settings import NotificationSettings  # noqa: E402 - as above
from prebooking.channels.unsubscribe import STATUS, UnsubscribePage, html, is_signed  # noqa: E402 - as above
from prebooking.clock import Clock, Deadline  # noqa: E402 - as above
from prebooking.database.client import create_isolated_supabase  # noqa: E402 - as above
from prebooking.database.notifications import unsubscribe  # noqa: E402 - as above
from prebooking.errors import SettingsError, StoreError  # noqa: E402 - as above

TIME = 5.0  # seconds for the database
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",  # the address is enough to remove the channel
    "X-Robots-Tag": "noindex",
}


async def respond(request: Request) -> HTMLResponse:
    """Answer a GET with a page that has a button, and a POST with the removal. The body of a POST is not read."""
    page = await _page(request, log.Log(instance_id=uuid4()))
    return HTMLResponse(html(page, request.headers.get("accept-language", "")), STATUS[page], _HEADERS)


async def _page(request: Request, events: log.Log) -> UnsubscribePage:
    try:
        settings = NotificationSettings.from_environment(os.environ)
        settings.check_deployment(os.environ)
    except SettingsError as exc:
        events.error("server_not_configured", problems=exc.problems)
        return UnsubscribePage.LATER
    channel = _channel(request, settings)
    if channel is None:
        return UnsubscribePage.NOT_VALID
    return await _remove(channel, settings, events) if request.method == "POST" else UnsubscribePage.ASK


def _channel(request: Request, settings: NotificationSettings) -> UUID | None:
    """Return the channel of the address, if it is signed."""
    try:
        channel = UUID(request.query_params.get("channel", ""))
    except ValueError:
        return None
    return channel if is_signed(channel, request.query_params.get("key", ""), settings.unsubscribe_secrets) else None


async def _remove(channel: UUID, settings: NotificationSettings, events: log.Log) -> UnsubscribePage:
    """Remove the channel. A repeated request finds none, and has the same answer."""
    clock = Clock()
    until = Deadline.within(clock, TIME)
    try:
        async with create_isolated_supabase(settings, uuid4(), clock=clock) as database:
            removed = await unsubscribe(database, channel, until=until)
    except StoreError as exc:
        events.error("unsubscribe_failed", function=exc.function, code=exc.code)
        return UnsubscribePage.LATER
    events.info("unsubscribed", channel=str(channel), removed=removed)
    return UnsubscribePage.DONE


log.set_up()
http.preload_http()
app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
app.add_api_route("/api/unsubscribe", respond, methods=["GET", "POST"], response_model=None)

gc.freeze()  # loaded modules are never garbage, so collections may skip them
gc.enable()
