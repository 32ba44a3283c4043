"""The address in each mail that removes its channel, and the pages behind it (RFC 8058)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from enum import StrEnum
from typing import Final
from uuid import UUID

_PURPOSE = b"prebooking-scheduler unsubscribe v1"  # so that a signature is worth nothing anywhere else


def unsubscribe_address(app_url: str, secret: str, channel_id: UUID) -> str:
    """Return the address that removes a channel. It contains no personal data."""
    return f"{app_url}/api/unsubscribe?channel={channel_id}&key={_signature(secret, channel_id)}"


def is_signed(channel_id: UUID, key: str, secrets: Iterable[str]) -> bool:
    """Return whether one of the secrets has signed the address. Every comparison takes the same time."""
    offered = key.encode("utf-8", "surrogatepass")
    matches = [hmac.compare_digest(offered, _signature(secret, channel_id).encode()) for secret in secrets]
    return any(matches)


def _signature(secret: str, channel_id: UUID) -> str:
    key = hmac.digest(secret.encode(), _PURPOSE, hashlib.sha256)
    return base64.urlsafe_b64encode(hmac.digest(key, channel_id.bytes, hashlib.sha256)).decode().rstrip("=")


class UnsubscribePage(StrEnum):
    """The pages behind the address."""

    ASK = "ask"  # with a button, because scanners of mails follow links
    DONE = "done"
    NOT_VALID = "not_valid"
    LATER = "later"


STATUS: Final = {
    UnsubscribePage.ASK: 200,
    UnsubscribePage.DONE: 200,
    UnsubscribePage.NOT_VALID: 403,
    UnsubscribePage.LATER: 503,
}
_SENTENCES: Final = {
    "en": {
        UnsubscribePage.ASK: "Stop these messages to your mail address?",
        UnsubscribePage.DONE: "You will get no more of these messages. One that is being sent may still arrive.",
        UnsubscribePage.NOT_VALID: "This link is not valid, or not any more: use the one in your newest mail.",
        UnsubscribePage.LATER: "That did not work just now: try again in a few minutes.",
    },
    "es": {
        UnsubscribePage.ASK: "¿Dejar de recibir estos mensajes en tu correo?",
        UnsubscribePage.DONE: "No recibirás más mensajes como este. Puede llegar aún uno que ya estaba en camino.",
        UnsubscribePage.NOT_VALID: "Este enlace no es válido, o ya no lo es: usa el de tu correo más reciente.",
        UnsubscribePage.LATER: "Ahora no ha funcionado: inténtalo de nuevo en unos minutos.",
    },
}
_BUTTON: Final = {"en": "Stop", "es": "Dejar de recibirlos"}


def html(page: UnsubscribePage, accept_language: str) -> str:
    """Return a page in Spanish if the browser prefers it, and otherwise in English. It loads nothing."""
    language = "es" if accept_language.strip().lower().startswith("es") else "en"
    form = f'<form method="post"><button>{_BUTTON[language]}</button></form>' if page is UnsubscribePage.ASK else ""
    return (
        f'<!doctype html><html lang="{language}"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>Prebooking</title><p>{_SENTENCES[language][page]}</p>{form}</html>\n"
    )
