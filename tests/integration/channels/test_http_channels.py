"""Webhook, ntfy and Telegram on real sockets: what the receiver may have taken is unsure, all else is known."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from email.header import decode_header, make_header
from uuid import UUID

import httpx
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from prebooking.bookers.call import REPLY_LIMIT
from prebooking.channels import Channel, Delivery, SendResult
from prebooking.channels.ntfy import NtfyChannel
from prebooking.channels.ntfy import open_channel as open_ntfy
from prebooking.channels.telegram import AGAIN, TelegramChannel
from prebooking.channels.webhook import open_channel as open_webhook
from prebooking.http import isolated_client
from tests.support.allocations import at_most_allocated
from tests.support.messages import BOT_TOKEN, WEBHOOK_SECRET, message, notification_settings
from tests.support.peers import OK, Peer, Script, Server, answers, serve, silence, unused_port
from tests.verification.hostile_replies import BROKEN, MEBIBYTE, SLOW, TOO_MUCH, after_a_request

pytestmark = pytest.mark.anyio

Open = Callable[[httpx.AsyncClient, str], Channel]
CHAT, TOPIC = "-1001234567890", "classes_of-Ana"


def webhook(client: httpx.AsyncClient, url: str) -> Channel:
    settings = notification_settings(NOTIFY_WEBHOOK_URL=url + "/told", NOTIFY_WEBHOOK_SECRET=WEBHOOK_SECRET)
    return open_webhook(settings, client)


def ntfy(client: httpx.AsyncClient, url: str) -> Channel:
    return open_ntfy(notification_settings(NTFY_URL=url, NTFY_TOKEN="tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2"), client)


def telegram(client: httpx.AsyncClient, url: str) -> Channel:
    return TelegramChannel(client, BOT_TOKEN, url)


ADDRESS = {webhook: "", ntfy: TOPIC, telegram: CHAT}
every_channel = pytest.mark.parametrize("opens", [webhook, ntfy, telegram], ids=lambda opens: opens.__name__)


def answer(status: int, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def send(opens: Open, script: Script, *, timeout: float = 20, **changes: object) -> tuple[Delivery, Server]:  # noqa: ASYNC109 - as a channel's
    async with serve(script) as server, isolated_client() as client:
        sent = await opens(client, server.url).send(message(ADDRESS[opens], **changes), timeout=timeout)  # type: ignore[index]
    return sent, server


def parsed(request: bytes) -> tuple[str, httpx.Headers, bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    return first, httpx.Headers([(name, value) for name, _, value in (line.partition(": ") for line in lines)]), body


# What receivers see.


async def test_the_reference_library_verifies_a_webhook() -> None:
    _, server = await send(webhook, answers(OK))
    first, headers, body = parsed(server.requests()[0])
    assert first == "POST /told HTTP/1.1"
    payload = Webhook(WEBHOOK_SECRET).verify(body, dict(headers))
    assert payload == {
        "type": "prebooking.booked",
        "timestamp": "2026-11-26T06:00:00+00:00",
        "data": {**message().facts, "text": message().text},
    }
    assert headers["webhook-id"] == str(message().id)


@pytest.mark.parametrize("changed", ["body", "webhook-id", "webhook-timestamp", "secret"])
async def test_a_changed_webhook_does_not_verify(changed: str) -> None:
    _, server = await send(webhook, answers(OK))
    _, headers, body = parsed(server.requests()[0])
    receiver = Webhook("whsec_" + base64.b64encode(bytes(24)).decode() if changed == "secret" else WEBHOOK_SECRET)
    if changed == "body":
        body = body.replace(b"Box Norte", b"Box Sur")
    elif changed != "secret":
        headers[changed] = str(int(headers[changed]) + 1) if changed == "webhook-timestamp" else str(UUID(int=1))
    with pytest.raises(WebhookVerificationError):
        receiver.verify(body, dict(headers))


async def test_a_message_on_ntfy_has_its_id_as_the_sequence_id() -> None:
    """ntfy replaces an earlier message of the same sequence id, so a repetition is shown once."""
    _, first = await send(ntfy, answers(OK))
    _, second = await send(ntfy, answers(OK))
    seen = [parsed(request) for server in (first, second) for request in server.requests()]
    assert {line for line, _, _ in seen} == {f"POST /{TOPIC} HTTP/1.1"}
    assert {headers["x-sequence-id"] for _, headers, _ in seen} == {str(message().id)}
    _, headers, body = seen[0]
    assert body.decode() == message().text
    assert str(make_header(decode_header(headers["x-title"]))) == message().subject
    assert headers["authorization"] == "Bearer tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2"


async def test_without_a_token_ntfy_gets_none() -> None:
    async with serve(answers(OK)) as server, isolated_client() as client:
        await NtfyChannel(client, server.url, "").send(message(TOPIC), timeout=20)
    assert "authorization" not in parsed(server.requests()[0])[1]


async def test_a_subject_cannot_add_a_header() -> None:
    _, server = await send(ntfy, answers(OK), subject="Yoga\r\nX-Email: eve@example.com")
    headers = parsed(server.requests()[0])[1]
    assert "x-email" not in headers
    assert str(make_header(decode_header(headers["x-title"]))) == "Yoga X-Email: eve@example.com"


async def test_a_long_text_on_ntfy_stays_a_text() -> None:
    """More than 4,096 bytes would become an attachment."""
    _, server = await send(ntfy, answers(OK), text="ñ" * 4000)
    assert parsed(server.requests()[0])[2].decode() == "ñ" * 2000


async def test_a_message_to_telegram_is_plain_text() -> None:
    _, server = await send(telegram, answers(OK), text="<b>Yoga</b> [x](http://example.com) _y_")
    first, _, body = parsed(server.requests()[0])
    assert first == f"POST /bot{BOT_TOKEN}/sendMessage HTTP/1.1"
    assert json.loads(body) == {
        "chat_id": int(CHAT),
        "text": "<b>Yoga</b> [x](http://example.com) _y_",
        "link_preview_options": {"is_disabled": True},
    }


@pytest.mark.parametrize(("language", "note"), [*AGAIN.items(), ("xx", AGAIN["en"])])
async def test_telegram_is_told_that_a_message_may_be_a_repetition(language: str, note: str) -> None:
    _, server = await send(telegram, answers(OK), unsure=True, language=language)
    assert json.loads(parsed(server.requests()[0])[2])["text"] == f"{message().text}\n{note}"


async def test_a_long_text_to_telegram_is_cut() -> None:
    _, server = await send(telegram, answers(OK), text="x" * 10_000, unsure=True)
    assert 4000 < len(json.loads(parsed(server.requests()[0])[2])["text"]) <= 4096


# Clear answers.


@every_channel
@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_a_2xx_is_taken(opens: Open, status: int) -> None:
    sent, server = await send(opens, answers(answer(status)))
    assert sent == Delivery(SendResult.SENT)
    assert len(server.requests()) == 1


@pytest.mark.grid
@every_channel
@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 413, 429, 502, 503])
async def test_any_other_answer_is_not_taken(opens: Open, status: int) -> None:
    sent, _ = await send(opens, answers(answer(status, b"Ana's text", "Retry-After: 30")))
    assert sent == Delivery(SendResult.NOT_SENT, f"http_{status}")


@pytest.mark.grid
@every_channel
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(opens: Open, status: int) -> None:
    async with serve(answers(OK)) as elsewhere:
        sent, _ = await send(opens, answers(answer(status, b"", f"Location: {elsewhere.url}/")))
        assert elsewhere.peers == []
    assert sent == Delivery(SendResult.NOT_SENT, f"http_{status}")


@pytest.mark.parametrize("opens", [webhook, ntfy])
async def test_410_means_that_the_receiver_is_gone(opens: Open) -> None:
    sent, _ = await send(opens, answers(answer(410)))
    assert sent == Delivery(SendResult.GONE, "http_410")


def refusal(code: int, description: str, **parameters: int) -> bytes:
    body = {"ok": False, "error_code": code, "description": description, "parameters": parameters}
    return answer(code, json.dumps(body).encode(), "Content-Type: application/json")


@pytest.mark.parametrize(
    ("code", "description"),
    [
        (403, "Forbidden: bot was blocked by the user"),
        (403, "Forbidden: user is deactivated"),
        (403, "Forbidden: bot was kicked from the group chat"),
        (403, "Forbidden: bot is not a member of the channel chat"),
        (403, "Forbidden: bot can't initiate conversation with a user"),
        (400, "Bad Request: chat not found"),
        (400, "Bad Request: group chat was upgraded to a supergroup chat"),
        (403, "Forbidden: the group chat was deleted"),
    ],
)
async def test_a_chat_that_cannot_be_written_to_is_gone(code: int, description: str) -> None:
    sent, _ = await send(telegram, answers(refusal(code, description)))
    assert sent == Delivery(SendResult.GONE, f"http_{code}")


@pytest.mark.parametrize(
    ("code", "description"),
    [
        (429, "Too Many Requests: retry after 35"),
        (401, "Unauthorized"),
        (400, "Bad Request: message text is empty"),
        (403, "Forbidden: bot can't send messages to the user"),  # seen to pass after minutes
        (500, "Internal Server Error"),
    ],
)
async def test_another_refusal_of_telegram_is_tried_again(code: int, description: str) -> None:
    sent, _ = await send(telegram, answers(refusal(code, description, retry_after=35)))
    assert sent == Delivery(SendResult.NOT_SENT, f"http_{code}")


@pytest.mark.parametrize("status", [500, 504])
async def test_a_failure_between_us_and_telegram_is_unsure(status: int) -> None:
    sent, _ = await send(telegram, answers(answer(status, b"<html>Gateway</html>")))
    assert sent == Delivery(SendResult.UNSURE, f"http_{status}")


# No answer, or no readable one.


@every_channel
async def test_a_refused_connection_sends_nothing(opens: Open) -> None:
    async with isolated_client() as client:
        channel = opens(client, f"http://127.0.0.1:{unused_port()}")
        sent = await channel.send(message(ADDRESS[opens]), timeout=20)  # type: ignore[index]
    assert sent == Delivery(SendResult.NOT_SENT, "not_connected")


@pytest.mark.grid
@every_channel
@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN.keys())
async def test_a_malformed_answer_is_unsure(opens: Open, text: bytes) -> None:
    sent, server = await send(opens, after_a_request(text))
    assert sent == Delivery(SendResult.UNSURE, "no_answer")
    assert len(server.requests()) == 1, "a message is sent once"


@every_channel
@pytest.mark.parametrize("script", [silence, after_a_request(b"")], ids=["hangs", "ends"])
async def test_no_answer_is_unsure(opens: Open, script: Script) -> None:
    started = time.monotonic()
    sent, _ = await send(opens, script, timeout=0.5)
    assert sent == Delivery(SendResult.UNSURE, "no_answer")
    assert time.monotonic() - started < 10


@pytest.mark.grid
@every_channel
@pytest.mark.parametrize("script", SLOW.values(), ids=SLOW.keys())
async def test_an_answer_that_drips_is_cut_off(opens: Open, script: Script) -> None:
    started = time.monotonic()
    sent, _ = await send(opens, script, timeout=0.5)
    assert sent.result is not SendResult.SENT
    assert time.monotonic() - started < 10


@pytest.mark.grid
@every_channel
@pytest.mark.parametrize("script", TOO_MUCH.values(), ids=TOO_MUCH.keys())
async def test_a_huge_answer_costs_little_memory(opens: Open, script: Script) -> None:
    with at_most_allocated(8 * MEBIBYTE + REPLY_LIMIT):
        sent, _ = await send(opens, script, timeout=5)
    assert sent.result in (SendResult.SENT, SendResult.UNSURE)


@every_channel
async def test_a_second_answer_changes_nothing(opens: Open) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(OK + answer(500))
        await peer.ended.wait()

    sent, _ = await send(opens, script)
    assert sent == Delivery(SendResult.SENT)


@pytest.mark.parametrize(
    ("opens", "address"),
    [(ntfy, "../v1/account"), (ntfy, "a/b"), (ntfy, "docs"), (telegram, "@someone"), (telegram, "1\r\nX: y")],
)
async def test_an_address_that_was_written_by_hand_is_checked_again(opens: Open, address: str) -> None:
    async with serve(answers(OK)) as server, isolated_client() as client:
        sent = await opens(client, server.url).send(message(address), timeout=20)
        assert server.peers == []
    assert sent == Delivery(SendResult.GONE, "bad_address")
