"""Checks of a channel's address, which a member chooses. It never names a host: hosts are in the settings."""

from __future__ import annotations

import re

from prebooking.addresses import public_address

_MAIL_NAME = re.compile(r"[\w#$&'*+/=?^`{|}~-]+(\.[\w#$&'*+/=?^`{|}~-]+)*", re.ASCII)
# A topic is one part of the URL's path, and these are pages of the server.
_TOPIC = re.compile(r"(?!(?:docs|static|file|app|account|settings|signup|login|v1)$)[\w-]{1,64}", re.ASCII)
_NAME = re.compile(r"[\w.-]+", re.ASCII)
_CHAT = re.compile(r"-?[1-9][0-9]{0,18}")


def address_problem(kind: str, address: str) -> str | None:
    """Return what is wrong with the address of a channel of this kind, or None. The message never contains it."""
    if kind == "webhook":
        return "A webhook has no address: it is called at NOTIFY_WEBHOOK_URL." if address else None
    if kind == "ntfy" and not _TOPIC.fullmatch(address):
        return "That is no topic: 1 to 64 letters, digits, - and _, and none of the server's own pages."
    if kind == "telegram" and not _CHAT.fullmatch(address):
        return "That is no chat id: the number that the bot shows after /start, for instance 123456789."
    if kind not in ("mail", "ntfy", "telegram"):
        return "There is no such kind of channel."
    if kind == "mail":
        try:
            mail_address(address)
        except ValueError as exc:
            return f"The address {exc}."
    return None


def mail_address(value: str) -> str:
    """Return a mail address ``name@domain`` at a public name. Raises a ValueError otherwise.

    Refused besides: quoted names, source routes (``%``, ``!``), and domains that are not in ASCII or are IP addresses.
    """
    name, _, domain = value.rpartition("@")
    if not _MAIL_NAME.fullmatch(name) or len(name) > 64 or len(value) > 254:  # noqa: PLR2004 - RFC 5321, 4.5.3.1
        raise ValueError("is not a mail address: write name@example.com, without a display name, quotes, % or !")
    if not is_public_name(domain):
        raise ValueError("has a domain that is not a public name: write name@example.com")
    return value


def is_public_name(host: str) -> bool:
    """Return whether a host is a name that a public server can have."""
    try:
        return bool(_NAME.fullmatch(host)) and bool(public_address(f"https://{host}", database=""))
    except ValueError:
        return False
