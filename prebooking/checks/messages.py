"""The check of the messages: those that were given up, and the channels that do not take them."""

from __future__ import annotations

from collections.abc import Iterator

from prebooking.checks.check import Check, Fine, Found, fault
from prebooking.database.overview import Health
from prebooking.local_time import format_duration


def _look_at_messages(health: Health) -> Iterator[Found]:
    messages = health.messages
    yield from (fault("unreadable", sentence=sentence) for sentence in messages.failing.unreadable)
    if messages.dead:
        codes = ", ".join(f"{count} {code}" for code, count in sorted(messages.dead.items()))
        yield fault("dead", dead=sum(messages.dead.values()), codes=codes)
    for one in messages.failing:
        words = {"kind": one.kind, "whose": one.user_email or "the operator", "failure": one.failure, "id": one.id}
        yield fault("failing", since=f"{format_duration(health.now - one.failed_at)} ago", **words)
    if not messages.channels:
        yield Fine("there is no channel, so nobody is told (docs/notifications.md)")
    elif not messages.dead and not messages.failing and not messages.failing.unreadable:
        alerts = "" if messages.alerts else "; no channel tells the operator about alerts (docs/operate.md)"
        yield Fine(f"{messages.waiting} waiting, none given up{alerts}")


MESSAGES: Check[Health] = Check(
    "messages",
    lambda observations: observations.health,
    _look_at_messages,
    {
        "dead": "{dead} were given up in the last day ({codes}): look at the failing channels in"
        " `prebooking notify list`, and send a test with `prebooking notify test`",
        "failing": "the {kind} channel of {whose} did not take its last message {since} ({failure}): correct its"
        " settings, or remove it: prebooking notify remove {id}",
        "unreadable": "{sentence}",
    },
)
