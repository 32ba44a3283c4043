"""What a message says, made from the facts of a notification when it is sent."""

from __future__ import annotations

from dataclasses import dataclass

from prebooking.database.notifications import Notification


@dataclass(frozen=True, slots=True)
class Text:
    """The subject line and the sentences of a message."""

    subject: str
    text: str


def compose(notification: Notification) -> Text:
    """Return what a message says. Unknown values never raise an error."""
    what = notification.event.replace("_", " ")
    where = notification.venue or "prebooking"
    return Text(f"{where}: {what}", f"{notification.class_name or 'Your class'} at {where}: {what}.")
