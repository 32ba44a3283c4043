"""``make dev``: the stack, left running, with a ticker in place of the cron and what one needs to play with it."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from datetime import timedelta

import httpx

from prebooking.local.function import Function
from prebooking.local.openings import add_venues
from prebooking.local.stack import Stack, local_stack

VENUE, CLASS, PLACES = "Old Mill", "yoga", 2
MINUTE = 60

_DUE = """
insert into prebookings (venue_id, user_email, booking_data, available_at)
select id, '{email}', '{{\\"class_id\\": \\"{class_id}\\"}}', now() + interval '{ahead} seconds' from venues
"""
_HELLO = """
The function listens; Ctrl-C ends everything, and nothing is left behind.

Ask for a class that is open, here {class_id} at {venue} with {places} places (or in a minute: use {later} seconds):

{insert}

Trigger a run, as the cron does (a ticker here does it too, every minute at second 0):

curl -X POST -H "Authorization: Bearer {secret}" {url}

See what became of it:

{select}
"""


def main() -> None:
    """Run until Ctrl-C."""
    with local_stack() as stack, stack.function(log=_say) as function:
        stack.twin.open_class(CLASS, opens_at=stack.twin.now() - timedelta(hours=1), capacity=PLACES)
        add_venues(stack.connection, [VENUE])
        function.ready()
        _say(_hello(stack, function))
        _tick(function)


def _hello(stack: Stack, function: Function) -> str:
    return _HELLO.format(
        venue=VENUE,
        class_id=CLASS,
        places=PLACES,
        later=MINUTE,
        insert=stack.psql(" ".join(_DUE.format(email="ana@example.com", class_id=CLASS, ahead=0).split())),
        select=stack.psql("select user_email, status, outcome, lateness_ms from prebookings order by created_at"),
        secret=stack.environment["CRON_SECRET"],
        url=function.url,
    )


def _tick(function: Function) -> None:
    """POST at second 0 of every minute; the function's own log says what came of it."""
    while True:
        time.sleep(MINUTE - time.time() % MINUTE)
        with suppress(httpx.HTTPError):
            function.trigger()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
