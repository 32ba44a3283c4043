"""``make dev``: runs the local stack until Ctrl-C, with commands to paste, and a ticker in place of cron-job.org."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import httpx

from prebooking.local.box import PASSWORD, add_box
from prebooking.local.dev.timetable import FORGE, GRANITE, SPRINT, ZONE, open_week
from prebooking.local.function import PATH, UPKEEP, Function, format_summary
from prebooking.local.scenario import add_venues
from prebooking.local.stack import Stack, local_stack
from prebooking.local.venue.twin import Protection

MINUTE = 60.0  # seconds
IDLE = "Nothing was due"  # upkeep's message, which the ticker does not print
MEMBER = "ana@example.com"
PLACES = {"rowing": 20, "spinning": 1}

_INVITATION = """
Both functions are running, and so are Postgres, Supabase's RPC and the venues:

- behind your own endpoint (provider webhook): Harbour with the class "rowing"
  (20 places), Old Mill with "spinning" (1 place)
- at an imitation of AimHarder: the boxes Granite, which is added already, and
  Forge, which you add in step 5. Each has a week of classes.

  URL     {url}
  secret  {secret}

To try it, paste these lines into another terminal, each as a whole.

1. Prebook a class whose booking is open already:

{due}

2. Trigger a run, as the cron does (or wait for the ticker below):

{curl}

3. Show the outcome:

{look}

4. Prebook a class that opens at the next full minute; the ticker books it then:

{ahead}

5. Use the command line. In each terminal, first paste the line with its folder
   and this stack's settings. Then prebook a class in four days for a member of a
   box; by the box's rule, its booking opens in two minutes. {member} is the
   only member who has an account there:

{settings}
prebooking venue add {forge} --host {host} --zone {zone} --opens "{rule}"
echo '{password}' | prebooking login {forge} --member {member}
prebooking classes {forge} {day}
prebooking add {forge} {day} {hour} --class {sprint} --member {member}
prebooking list

6. Ask for a class every week, with a second choice, and skip a day. `skip`
   prints the command that undoes it:

prebooking repeat add {forge} {weekday} 18:00 --class WOD --else "19:30 Gymnastics" --member {member}
prebooking skip {skipped} --member {member}
prebooking repeat list

7. Check the state, and run by hand what the cron runs:

prebooking run --dry-run
prebooking run
prebooking status
prebooking doctor
{keep}

8. See it all on the operator's page, which refreshes by itself. Its token is in
   the address, after the #; the page takes it from there and removes it:

{page}

9. Be told: add channels, and look at the inbox, which receives all mails and
   messages: {inbox}

prebooking notify add mail --member {member} --event all
prebooking notify add ntfy my_classes --member ada@example.com --language es
prebooking notify list

The ticker calls both functions {often}, as cron-job.org would. Ctrl-C ends everything.
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
    """Run until Ctrl-C, and return 0. Exits with 1 if the function ends by itself."""
    parser = argparse.ArgumentParser(prog="prebooking.local.dev", description=__doc__)
    parser.add_argument("--every", type=float, default=MINUTE, metavar="SECONDS", help="time between two ticks")
    every = parser.parse_args().every
    _say("Starting Postgres, Supabase's RPC, the venues and the functions ...")
    try:
        with local_stack(protection=Protection.DUPLICATES) as stack, stack.function(log=_log) as function:
            for path in (PATH, UPKEEP):
                _call(function, path)  # a first tick, so that doctor and status report no fault
            add_venues(stack.connection, ["Harbour", "Old Mill"])
            for class_id, places in PLACES.items():
                stack.twin.open_class(class_id, opens_at=stack.twin.now(), capacity=places)
            starts = open_week(stack.twin)
            add_box(stack, GRANITE.name, host=GRANITE.host, box_id=GRANITE.box_id, rule=GRANITE.rule)
            stack.twin.join(MEMBER, PASSWORD)
            _say(_invitation(stack, function, every, starts))
            _tick(stack, function, every)
    except KeyboardInterrupt:
        _say("\nStopped. Everything is removed.")
    return 0


def _invitation(stack: Stack, function: Function, every: float, starts: datetime) -> str:
    """Return the introduction with the lines to paste, which are not wrapped."""
    secret = stack.environment["CRON_SECRET"]
    due = _ASK.format(email="ada@example.com", class_id="rowing", at="now()", venue="Harbour")
    next_minute = "date_trunc('minute', now()) + interval '1 minute'"
    ahead = _ASK.format(email="ben@example.com", class_id="spinning", at=next_minute, venue="Old Mill")
    return _INVITATION.format(
        url=function.url,
        secret=secret,
        due=stack.psql(due),
        curl=_curl(function.url, secret),
        look=stack.psql(_LOOK),
        ahead=stack.psql(ahead),
        settings=_settings(stack),
        forge=FORGE.name,
        host=FORGE.host,
        rule=FORGE.rule,
        zone=ZONE.key,
        sprint=SPRINT,
        member=MEMBER,
        password=PASSWORD,
        day=f"{starts:%Y-%m-%d}",
        hour=f"{starts:%H:%M}",
        weekday=f"{starts + timedelta(days=1):%A}".lower(),
        skipped=f"{starts + timedelta(days=1):%Y-%m-%d}",
        page=stack.page(function),
        inbox=stack.inbox.url,
        keep=_curl(f"{function.address}{UPKEEP}", secret),
        often="at every full minute" if every == MINUTE else f"every {every:g} s",
    )


def _curl(url: str, secret: str) -> str:
    return f'curl -sS -X POST -H "Authorization: Bearer {secret}" {url}'


def _settings(stack: Stack) -> str:
    """Return a shell command that sets the path of the command line and the settings of this stack."""
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in stack.environment.items())
    return f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH" {settings}'


def _tick(stack: Stack, function: Function, every: float) -> NoReturn:
    """Call both functions at second 0 of every minute, or every ``every`` seconds. Ticks during a call are skipped."""
    tick, shown = 0.0, 0
    while True:
        tick = max(tick, time.time() // every * every) + every
        time.sleep(max(0.0, tick - time.time()))
        _say(f"{datetime.now(UTC):%H:%M:%S} tick: {_call(function, PATH)}")
        if (answer := _call(function, UPKEEP)) != IDLE:
            _say(f"{datetime.now(UTC):%H:%M:%S} upkeep: {answer}")
        for message in (messages := stack.inbox.messages())[shown:]:
            _say(f"  {message.how} to {message.to or 'your app'}: {message.text}")
        shown = len(messages)


def _call(function: Function, path: str) -> str:
    """Call one of the functions, and return its answer as one line."""
    try:
        answer = function.trigger(path).json()
        return format_summary(answer) if path == PATH else answer["message"]
    except httpx.HTTPError as exc:
        if function.process.poll() is not None:
            raise SystemExit("The function has ended by itself.") from None
        return f"no answer ({type(exc).__name__})"


def _log(line: str) -> None:
    with suppress(OSError):  # the output may be closed already
        _say(f"  | {line}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")  # in one call, because another thread writes the function's log
    sys.stdout.flush()
