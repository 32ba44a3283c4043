"""A real mail server in the test's own event loop, which keeps the mails and can misbehave at each command."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, AnyStr

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

USER, PASSWORD = "classes@example.com", "p@ss/word:with everything"


@dataclass
class MailServerDouble:
    """What the server has received, and how it behaves.

    Attributes:
        answers: by command, an answer instead of the usual one; "TEXT" is the answer to the text.
        hangs: the command that is never answered. "354": the text is asked for, and not read.
        drops: the command at which the connection is reset.
        commands: the commands that arrived.

    """

    answers: dict[str, str] = field(default_factory=dict)
    hangs: str = ""
    drops: str = ""
    mails: list[EmailMessage] = field(default_factory=list)
    texts: list[bytes] = field(default_factory=list)  # the same as they arrived
    recipients: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)  # per mail
    port: int = 0


class _Protocol(SMTP):
    def __init__(self, double: MailServerDouble, **kwargs: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it does not notice that it is served over TLS
            super().__init__(_Handler(double), **kwargs)
        self.double = double

    async def push(self, status: AnyStr) -> None:
        if str(status).startswith("354") and self.double.hangs == "354":
            await super().push(status)
            await asyncio.Event().wait()
        await super().push(status)

    async def smtp_AUTH(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        if await _at(self, "AUTH"):
            await super().smtp_AUTH(arg)

    async def smtp_MAIL(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        if await _at(self, "MAIL"):
            await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        if await _at(self, "RCPT"):
            await super().smtp_RCPT(arg)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        if await _at(self, "DATA"):
            await super().smtp_DATA(arg)

    async def smtp_QUIT(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        if await _at(self, "QUIT"):
            await super().smtp_QUIT(arg)


async def _at(protocol: _Protocol, command: str) -> bool:
    """Note a command. Return whether it is to be handled as usual."""
    double = protocol.double
    double.commands.append(command)
    if double.hangs == command:
        await asyncio.Event().wait()
    if double.drops == command:
        _abort(protocol)
        return False
    if answer := double.answers.get(command):
        await protocol.push(answer)
        return False
    return True


def _abort(protocol: _Protocol) -> None:
    if isinstance(protocol.transport, asyncio.Transport):
        protocol.transport.abort()


class _Handler:
    def __init__(self, double: MailServerDouble) -> None:
        self._double = double

    async def handle_DATA(self, server: _Protocol, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802 - aiosmtpd's names
        double = self._double
        assert isinstance(envelope.content, bytes)
        assert server.transport is not None
        double.texts.append(envelope.content)
        double.mails.append(message_from_bytes(double.texts[-1], policy=policy.default))
        double.recipients += envelope.rcpt_tos
        double.encrypted.append(server.transport.get_extra_info("sslcontext") is not None)
        if not await _at(server, "TEXT"):
            return double.answers.get("TEXT", "")
        return "250 OK"


def _authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    right = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=False)


@asynccontextmanager
async def mail_server(
    *, tls: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None, login: bool = False, **behaviour: Any
) -> AsyncIterator[MailServerDouble]:
    """Serve with TLS from the first byte, with STARTTLS, or without."""
    double, open_connections = MailServerDouble(**behaviour), list[_Protocol]()

    def protocol() -> _Protocol:
        made = _Protocol(
            double,
            tls_context=starttls,
            require_starttls=starttls is not None,
            auth_required=login,
            auth_require_tls=starttls is not None,
            authenticator=_authenticate if login else None,
            hostname="mail.example.com",
            loop=asyncio.get_running_loop(),
        )
        open_connections.append(made)
        return made

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, ssl=tls)
    double.port = server.sockets[0].getsockname()[1]
    try:
        yield double
    finally:
        server.close()
        handlers = [one._handler_coroutine for one in open_connections if one._handler_coroutine]
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
        for one in open_connections:
            _abort(one)
