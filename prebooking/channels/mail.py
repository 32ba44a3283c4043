"""Mail by SMTP. This module loads aiosmtplib and the mail format, so it is imported only when a mail is due."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from email.header import Header
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime

import aiosmtplib
import httpx

from prebooking.channels import Delivery, Message, SendResult
from prebooking.channels.addresses import address_problem
from prebooking.channels.settings import MailServer, NotificationSettings
from prebooking.channels.unsubscribe import unsubscribe_address

QUIT_TIME = 0.1  # seconds for the farewell after the server has answered
_LONGEST_SUBJECT = 150  # characters
_NO_MAILBOX = frozenset({550, 551, 553})  # as an answer to the recipient: RFC 5321, 4.2.3


class _Policy(EmailPolicy):
    """Folds only the subject. EmailPolicy's own folding loses spaces, and its encoded words can be too long."""

    def fold_binary(self, name: str, value: str) -> bytes:
        """Return a header as bytes. RFC 2047 limits an encoded word to 75 characters."""
        if name != "Subject":
            return super().fold_binary(name, value)
        subject = Header(value, None if value.isascii() else "utf-8", maxlinelen=76, header_name=name)
        return f"{name}: {subject.encode(linesep=self.linesep)}{self.linesep}".encode()


# 7bit, because not every server takes 8 bits; and no folding, which would encode a long address in a header.
_POLICY = _Policy(linesep="\r\n", cte_type="7bit", max_line_length=998)


class MailChannel:
    """Sends a mail whose Message-ID is the message's id, so that a mailbox can drop a repetition."""

    def __init__(
        self, server: MailServer, sender: str, *, tls: ssl.SSLContext, app_url: str = "", secret: str = ""
    ) -> None:
        self._server, self._sender, self._tls = server, sender, tls
        self._app_url, self._secret = app_url, secret

    async def send(self, message: Message, *, timeout: float) -> Delivery:  # noqa: ASYNC109 - see Channel
        """Send the message once. From the command DATA on, the server may have taken it."""
        if address_problem("mail", message.address):
            return Delivery(SendResult.GONE, "bad_address")
        text = self._mail(message).as_bytes()
        smtp, data = self._connection(timeout), asyncio.Event()
        try:
            async with asyncio.timeout(timeout):
                await smtp.connect()
                await smtp.mail(self._sender)
                await smtp.rcpt(message.address)
                data.set()
                await smtp.data(text)
        except Exception as exc:  # noqa: BLE001 - any answer may make the parser raise
            return _classify(exc, maybe_taken=data.is_set())
        else:
            await _quit(smtp)
            return Delivery(SendResult.SENT)
        finally:
            smtp.close()

    def _connection(self, timeout: float) -> aiosmtplib.SMTP:
        server = self._server
        return aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user or None,
            password=server.password or None,
            use_tls=server.tls,
            start_tls=None if server.tls or server.local else True,  # None: only if the server offers it
            tls_context=self._tls,
            local_hostname=self._domain,  # the default looks the machine's own name up
            timeout=timeout,
        )

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage(_POLICY)
        mail["From"], mail["To"] = self._sender, message.address
        mail["Subject"] = " ".join(message.subject.split())[:_LONGEST_SUBJECT]
        mail["Date"] = format_datetime(message.at)
        mail["Message-ID"] = f"<{message.id}@{self._domain}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: prevents answers such as "I am on holiday"
        if self._app_url and self._secret:
            address = unsubscribe_address(self._app_url, self._secret, message.channel_id)
            mail["List-Unsubscribe"] = f"<{address}>"
            mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        mail.set_content(message.text + "\n")
        return mail

    @property
    def _domain(self) -> str:
        return self._sender.rpartition("@")[2]


def _classify(exc: Exception, *, maybe_taken: bool) -> Delivery:
    """Return the meaning of a failure. An answer of the server to the mail's text is clear, and no answer is not."""
    if isinstance(exc, aiosmtplib.SMTPAuthenticationError):
        return Delivery(SendResult.NOT_SENT, "login_refused")
    if isinstance(exc, aiosmtplib.SMTPResponseException) and 400 <= exc.code < 600:  # noqa: PLR2004 - refusals
        # 5.7.x is about the sender or its rights, not about the mailbox: RFC 3463, 3.8
        no_mailbox = exc.code in _NO_MAILBOX and not exc.message.startswith("5.7.")
        gone = isinstance(exc, aiosmtplib.SMTPRecipientRefused) and no_mailbox
        return Delivery(SendResult.GONE if gone else SendResult.NOT_SENT, f"smtp_{exc.code}")
    if maybe_taken:
        return Delivery(SendResult.UNSURE, "no_answer")
    connected = isinstance(exc, aiosmtplib.SMTPException) and not isinstance(exc, OSError)
    return Delivery(SendResult.NOT_SENT, "not_supported" if connected else "not_connected")


async def _quit(smtp: aiosmtplib.SMTP) -> None:
    with suppress(Exception):  # the server has taken the mail
        await smtp.quit(timeout=QUIT_TIME)


def open_channel(settings: NotificationSettings, _: httpx.AsyncClient) -> MailChannel:
    """Return the channel to SMTP_URL."""
    server = settings.mail_server
    if server is None:
        raise ValueError("SMTP_URL is missing")
    return MailChannel(
        server,
        settings.mail_from or "",
        tls=httpx.create_ssl_context(),
        app_url=settings.app_url or "",
        secret=next(iter(settings.unsubscribe_secrets), ""),
    )
