"""Removing a channel from a mail: once, and with it what waits for it."""

from __future__ import annotations

from uuid import UUID

from tests.support.database import Connection
from tests.support.factories import add_prebooking, add_venue
from tests.support.notifications import ANA, add_channel, claim_rows, stored
from tests.support.questions import ask


def test_only_a_channel_of_mail_is_removed_and_only_once(owner: Connection, service: Connection) -> None:
    mail, ntfy = add_channel(owner, kind="mail"), add_channel(owner, kind="ntfy")
    assert ask(service, "unsubscribe_v1", mail) is True
    assert ask(service, "unsubscribe_v1", mail) is False
    assert ask(service, "unsubscribe_v1", ntfy) is False
    assert owner.execute("select id from public.notification_channels").fetchall() == [(ntfy,)]


def test_messages_that_wait_for_the_channel_are_not_sent(owner: Connection, service: Connection) -> None:
    mail = add_channel(owner, kind="mail")
    row = add_prebooking(owner, add_venue(owner), user_email=ANA)
    owner.execute(
        "update public.prebookings set status = 'completed', outcome = 'booked', settled_at = clock_timestamp()"
        " where id = %s",
        [row],
    )
    assert stored(owner) == [("booked", "")]
    ask(service, "unsubscribe_v1", mail)
    assert claim_rows(service, UUID(int=1)) == []
    assert stored(owner) == []
