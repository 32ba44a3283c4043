"""What a message says. It is made when the message is sent, from the facts of its notification.

A message contains nothing of other members, no credential, and no text of the venue but the names of class and venue.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from prebooking.channels.english import ENGLISH
from prebooking.channels.language import Language
from prebooking.channels.spanish import SPANISH
from prebooking.database.notifications import Notification

LANGUAGES = {"en": ENGLISH, "es": SPANISH}
NAME_LENGTH = 60  # characters of a name
_SECOND, _MINUTE, _SECONDS_UNTIL = 1000, 60_000, 120_000  # in milliseconds


@dataclass(frozen=True, slots=True)
class Text:
    """The subject line and the sentences of a message."""

    subject: str
    text: str


def compose(notification: Notification) -> Text:
    """Return what a message says. An unknown event, outcome, warning, language or time zone never raises an error."""
    words = LANGUAGES.get(notification.language, ENGLISH)
    what = _describe_class(notification, words)
    sentences = [_event(notification, words).format(what=what), *_details(notification, words)]
    text = " ".join(sentences)
    if notification.is_operator and notification.user_email:
        text = words.member.format(member=_one_line(notification.user_email), text=text)
    subject = words.subjects.get(notification.event, words.subjects["alert"])
    return Text(f"{subject}: {what}" if notification.venue and notification.event != "alert" else subject, text)


def compose_test(language: str) -> Text:
    """Return what a test message says."""
    words = LANGUAGES.get(language, ENGLISH)
    return Text(words.subjects["test"], words.events["test"])


def _event(row: Notification, words: Language) -> str:
    """Return the template of the first sentence."""
    key = row.outcome if row.event == "booked" and row.outcome in words.events else row.event
    return words.events.get(key or "", words.events["warned" if row.venue else "alert"])


def _details(row: Notification, words: Language) -> list[str]:
    """Return the sentences that follow the first one."""
    if row.event not in _DETAILS:
        return []
    return [sentence for sentence in _DETAILS[row.event](row, words) if sentence]


def _lateness(row: Notification, words: Language) -> list[str | None]:
    late = None if row.lateness_ms is None else _duration(row.lateness_ms, words)
    return [_say(words, "late", late) if row.outcome == "booked" else None]


def _place(row: Notification, words: Language) -> list[str | None]:
    return [_say(words, "place", row.position)]


def _reason(row: Notification, words: Language) -> list[str | None]:
    reason = words.reasons.get(row.outcome or "", words.other_reason)
    return [reason, words.details["next"] if row.promoted else None]


def _problem(row: Notification, words: Language) -> list[str | None]:
    is_ahead = row.available_at and row.available_at > row.created_at
    return [_warning(row, words), _say(words, "opens", _instant(row.available_at, row, words)) if is_ahead else None]


def _limit(row: Notification, words: Language) -> list[str | None]:
    return [_say(words, "until", _instant(row.cancel_until, row, words))]


def _alert(row: Notification, words: Language) -> list[str | None]:
    template = words.alerts.get(row.about.split(" ")[0], words.other_alert)
    return [template.format(venue=_one_line(row.venue) or words.a_venue)]


_DETAILS: Mapping[str, Callable[[Notification, Language], list[str | None]]] = {
    "booked": _lateness,
    "waitlisted": _place,
    "failed": _reason,
    "warned": _problem,
    "reminder": _limit,
    "alert": _alert,
}


def _say(words: Language, detail: str, value: object) -> str | None:
    """Return a sentence with its value, or None if the value is unknown."""
    return None if value is None else words.details[detail].format(value)


def _warning(row: Notification, words: Language) -> str:
    """Return what is wrong and what to do. The hour of a moved class is the only part of the stored warning in it."""
    template = words.warnings.get(row.about, words.other_warning)
    hour = re.search(r"\b([01]\d|2[0-3]):[0-5]\d\b", row.warning or "", re.ASCII)
    if "{hour}" in template and not hour:
        return words.other_warning
    return template.format(hour=hour.group() if hour else "")


def _describe_class(row: Notification, words: Language) -> str:
    """Return the class, its venue and when it begins, on the venue's clock."""
    begins = _instant(row.expires_at, row, words)
    name, venue = _one_line(row.class_name) or words.a_class, _one_line(row.venue) or words.a_venue
    return words.what.format(class_name=name, venue=venue, begins=begins or "").rstrip(", ")


def _instant(instant: datetime | None, row: Notification, words: Language) -> str | None:
    """Return the weekday, the day and the hour on the venue's clock; with "UTC" if its zone is unknown."""
    if instant is None:
        return None
    try:
        local, zone = instant.astimezone(ZoneInfo(row.timezone or "")), ""
    except (ValueError, OSError, LookupError):
        local, zone = instant.astimezone(UTC), " UTC"
    day = words.day.format(weekday=words.weekdays[local.weekday()], date=local.day, month=words.months[local.month - 1])
    return words.at.format(day=day, hour=f"{local:%H:%M}") + zone


def _duration(ms: int, words: Language) -> str:
    if abs(ms) < _SECOND:
        return f"{ms} ms"
    if abs(ms) < _SECONDS_UNTIL:
        return f"{ms / _SECOND:.1f} s".replace(".", words.comma)
    return f"{ms // _MINUTE} min"


def _one_line(name: str | None) -> str:
    """Return a name in one line of at most NAME_LENGTH characters, without characters that cannot be printed."""
    printable = "".join(one if one.isprintable() else " " for one in name or "")
    line = " ".join(printable.split())
    return line if len(line) <= NAME_LENGTH else f"{line[: NAME_LENGTH - 1]}…"
