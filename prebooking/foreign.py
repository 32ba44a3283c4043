"""Foreign text: the values that venues and members' apps write, read as leniently as is safe.

Every reader takes any value and never raises. It looks at a bounded part of the value, in linear time. What it cannot
read is None or empty, and the caller shows it as such.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Collection, Iterable
from datetime import date, datetime, time
from typing import Any

NAME_LIMIT = 100  # characters of a name that are kept
COOKIE_LIMIT = 4096  # characters of a cookie's value, or of a token, as JSON writes them
_LOOKED_AT = 500  # characters of a name, a number, a day or a time that are looked at
_LINE = 16_384  # characters of a Set-Cookie line that are looked at
_LONGEST_NUMBER = 10**40

# Characters without a width: direction marks, joiners that join nothing, soft hyphens.
_INVISIBLE = dict.fromkeys([0xAD, 0x61C, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), 0x2060, 0xFEFF])
_INVISIBLE |= dict.fromkeys(range(0x2066, 0x206A))
# UTF-8 cannot hold lone surrogates, jsonb cannot hold NUL, and a terminal obeys the other control characters.
_UNFIT = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff]")


def read_text(value: object) -> str:
    """Return a value as text without line breaks, HTML entities or characters that a database cannot hold.

    Reading the result again changes nothing, so that a stored text equals the same text read from the venue.
    """
    text, before = _plain(value), None
    while text != before:
        before, text = text, unicodedata.normalize("NFKC", html.unescape(text)).translate(_INVISIBLE)
        text = _UNFIT.sub("\ufffd", text)
    return " ".join(text.split())


def read_name(value: object) -> str:
    """Return a name of a class or a gym, at most ``NAME_LIMIT`` characters of it."""
    return read_text(value)[:NAME_LIMIT].strip()


def name_key(value: object) -> str:
    """Return what two spellings of one name have in common: neither case nor white space counts."""
    return unicodedata.normalize("NFKC", read_name(value).casefold())


def read_id(value: object) -> str | None:
    """Return a venue's number for something: letters, digits and underscores, at most 40."""
    text = unicodedata.normalize("NFKC", _plain(value)).strip()
    return text if re.fullmatch(r"\w{1,40}", text, re.ASCII) else None


def read_number(value: object) -> int | None:
    """Return a whole number of at most nine digits."""
    text = _plain(value).strip()
    return int(text) if re.fullmatch(r"-?\d{1,9}", text, re.ASCII) else None


def read_count(value: object) -> int | None:
    """Return how many there are: a number of at most six digits, none below zero."""
    number = read_number(value)
    return number if number is not None and 0 <= number < 1_000_000 else None  # noqa: PLR2004 - said above


def is_off(value: object) -> bool:
    """Return whether a flag is clearly off. One that is missing or cannot be read is not."""
    return value is False or read_number(value) == 0


def is_on(value: object) -> bool:
    """Return whether a flag is clearly on. One that is missing or cannot be read is not."""
    return value is True or read_number(value) == 1


def is_set(value: object) -> bool:
    """Return whether a reference to something names anything: PHP writes "nothing" as null, 0, "", false or []."""
    return bool(value) and read_number(value) != 0


def read_list(value: object) -> list[Any] | None:
    """Return a list as PHP may write it: null or {} for an empty one, an object with numbers as names for gaps."""
    if value is None:
        return []
    if isinstance(value, dict) and all(re.fullmatch(r"\d{1,9}", str(name), re.ASCII) for name in value):
        return [value[name] for name in sorted(value, key=int)]
    return value if isinstance(value, list) else None


def read_day(value: object) -> date | None:
    """Return a day, written 20300111 or 2030-01-11."""
    text = _plain(value).strip()
    if re.fullmatch(r"\d{8}|\d{4}-\d\d-\d\d", text, re.ASCII):
        try:
            return datetime.strptime(text.replace("-", ""), "%Y%m%d").date()  # noqa: DTZ007 - a day of the gym's calendar
        except ValueError:
            pass
    return None


def _plain(value: object) -> str:
    if isinstance(value, str):
        return value[:_LOOKED_AT]
    if isinstance(value, bool) or not isinstance(value, int):
        return ""
    return str(value) if abs(value) < _LONGEST_NUMBER else ""


# times

