"""The messages to the members of the demo: a channel for each, and a check that each got one message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle
from typing import Any

import psycopg
from rich.table import Table

from prebooking.channels.english import ENGLISH
from prebooking.local.demo.checker import PrebookingRow
from prebooking.local.inbox import Inbox, ReceivedMessage

_CHANNEL = """
insert into public.notification_channels (user_email, kind, address, events)
values (%s, %s, %s, '{booked,waitlisted,failed}')
"""


def add_channels(connection: psycopg.Connection[Any], emails: Iterable[str]) -> None:
    """Add a channel per member: a mail to every second one, and a topic of ntfy for the others."""
    for email, kind in zip(emails, cycle(("mail", "ntfy")), strict=False):
        connection.execute(_CHANNEL, [email, kind, email if kind == "mail" else email.partition("@")[0]])


def messages_table(rows: Sequence[PrebookingRow], inbox: Inbox) -> Table:
    """Return a table of the messages, in the order of the queue."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("member", "by"):
        table.add_column(heading, no_wrap=True)
    table.add_column("message")
    for row in rows:
        for message in _messages_to(row, inbox):
            table.add_row(row.member, message.how, message.text)
    return table


def each_member_was_told_once(rows: Sequence[PrebookingRow], inbox: Inbox) -> Iterator[str]:
    """Find settled rows that were not told exactly once, or not as they ended, and messages about no row."""
    for row in rows:
        messages = _messages_to(row, inbox)
        if len(messages) != 1:
            yield f"{row.name} was told {len(messages)} times"
        elif not _fits(row, messages[0]):
            yield f"{row.name} ended as {row.outcome}, and was told: {messages[0].text}"
    about = Counter(id(message) for row in rows for message in _messages_to(row, inbox))
    for message in inbox.messages():
        if inbox.deliveries[message.id] != 1:
            yield f"a message to {message.to} arrived {inbox.deliveries[message.id]} times"
        if not about[id(message)]:
            yield f"a message to {message.to} is about no prebooking"


def _messages_to(row: PrebookingRow, inbox: Inbox) -> list[ReceivedMessage]:
    """Return the messages that the row's member received about its class."""
    addresses = (row.user_email, row.user_email.partition("@")[0])
    return [one for one in inbox.messages() if one.to in addresses and f"{row.class_name} at " in one.text]


def _fits(row: PrebookingRow, message: ReceivedMessage) -> bool:
    """Return whether the message has the sentences of the row's end, and no others."""
    outcome = str(row.outcome)
    event = "failed" if row.status == "failed" else outcome if outcome in ENGLISH.events else "booked"
    reason = ENGLISH.reasons[outcome] if event == "failed" else ""
    return message.text.startswith(ENGLISH.events[event].partition("{what}")[0]) and reason in message.text
