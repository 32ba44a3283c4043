"""The settings of notifications. The booking function does not read them, so an invalid one stops no booking."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Self
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator

from prebooking.addresses import is_loopback, public_address, web_address
from prebooking.channels.addresses import is_public_name, mail_address
from prebooking.settings import DatabaseSettings, Secret

MAIL_PORTS: Final = {"smtps": 465, "smtp": 587}  # the usual ports: TLS from the first byte, and STARTTLS
_OTHER_PORTS: Final = (2525,)  # 25 is for servers among themselves, and the platform blocks it
_PAIRS: Final = (("NOTIFY_WEBHOOK_URL", "NOTIFY_WEBHOOK_SECRET"), ("SMTP_URL", "MAIL_FROM"))
_MAIL_URL = re.compile(r"smtps?://([^\s/?#@:[\]\\]+:[^\s/?#@[\]\\]+@)?[\w.:[\]-]+/?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MailServer:
    """The SMTP server of SMTP_URL."""

    host: str
    port: int
    tls: bool  # TLS from the first byte; otherwise STARTTLS
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def local(self) -> bool:
        """Return whether it is on this machine, where it may be without TLS."""
        return is_loopback(f"//{self.host}" if ":" not in self.host else f"//[{self.host}]")

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read SMTP_URL. Raises a ValueError that does not contain it."""
        if not url.isascii() or not _MAIL_URL.fullmatch(url):
            raise ValueError(
                "is not a mail server: write smtps://user:password@host or smtp://…; write /, @, # and ? in a"
                " password as %2F, %40, %23 and %3F"
            )
        try:
            parts, port = urlsplit(url), urlsplit(url).port
        except ValueError:  # not chained: its message contains the value
            raise ValueError("has a host or a port that cannot be read") from None
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if not (user + password).isprintable():
            raise ValueError("has a user name or a password with newlines or control characters")
        usual = MAIL_PORTS[parts.scheme]
        return cls(parts.hostname or "", usual if port is None else port, parts.scheme == "smtps", user, password)


def signing_key(secret: str) -> bytes:
    """Return the key of a Standard Webhooks secret. Raises a ValueError that does not contain it."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if not secret.startswith("whsec_") or not 24 <= len(key) <= 64:  # noqa: PLR2004 - the message names the numbers
        raise ValueError("is not whsec_ and 24 to 64 bytes in base64: echo whsec_$(openssl rand -base64 32)")
    return key


def _signing_key(value: SecretStr) -> SecretStr:
    signing_key(value.get_secret_value())
    return value


def _bot_token(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"\d{5,20}:[\w-]{30,100}", value.get_secret_value(), re.ASCII):
        raise ValueError("is not a bot's token: copy it from @BotFather, for instance 123456789:AAF…")
    return value


_WebAddress = Annotated[str, AfterValidator(web_address)]


class NotificationSettings(DatabaseSettings):
    """The settings needed to send notifications; all but the database's are optional."""

    cron_secret: Secret | None = None
    cron_secret_previous: Secret | None = None
    app_url: _WebAddress | None = Field(None, repr=False)
    notify_webhook_url: _WebAddress | None = Field(None, repr=False)
    notify_webhook_secret: Annotated[SecretStr, AfterValidator(_signing_key)] | None = None
    smtp_url: SecretStr | None = None
    mail_from: Annotated[str, AfterValidator(mail_address)] | None = Field(None, repr=False)
    ntfy_url: _WebAddress = Field("https://ntfy.sh", repr=False)
    ntfy_token: Secret | None = None
    telegram_bot_token: Annotated[SecretStr, AfterValidator(_bot_token)] | None = None

    @classmethod
    def _missing(cls, environment: Mapping[str, str]) -> dict[str, str]:
        """Return one message per variable whose other half is set."""
        given = {name for pair in _PAIRS for name in pair if environment.get(name, "").strip()}
        return {
            missing: f"is missing: {there} is set, and needs it"
            for pair in _PAIRS
            for there, missing in (pair, pair[::-1])
            if there in given and missing not in given
        }

    @field_validator("notify_webhook_url", "ntfy_url", "app_url")
    @classmethod
    def _a_public_endpoint(cls, value: str, info: ValidationInfo) -> str:
        return public_address(value, database=info.data.get("supabase_url", ""))

    @field_validator("ntfy_url", "app_url")
    @classmethod
    def _a_bare_host(cls, value: str) -> str:
        if urlsplit(value).path not in ("", "/") or "?" in value:
            raise ValueError("has a path: give the address alone, https:// and a host")
        return value.rstrip("/")

    @field_validator("smtp_url")
    @classmethod
    def _a_mail_server(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        server = MailServer.parse(value.get_secret_value())
        if is_loopback(info.data.get("supabase_url", "")) and server.local:
            return value
        if not is_public_name(server.host):
            raise ValueError("is an IP address or a private host: give the mail server's public name")
        if server.port not in (MAIL_PORTS["smtps" if server.tls else "smtp"], *_OTHER_PORTS):
            raise ValueError("has an unusual port: 465 for smtps, 587 for smtp, or 2525")
        return value

    @property
    def mail_server(self) -> MailServer | None:
        """Return the SMTP server, if one is set."""
        return MailServer.parse(self.smtp_url.get_secret_value()) if self.smtp_url else None

    @property
    def unsubscribe_secrets(self) -> list[str]:
        """Return the secrets that unsubscribe addresses may be signed with. The first one also signs."""
        return [s.get_secret_value() for s in (self.cron_secret, self.cron_secret_previous) if s]
