"""``make dev``: the stack, left running, with lines to paste and a ticker in place of cron-job.org."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime
from typing import NoReturn

import httpx

from prebooking.local.function import Function, told
from prebooking.local.openings import add_venues
from prebooking.local.stack import Stack, end_on_first_interrupt, local_stack
from prebooking.local.venue import Protection

MINUTE = 60.0  # seconds
PLACES = {"rowing": 20, "spinning": 1}

_INVITATION = """
The function is running, and so are Postgres, Supabase's RPC and two venues:
Harbour with the class "rowing" (20 places), Old Mill with "spinning" (1 place).

  URL     {url}
  secret  {secret}

To try it, paste these lines into another terminal, each as a whole.

1. Ask for a class whose booking is open already:

{due}

2. Trigger a run, as the cron does (or wait for the ticker below):

{curl}

3. See what became of it:

{look}

4. Ask for one that opens at the next full minute; the ticker books it then:

{ahead}

The ticker calls {often}, as cron-job.org would. Ctrl-C ends everything.
"""
_ASK = (
    "insert into prebookings (venue_id, user_email, booking_data, available_at)"
    " select id, '{email}', jsonb_build_object('class_id', '{class_id}'), {at} from venues where name = '{venue}'"
)
_LOOK = (
    "select user_email, booking_data ->> 'class_id' as class, status, outcome, lateness_ms"
    " from prebookings order by created_at"
)


def main() -> int:
    """Run until Ctrl-C, which is a good end: 0. If the function ends by itself: 1."""
    parser = argparse.ArgumentParser(prog="prebooking.local.dev", description=__doc__)
    parser.add_argument("--every", type=float, default=MINUTE, metavar="SECONDS", help="from tick to tick")
    every = parser.parse_args().every
    end_on_first_interrupt()
    try:
        with local_stack(protection=Protection.DUPLICATES) as stack, stack.function(log=_log) as function:
            function.ready()
            add_venues(stack.connection, ["Harbour", "Old Mill"])
            for class_id, places in PLACES.items():
                stack.twin.open_class(class_id, opens_at=stack.twin.now(), capacity=places)
            _say(_invitation(stack, function, every))
            _tick(function, every)
    except KeyboardInterrupt:
        _say("\nStopped. Nothing of it is left.")
    return 0


def _invitation(stack: Stack, function: Function, every: float) -> str:
    """Return what to paste. No line of it is wrapped by us: each is pasted as a whole."""
    secret = stack.environment["CRON_SECRET"]
    due = _ASK.format(email="ada@example.com", class_id="rowing", at="now()", venue="Harbour")
    next_minute = "date_trunc('minute', now()) + interval '1 minute'"
    ahead = _ASK.format(email="ben@example.com", class_id="spinning", at=next_minute, venue="Old Mill")
    return _INVITATION.format(
        url=function.url,
        secret=secret,
        due=stack.psql(due),
        curl=f'curl -sS -X POST -H "Authorization: Bearer {secret}" {function.url}',
        look=stack.psql(_LOOK),
        ahead=stack.psql(ahead),
        often="at every full minute" if every == MINUTE else f"every {every:g} s",
    )


def _tick(function: Function, every: float) -> NoReturn:
    """Call at second 0 of every minute (or so), for ever; a tick that comes due during a call is left out."""
    tick = 0.0
    while True:
        tick = max(tick, time.time() // every * every) + every
        time.sleep(max(0.0, tick - time.time()))
        try:
            said = told(function.trigger().json())
        except httpx.HTTPError as exc:
            if function.process.poll() is not None:
                raise SystemExit("The function has ended by itself.") from None
            said = f"no answer ({type(exc).__name__})"
        _say(f"{datetime.now(UTC):%H:%M:%S} tick: {said}")


def _log(line: str) -> None:
    _say(f"  | {line}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")  # in one piece: the function's log is written by another thread
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