_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−~"), "-") | {ord("∶"): ":"}  # noqa: RUF001 - those that venues type
_UNIT = r"(?:hours?|horas?|heures?|hrs?|hs|h|uhr|uur|o'?clock)"
_CLOCK = (
    r"(?P<hour{n}>\d{{1,2}})(?:(?:\s?(?:[:.,h]|uhr)\s?)?(?P<minute{n}>\d\d)(?:[:.]\d\d)?)?"
    rf"(?:\s?{_UNIT}\.?)?(?:\s?(?P<half{{n}}>[ap])(?:\s?\.?\s?m)?\.?)?"
)
_FROM = r"(?:(?:from|at|de|desde|das?|a las|às|von|ab|um|dalle|alle|ore|kl\.?|van|om)\s)?"
_TO = r"\s?(?:-|/|to|until|till?|hasta(?: las)?|a las|a|al|à|às|ao|as|bis|alle|tot)\s?"
_HOURS = re.compile(
    rf"{_FROM}{_CLOCK.format(n=1)}(?:{_TO}(?:{_CLOCK.format(n=2)})?)?",
    re.ASCII,
)
_NOON, _DAY = 12, 24  # hours


def read_time(value: object) -> time | None:
    """Return when a class begins on the gym's clock, from a label like "18:00 - 19:00", "6 pm" or "18h30".

    The whole label is read, because "6:00 - 7:00 pm" begins at 18:00. A lone number is no time.
    """
    label = read_text(value).casefold().translate(_DASHES)
    if not (found := _HOURS.fullmatch(label)):
        return None
    parts = found.groupdict()
    if not (parts["hour2"] or parts["minute1"] or parts["half1"] or re.search(_UNIT, label)):
        return None
    ends = _minutes(parts["hour2"], parts["minute2"], parts["half2"]) if parts["hour2"] else None
    begins = _minutes(parts["hour1"], parts["minute1"], parts["half1"])
    if parts["hour2"] and (ends is None or begins is None):
        return None
    if parts["half2"] and not parts["half1"] and int(parts["hour1"]) <= _NOON:
        same = _minutes(parts["hour1"], parts["minute1"], parts["half2"])
        other = _minutes(parts["hour1"], parts["minute1"], "a" if parts["half2"] == "p" else "p")
        begins = same if same is not None and ends is not None and same < ends else other
    return time(begins // 60, begins % 60) if begins is not None and begins < _DAY * 60 else None


def _minutes(hour_text: str, minute_text: str | None, half: str | None) -> int | None:
    """Return the minutes since midnight; ``half`` is the day's: "a" (am), "p" (pm) or unknown."""
    hour, minute = int(hour_text), int(minute_text or 0)
    if half == "a" and hour == _NOON:
        hour = 0
    elif half == "p" and 0 < hour < _NOON:
        hour += _NOON
    elif half and (hour > _NOON if half == "a" else hour == 0):
        return None
    return hour * 60 + minute if minute < 60 and hour * 60 + minute <= _DAY * 60 else None  # noqa: PLR2004 - minutes


# cookies


def read_cookies(lines: Iterable[str], names: Collection[str]) -> dict[str, str]:
    """Return the cookies of these names that a browser would keep (RFC 6265, 5.2).

    A cookie is the text before the first ";". Attributes are ignored, but for those that delete a cookie.
    """
    found: dict[str, str] = {}
    for line in lines:
        pair, _, attributes = line[:_LINE].partition(";")
        name, is_pair, value = (part.strip(" \t") for part in pair.partition("="))
        if is_pair and name in names and fits(value) and re.fullmatch(r"[ -:<-~]*", value):
            found.pop(name, None)
            found |= {name: value} if value and not _deletes(attributes) else {}
    return found


def fits(value: str) -> bool:
    """Return whether a cookie's value or a token is short enough to be kept, as JSON writes it."""
    return len(json.dumps(value)) - 2 <= COOKIE_LIMIT


def _deletes(attributes: str) -> bool:
    """Return whether a cookie ends at once; Max-Age counts before Expires."""
    pairs = {
        name.strip().lower(): value.strip() for name, _, value in (a.partition("=") for a in attributes.split(";"))
    }
    if re.fullmatch(r"-?\d+", age := pairs.get("max-age", ""), re.ASCII):
        return age.startswith("-") or not age.strip("0")
    # Servers delete a cookie with an end in 1970.
    return re.search(r"[ -](19\d\d|70)\b", pairs.get("expires", ""), re.ASCII) is not None


# hosts


def read_host(value: object) -> str:
    """Return a host from an address or a bare name, in lower case; what follows it is dropped."""
    host = re.sub(r"^https?://", "", read_text(value).lower())
    return re.split(r"[/?#:]", host, maxsplit=1)[0].rstrip(".")
