"""Mails to a real mail server: what it may have taken is unsure, and everything else is known."""

from __future__ import annotations

import re
import ssl
import time
from typing import Any
from urllib.parse import quote

import pytest
import trustme

from prebooking.channels import Delivery, SendResult
from prebooking.channels.mail import MailChannel
from prebooking.channels.settings import MailServer
from prebooking.channels.unsubscribe import unsubscribe_address
from tests.support.mail_server import PASSWORD, USER, MailServerDouble, mail_server
from tests.support.messages import CHANNEL, message, notification_settings
from tests.support.peers import Peer, serve, silence, unused_port

pytestmark = pytest.mark.anyio

SENDER, MEMBER = "classes@example.com", "ana@example.com"
NO_ANSWER = Delivery(SendResult.UNSURE, "no_answer")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def certificate(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def channel(port: int, *, tls: ssl.SSLContext | None = None, scheme: str = "smtp", login: str = "") -> MailChannel:
    settings = notification_settings(
        SMTP_URL=f"{scheme}://{login}127.0.0.1:{port}", MAIL_FROM=SENDER, APP_URL="https://app.example.com"
    )
    server = settings.mail_server
    assert server is not None
    return MailChannel(
        server,
        settings.mail_from or "",
        tls=tls or ssl.create_default_context(),
        app_url=settings.app_url or "",
        secret=settings.unsubscribe_secrets[0],
    )


async def send(server: MailServerDouble, *, timeout: float = 20) -> Delivery:  # noqa: ASYNC109 - as a channel's
    return await channel(server.port).send(message(MEMBER), timeout=timeout)


async def test_a_mail_says_what_its_message_says() -> None:
    async with mail_server() as server:
        assert await send(server) == Delivery(SendResult.SENT)
    (mail,) = server.mails
    assert server.recipients == [MEMBER]
    assert (mail["From"], mail["To"]) == (SENDER, MEMBER)
    assert mail["Subject"] == message().subject
    assert mail.get_content() == message().text + "\r\n"
    assert mail["Date"].datetime == message().at


async def test_the_message_id_is_the_same_in_every_attempt() -> None:
    async with mail_server() as server:
        assert {(await send(server)).result for _ in range(2)} == {SendResult.SENT}
    assert [mail["Message-ID"] for mail in server.mails] == [f"<{message().id}@example.com>"] * 2


async def test_a_mail_has_a_one_click_unsubscribe() -> None:
    """RFC 8058."""
    async with mail_server() as server:
        await send(server)
    (mail,) = server.mails
    address = unsubscribe_address("https://app.example.com", "the-secret-of-the-cron", CHANNEL)
    assert mail["List-Unsubscribe"] == f"<{address}>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert f"List-Unsubscribe: <{address}>\r\n".encode() in server.texts[0], "some mailboxes cannot read a folded one"


async def test_a_long_subject_is_in_encoded_words_that_every_mailbox_can_read() -> None:
    """RFC 2047, 2: an encoded word has at most 75 characters."""
    subject = "Lista de espera: " + "Gimnasia rítmica, " * 7 + "mañana"
    async with mail_server() as server:
        await channel(server.port).send(message(MEMBER, subject=subject), timeout=20)
    assert server.mails[0]["Subject"] == subject
    assert max(map(len, re.findall(rb"=\?\S+\?=", server.texts[0]))) <= 75


async def test_a_class_name_cannot_add_a_header() -> None:
    async with mail_server() as server:
        subject, text = "Yoga\r\nBcc: eve@example.com", "Yoga\r\n.\r\nMAIL FROM:<eve@example.com>\r\n.hidden"
        sent = await channel(server.port).send(message(MEMBER, subject=subject, text=text), timeout=20)
    assert sent.result is SendResult.SENT
    (mail,) = server.mails
    assert server.recipients == [MEMBER]
    assert mail["Bcc"] is None
    assert mail["Subject"] == "Yoga Bcc: eve@example.com"
    assert mail.get_content().splitlines() == text.splitlines()


async def test_tls_is_used_from_the_first_byte_with_smtps(
    certificate: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    login = f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}@"
    async with mail_server(tls=certificate, login=True) as server:
        over_tls = channel(server.port, tls=trusting, scheme="smtps", login=login)
        assert await over_tls.send(message(MEMBER), timeout=20) == Delivery(SendResult.SENT)
    assert server.encrypted == [True]


async def test_starttls_is_used_with_smtp(certificate: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    login = f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}@"
    async with mail_server(starttls=certificate, login=True) as server:
        sent = await channel(server.port, tls=trusting, login=login).send(message(MEMBER), timeout=20)
    assert sent == Delivery(SendResult.SENT)
    assert server.encrypted == [True]


@pytest.mark.parametrize("how", ["tls", "starttls"])
async def test_a_server_with_a_foreign_certificate_gets_nothing(certificate: ssl.SSLContext, how: str) -> None:
    scheme = "smtps" if how == "tls" else "smtp"
    served: dict[str, Any] = {how: certificate}
    async with mail_server(**served) as server:
        sent = await channel(server.port, scheme=scheme).send(message(MEMBER), timeout=20)
    assert sent.result is SendResult.NOT_SENT
    assert server.commands == []


async def test_a_remote_server_without_starttls_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The password would be sent unencrypted."""
    async with mail_server(login=True) as server:
        over_smtp = channel(server.port, login="ana:secret@")
        monkeypatch.setattr(MailServer, "local", False)
        sent = await over_smtp.send(message(MEMBER), timeout=20)
    assert sent == Delivery(SendResult.NOT_SENT, "not_supported")
    assert server.commands == []


async def test_a_wrong_password_is_named(certificate: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    async with mail_server(tls=certificate, login=True) as server:
        wrong = channel(server.port, tls=trusting, scheme="smtps", login="ana:wrong@")
        assert await wrong.send(message(MEMBER), timeout=20) == Delivery(SendResult.NOT_SENT, "login_refused")
    assert server.mails == []


@pytest.mark.parametrize(
    ("command", "answer", "expected"),
    [
        ("MAIL", "550 5.7.1 no", Delivery(SendResult.NOT_SENT, "smtp_550")),
        ("MAIL", "451 later", Delivery(SendResult.NOT_SENT, "smtp_451")),
        ("RCPT", "450 4.2.0 greylisted", Delivery(SendResult.NOT_SENT, "smtp_450")),
        ("RCPT", "550 5.1.1 unknown ana@example.com", Delivery(SendResult.GONE, "smtp_550")),
        ("RCPT", "550 unknown", Delivery(SendResult.GONE, "smtp_550")),
        ("RCPT", "553 5.1.3 unknown", Delivery(SendResult.GONE, "smtp_553")),
        ("RCPT", "550 5.7.1 relaying denied", Delivery(SendResult.NOT_SENT, "smtp_550")),
        ("RCPT", "554 5.7.1 relaying denied", Delivery(SendResult.NOT_SENT, "smtp_554")),
        ("RCPT", "552 5.2.2 the mailbox is full", Delivery(SendResult.NOT_SENT, "smtp_552")),
        ("DATA", "451 later", Delivery(SendResult.NOT_SENT, "smtp_451")),
        ("DATA", "550 no", Delivery(SendResult.NOT_SENT, "smtp_550")),
        ("TEXT", "451 4.7.1 greylisted", Delivery(SendResult.NOT_SENT, "smtp_451")),
        ("TEXT", "554 5.6.0 spam", Delivery(SendResult.NOT_SENT, "smtp_554")),
        ("TEXT", "250 2.0.0 queued", Delivery(SendResult.SENT)),
        ("QUIT", "500 what", Delivery(SendResult.SENT)),
    ],
)
async def test_an_answer_is_clear(command: str, answer: str, expected: Delivery) -> None:
    async with mail_server(answers={command: answer}) as server:
        assert await send(server) == expected


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        *(
            ("MAIL", Delivery(SendResult.NOT_SENT, "not_connected")),
            ("RCPT", Delivery(SendResult.NOT_SENT, "not_connected")),
        ),
        *(("DATA", NO_ANSWER), ("TEXT", NO_ANSWER), ("QUIT", Delivery(SendResult.SENT))),
    ],
)
@pytest.mark.parametrize("how", ["drops", "hangs"])
async def test_without_an_answer_a_mail_is_unsure_from_its_text_on(command: str, expected: Delivery, how: str) -> None:
    behaviour: dict[str, Any] = {how: command}
    async with mail_server(**behaviour) as server:
        assert await send(server, timeout=0.5 if how == "hangs" else 20) == expected


@pytest.mark.parametrize("answer", ["what", "999 what", "251 perhaps", "250" + "x" * 40_000])
async def test_an_answer_to_the_text_that_cannot_be_read_is_unsure(answer: str) -> None:
    async with mail_server(answers={"TEXT": answer}) as server:
        assert await send(server) == NO_ANSWER


async def test_a_server_that_hangs_before_the_final_dot_may_have_taken_the_mail() -> None:
    async with mail_server(hangs="354") as server:
        assert await send(server, timeout=0.5) == NO_ANSWER


async def test_a_server_that_is_not_there_gets_nothing() -> None:
    sent = await channel(unused_port()).send(message(MEMBER), timeout=20)
    assert sent == Delivery(SendResult.NOT_SENT, "not_connected")


async def test_a_server_that_says_nothing_is_left_in_time() -> None:
    async with serve(silence) as server:
        started = time.monotonic()
        sent = await channel(server.port).send(message(MEMBER), timeout=0.3)
    assert sent.result is SendResult.NOT_SENT
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"554 no service\r\n", b"\x00" * 100_000])
async def test_something_else_at_the_port_gets_nothing(greeting: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.say(greeting)
        await peer.ended.wait()

    async with serve(script) as server:
        sent = await channel(server.port).send(message(MEMBER), timeout=1)
        assert b"MAIL" not in b"".join(server.received)
    assert sent.result is SendResult.NOT_SENT


@pytest.mark.parametrize("address", ["", "ana@localhost", "ana@example.com\r\nRCPT TO:<eve@example.com>", "a%b@c.de"])
async def test_an_address_that_was_written_by_hand_is_checked_again(address: str) -> None:
    async with mail_server() as server:
        sent = await channel(server.port).send(message(address), timeout=20)
    assert sent == Delivery(SendResult.GONE, "bad_address")
    assert server.commands == []
