"""Checks of the addresses in the settings. No message contains the address."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

# A host name whose last label begins with a letter, an IPv4 address, or an IPv6 address in brackets; optional port.
_HOST = re.compile(r"(([\w-]+\.)*[a-z][\w-]*\.?|\d+(\.\d+){3}|\[[\da-f:.]+\])(:\d*)?", re.ASCII)
_PUBLIC_NAME = re.compile(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+([a-z]{2,}|xn--[a-z0-9-]+)")
_PRIVATE_ENDINGS = (".localhost", ".local", ".internal", ".lan", ".home.arpa")


def web_address(value: str) -> str:
    """Return the value if it is a web address. Raises a ValueError that does not contain the value."""
    if not re.fullmatch(r"[!-~]+", value) or "\\" in value:
        raise ValueError("has spaces, newlines or characters outside ASCII")
    try:
        parts, port = urlsplit(value), urlsplit(value).port
    except ValueError:  # not chained: its message contains the value
        raise ValueError("is not a web address: its host or its port cannot be read") from None
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("is not a web address: write https:// and a host")
    if "@" in parts.netloc or "#" in value:
        raise ValueError("contains a user name or a fragment (#): remove it")
    if not _HOST.fullmatch(parts.netloc.lower()):
        raise ValueError("has a host that is neither a host name nor an IP address in the usual notation")
    if port == 0:
        raise ValueError("has no usable port")
    return value


def is_loopback(url: str) -> bool:
    """Return whether a URL's host is this machine, as in the local stack."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_private(host: str) -> bool:
    """Return whether a host is an address or a name inside a private network."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith(_PRIVATE_ENDINGS)


def public_address(value: str, *, database: str) -> str:
    """Return an address if it is https at a public name, or if it and the database are on this machine.

    Raises a ValueError that does not contain the value.
    """
    if is_loopback(database) and is_loopback(value):
        return value  # the local stack
    parts = urlsplit(value)
    if parts.scheme != "https":
        raise ValueError("is not https: what is sent there would not be encrypted")
    if not _PUBLIC_NAME.fullmatch(parts.hostname or "") or is_private(parts.hostname or ""):
        raise ValueError("is an IP address or a private host: give a public name")
    return value
