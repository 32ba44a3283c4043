"""``make dev``: the stack, left running, with lines to paste and a ticker in place of cron-job.org."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn
from zoneinfo import ZoneInfo

import httpx

from prebooking.local.box import PASSWORD
from prebooking.local.function import Function, told
from prebooking.local.openings import add_venues
from prebooking.local.stack import Stack, end_on_first_interrupt, local_stack
from prebooking.local.venue import Protection
from prebooking.opening import OpeningRule

MINUTE = 60.0  # seconds
HOST, BOX_ID, ZONE, MEMBER = "forge.aimharder.com", 10_584, ZoneInfo("Europe/Madrid"), "ana@example.com"
PLACES = {"rowing": 20, "spinning": 1}

_INVITATION = """
The function is running, and so are Postgres, Supabase's RPC and two venues:
Harbour with the class "rowing" (20 places), Old Mill with "spinning" (1 place);
and a stand-in for AimHarder with a box that you add yourself, in line 5.

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

5. The command line: a member of a box asks for a class in four days, which
   opens in two minutes, by the box's rule:

{settings}
{command} venue add Forge --host {host} --zone {zone} --opens "4 days before"
echo '{password}' | {command} login Forge --member {member}
{command} classes Forge {day}
{command} add Forge {day} {hour} --member {member}
{command} list

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
            starts = _offer_a_class(stack)
            _say(_invitation(stack, function, every, starts))
            _tick(function, every)
    except KeyboardInterrupt:
        _say("\nStopped. Nothing of it is left.")
    return 0


def _offer_a_class(stack: Stack) -> datetime:
    """Open a box with a class that can be booked in two minutes, by its rule; return its start on the box's clock."""
    stack.twin.open_box(HOST, box_id=BOX_ID, name="Forge")
    stack.twin.join(MEMBER, PASSWORD)
    soon = datetime.now(ZONE).replace(second=0, microsecond=0, tzinfo=None) + timedelta(minutes=2)
    starts, rule = soon + timedelta(days=4), OpeningRule.parse("4 days before")
    opens, day, hour = rule.opening(starts, ZONE), f"{starts:%Y%m%d}", f"{starts:%H:%M}"
    stack.twin.open_class("2001", opens_at=opens, capacity=12, name="WOD", day=day, time=hour)
    return starts


def _invitation(stack: Stack, function: Function, every: float, starts: datetime) -> str:
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
        settings=_settings(stack),
        command=shlex.quote(str(Path(sys.executable).with_name("prebooking"))),
        host=HOST,
        zone=ZONE.key,
        member=MEMBER,
        password=PASSWORD,
        day=f"{starts:%Y-%m-%d}",
        hour=f"{starts:%H:%M}",
        often="at every full minute" if every == MINUTE else f"every {every:g} s",
    )


def _settings(stack: Stack) -> str:
    """Return the line after which the command line works at this stack."""
    names = ("SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY", "SESSION_ENCRYPTION_KEY", "AIMHARDER_TWIN_URL")
    return "export " + " ".join(f"{name}={shlex.quote(stack.environment[name])}" for name in names)


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
