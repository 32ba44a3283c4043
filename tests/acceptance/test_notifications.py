"""Upkeep's function sends messages over real channels, and no secret and no address is left anywhere."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import httpx
import pytest

from api.cron import upkeep
from prebooking import channels
from prebooking.channels import Delivery, Message, SendResult, telegram
from tests.support.database import Connection, Database, Rest
from tests.support.factories import add_prebooking, add_venue
from tests.support.functions import BEARER, client_of, set_environment
from tests.support.mail_server import MailServerDouble, mail_server
from tests.support.messages import BOT_TOKEN, WEBHOOK_SECRET
from tests.support.notifications import ANA, add_channel
from tests.support.peers import OK, Script, Server, answers, serve, silence

pytestmark = pytest.mark.anyio

TOKEN, TOPIC, CHAT, MAIL = "tk_canary0123456789abcdef01234567", "canary_topic", "4711471147114711", "canary@example.com"
KINDS = {"webhook": "", "ntfy": TOPIC, "telegram": CHAT, "mail": MAIL}
REFUSED = answers(
    b"HTTP/1.1 403 Forbidden\r\nContent-Length: 74\r\n\r\n"
    + json.dumps({"ok": False, "description": "Forbidden: canary@example.com 4711471147114711"}).encode()[:74]
)


@pytest.fixture
def tables(database: Database) -> Connection:
    """Return a connection to a database with a channel of each kind and a booked prebooking."""
    owner = database.connection
    for kind, address in KINDS.items():
        add_channel(owner, kind=kind, address=address)
    row = add_prebooking(owner, add_venue(owner), user_email=ANA, booking_data={"class_name": "Canary Yoga"})
    query = "update public.prebookings set status = 'completed', outcome = 'booked', settled_at = clock_timestamp()"
    owner.execute(query.encode() + b" where id = %s", [row])
    return owner


class Receivers:
    """The four receivers, and the function that sends to them."""

    def __init__(self, http: dict[str, Server], mail: MailServerDouble, function: httpx.AsyncClient) -> None:
        self.http, self.mail, self._function = http, mail, function

    async def keep_up(self) -> dict[str, Any]:
        answer = await self._function.post("/api/cron/upkeep", headers=BEARER)
        parts: dict[str, Any] = answer.json()["parts"]
        return parts


@pytest.fixture
async def open_receivers(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    async with AsyncExitStack() as stack:

        async def opened(script: Script, **behaviour: Any) -> Receivers:
            http = {kind: await stack.enter_async_context(serve(script)) for kind in ("webhook", "ntfy", "telegram")}
            mail = await stack.enter_async_context(mail_server(**behaviour))
            set_environment(
                monkeypatch,
                rest,
                NOTIFY_WEBHOOK_URL=f"{http['webhook'].url}/canary",
                NOTIFY_WEBHOOK_SECRET=WEBHOOK_SECRET,
                NTFY_URL=http["ntfy"].url,
                NTFY_TOKEN=TOKEN,
                TELEGRAM_BOT_TOKEN=BOT_TOKEN,
                SMTP_URL=f"smtp://127.0.0.1:{mail.port}",
                MAIL_FROM="classes@example.com",
            )
            monkeypatch.setattr(telegram, "API", http["telegram"].url)
            return Receivers(http, mail, await stack.enter_async_context(client_of(upkeep.app)))

        yield opened


def stored(owner: Connection) -> dict[str, tuple[str, str | None]]:
    """Return status and failure of the message of each kind."""
    query = """
      select c.kind, n.status, n.failure from public.notifications n
      join public.notification_channels c on c.id = n.channel_id"""
    return {kind: (status, failure) for kind, status, failure in owner.execute(query).fetchall()}


def leaks(texts: str) -> list[str]:
    """Return the secrets and addresses in the texts."""
    secrets = (TOKEN, TOPIC, CHAT, MAIL, ANA, BOT_TOKEN, WEBHOOK_SECRET, "canary", "Canary")
    return [secret for secret in secrets if secret in texts]


async def test_a_booked_class_is_told_on_every_channel(
    open_receivers: Any, tables: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    receivers = await open_receivers(answers(OK))
    parts = await receivers.keep_up()
    assert parts["notifications"]["sent"] == 4
    assert stored(tables) == dict.fromkeys(KINDS, ("sent", None))
    ids = {str(one) for (one,) in tables.execute("select id from public.notifications").fetchall()}
    (mail,) = receivers.mail.mails
    assert UUID(mail["Message-ID"][1:37]) in {UUID(one) for one in ids}
    assert [len(server.requests()) for server in receivers.http.values()] == [1, 1, 1]
    assert leaks(capsys.readouterr().out + json.dumps(parts)) == []
    assert (await receivers.keep_up()) == {}, "nothing is left to send"


FAILURES: dict[str, tuple[Script, dict[str, Any], dict[str, str]]] = {
    "refused": (
        REFUSED,
        {"answers": {"RCPT": "450 4.2.0 canary@example.com is greylisted"}},
        dict.fromkeys(("webhook", "ntfy", "telegram"), "http_403") | {"mail": "smtp_450"},
    ),
    "no answer": (silence, {"hangs": "TEXT"}, dict.fromkeys(KINDS, "no_answer")),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_a_failure_is_stored_as_a_code_of_ours(
    open_receivers: Any, tables: Connection, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    script, behaviour, expected = FAILURES[name]
    receivers = await open_receivers(script, **behaviour)
    parts = await receivers.keep_up()
    assert stored(tables) == {kind: ("waiting", failure) for kind, failure in expected.items()}
    failures = tables.execute("select failure from public.notification_channels").fetchall()
    assert leaks(capsys.readouterr().out + json.dumps(parts) + str(failures)) == []


async def test_an_invalid_setting_stops_the_messages_and_nothing_else(
    open_receivers: Any, tables: Connection, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    receivers = await open_receivers(answers(OK))
    monkeypatch.setenv("SMTP_URL", "smtp://canary:canary@10.0.0.1")
    await receivers.keep_up()
    assert stored(tables) == dict.fromkeys(KINDS, ("waiting", None))
    printed = capsys.readouterr().out
    lines = [json.loads(line) for line in printed.splitlines()]
    (failed,) = [line for line in lines if line["event"] == "part_failed"]
    assert list(failed["problems"]) == ["SMTP_URL"]
    assert leaks(printed) == []


async def test_a_mail_server_has_more_time_to_answer(
    open_receivers: Any, tables: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may scan a mail for seconds before it answers. A mail that is cut off then would be sent again and again."""
    timeouts = dict[str, float]()

    class Recorder:
        def __init__(self, kind: str) -> None:
            self._kind = kind

        async def send(self, _: Message, *, timeout: float) -> Delivery:  # noqa: ASYNC109 - see Channel
            timeouts[self._kind] = timeout
            return Delivery(SendResult.SENT)

    monkeypatch.setattr(channels, "open_channel", lambda kind, *_: Recorder(kind))
    await (await open_receivers(answers(OK))).keep_up()
    assert {kind: timeout > 5 for kind, timeout in timeouts.items()} == dict.fromkeys(KINDS, False) | {"mail": True}
