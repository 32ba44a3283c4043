"""The story of ``make demo``: four venues, six openings, a killed run, and at its end what both sides say."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
from rich.console import Console

from prebooking.local.bell import bell_tower
from prebooking.local.box import add_box, log_in
from prebooking.local.demo.checker import QUESTIONS, BothSides, read_rows
from prebooking.local.demo.report import lateness_plot, members_table
from prebooking.local.function import Function, told
from prebooking.local.scenario import AHEAD, AT_ONCE, BOX, FULL, LEFT_BEHIND, SLOW, add_venues, prebook
from prebooking.local.stack import Stack, local_stack
from prebooking.local.venue.twin import HANG, CallPlan

SLOWNESS = 5.6  # seconds the slow venue takes: called 3 s after the trigger, it acts after the guard of 8 s
LAST_TRIGGERS = 3  # that may be needed to bring everything to an end

_INTRODUCTION = """\
A hot class fills seconds after its booking opens. Members of four gyms asked
for theirs days ahead; this books them at that instant, and never twice.

On this machine now: a real Postgres, Supabase's RPC in front of it, and the
function in a process of its own. Only the venues are made up. They keep a
ledger of every call, and book a wish twice if somebody sends it twice.
"""
_KILLED = """\
  Ada and Ben want to swim. The function called the venue for Ada, and was
  killed (kill -9) before it had the answer; so the cron got {answer}.
  Ada has a place, and the database does not know. Ben was never called.
  To call again blindly could book Ada twice. So both rows stay with the dead
  run for {lease:.0f} s, and then the venue is asked. (That run had 1 s from call to
  call instead of 50 ms, so that it could be killed between the two.)
"""
_OPENING = """\
  32 more members. Yoga is open already; rowing, boxing, crossfit and spinning
  open in {ahead:.0f} s. The bell, in the database, calls the function 3 s
  before they do (with a stand-in for pg_net); the function takes the rows, and
  holds them until the very instant. The cron comes at the same time, and finds
  nothing left. Rowing has 8 places and a waiting list of 2, for 12 members.
  Crossfit is at a box of AimHarder's, with 3 places for 4 members, each booked
  with a login of their own; Fay's is old, and is refreshed while she waits.
  Spinning's venue takes {slowness} s to answer; the function hangs up after 8 s in
  all: the platform would kill it after 10 s.
"""
_IN_DOUBT = """\
  {doubtful} rows are in doubt: the dead run's, and those of spinning, which its
  venue booked {after}. They are left alone for 30 s, in
  case a call is still under way; the demo ends that by hand, in the database.
  The next run asks the venue about each. Who has a place is reconciled. Ben
  has none, so he is called now:
"""
_SHORTEN = """
update public.prebookings set claimed_until = clock_timestamp(), turn_until = clock_timestamp()
where status = 'pending' and claimed_by is not null
"""
_LEASE = """
select extract(epoch from max(claimed_until) - clock_timestamp())::float
from public.prebookings where status = 'pending'
"""
_HOST, _BOX_ID = "forge.aimharder.com", 10_584
_OLD_LOGIN = (
    "update public.member_sessions set refreshed_at = clock_timestamp() - interval '21 min' where user_email = %s"
)
_RUNS = "select summary from public.prebooking_runs where opened_at > %s order by opened_at"
_OPEN_RUNS = "select count(*) from public.prebooking_runs where opened_at > %s and closed_at is null"
_CLOSED = "select max(closed_at) from public.prebooking_runs"
_PENDING = "select count(*) from public.prebookings where status = 'pending'"


@dataclass(frozen=True, slots=True)
class Demo:
    """The story, a method a chapter."""

    stack: Stack
    function: Function
    cron: ThreadPoolExecutor  # its calls
    console: Console

    def play(self, doomed: Function) -> None:
        """Play all of it; every prebooking has an end then, or something is wrong."""
        add_venues(self.stack.connection, ["Harbour", "Old Mill", "Station"])
        log_in(self.stack, add_box(self.stack, BOX.venue, host=_HOST, box_id=_BOX_ID), _HOST, BOX.emails)
        self.stack.connection.execute(_OLD_LOGIN, [BOX.emails[0]])
        self.a_run_is_killed(doomed)
        self.the_bell_rings()
        self.the_venue_is_asked()

    def a_run_is_killed(self, doomed: Function) -> None:
        """Kill a run that holds two rows, one of which the venue has booked."""
        self.console.print("1. A run is killed in the middle of a call", style="bold")
        prebook(self.stack, [LEFT_BEHIND])
        self.stack.twin.script("ada@example.com", CallPlan(answer=HANG))
        call = self.cron.submit(doomed.trigger)
        self._until(lambda: bool(self.stack.ledger.bookings()), "Ada's place")
        doomed.kill()
        answer = "none either" if call.exception() else f"HTTP {call.result().status_code}"
        self.console.print(_KILLED.format(answer=answer, lease=self._ask(_LEASE)))

    def the_bell_rings(self) -> None:
        """Let the bell call the function in time for everybody who is left, and the cron besides."""
        self.console.print("2. Four classes open: the bell rings, and the cron comes too", style="bold")
        for email in SLOW.emails:
            self.stack.twin.script(email, CallPlan(delay_before=SLOWNESS))
        self.console.print(_OPENING.format(slowness=SLOWNESS, ahead=FULL.ahead))
        secret = self.stack.environment["CRON_SECRET"]
        with bell_tower(self.stack.postgres.dsn(), url=self.function.url, secret=secret):
            began = prebook(self.stack, [AT_ONCE, FULL, AHEAD, BOX, SLOW])
            opens = began.timestamp() + FULL.ahead
            cron = self.cron.submit(self._come_at, opens - 2.5)
            self._watch(cron, opens, lambda: not self._ask(_OPEN_RUNS, began))
        for (summary,) in self.stack.connection.execute(_RUNS.encode(), [began]):
            self.console.print(f"  the bell: {told(summary)}")
        self.console.print(f"  the cron: {told(cron.result().json())}\n")

    def _come_at(self, instant: float) -> httpx.Response:
        time.sleep(max(0.0, instant - time.time()))
        return self.function.trigger()

    def the_venue_is_asked(self) -> None:
        """Let the next run find out what became of what is in doubt."""
        self.console.print("3. What is in doubt is asked about", style="bold")
        self._until(lambda: len(self._spinning()) == len(SLOW.emails), "spinning's places")
        hung_up = self._ask(_CLOSED)
        after = "after the function had hung up" if max(self._spinning()) > hung_up else "in time after all"
        self.console.print(_IN_DOUBT.format(doubtful=self._ask(_PENDING), after=after))
        for _ in range(LAST_TRIGGERS):
            if self._ask(_PENDING):
                self.stack.connection.execute(_SHORTEN)
                self.console.print(f"  the cron: {told(self.function.trigger().json())}")

    def judge(self) -> int:
        """Show both sides; 0 if they agree."""
        both = BothSides(read_rows(self.stack.connection), self.stack.ledger)
        self.console.print("\nEvery member, in the order of the line", style="bold")
        self.console.print(members_table(both))
        self.console.print("  * nobody lived to write it down: when the call reached the venue\n")
        self.console.print("When the calls left that waited for an opening: one every 50 ms", style="bold")
        self.console.print(lateness_plot(both))
        self.console.print("\nThe venues' ledger and the database, side by side", style="bold")
        complaints = [complaint for question in QUESTIONS for complaint in self._answer(question, both)]
        verdict = f"They disagree, {len(complaints)} times." if complaints else "They agree."
        self.console.print(f"\n{verdict}", style="bold red" if complaints else "bold green")
        return 1 if complaints else 0

    def _answer(self, question: str, both: BothSides) -> list[str]:
        complaints = list(QUESTIONS[question](both))
        self.console.print(f"  {'NO ' if complaints else 'yes'}  {question}", style="red" if complaints else "")
        for complaint in complaints:
            self.console.print(f"         {complaint}")
        return complaints

    def _watch(self, cron: Future[httpx.Response], opens: float, is_over: Callable[[], bool]) -> None:
        """Print the progress until all is over: in one line that changes on a terminal, else a line per second."""
        moving = self.console.is_terminal
        with self.console.status("", spinner="line") as line:
            while not (cron.done() and time.time() > opens and is_over()):
                time.sleep(0.1 if moving else 1.0)
                calls = sum(arrival.books for arrival in self.stack.ledger.arrivals())
                places = len(self.stack.ledger.bookings())
                said = f"{time.time() - opens:+5.1f} s from the opening; calls: {calls}, places given: {places}"
                line.update(said) if moving else self.console.print(f"  {said}")

    def _until(self, what: Callable[[], bool], name: str) -> None:
        if not self.stack.ledger.wait_for(what, seconds=20):
            raise TimeoutError(f"{name}: not in the ledger after 20 s")

    def _spinning(self) -> list[datetime]:
        return [place.at for place in self.stack.ledger.bookings() if place.class_id == SLOW.class_id]

    def _ask(self, question: str, *about: Any) -> Any:
        (answer,) = self.stack.connection.execute(question.encode(), about).fetchone() or (None,)
        return answer


def main() -> int:
    """Play it; 0 if ledger and database agree, 1 if they do not."""
    console = Console(width=None if sys.stdout.isatty() else 80, markup=False, highlight=False)
    console.print(_INTRODUCTION)
    with ThreadPoolExecutor(3) as cron, local_stack() as stack:
        try:
            wrong = _played(stack, cron, console).judge()
        except Exception:
            _show_log(stack, console)
            raise
        if wrong:
            _show_log(stack, console)
        else:
            console.print("Next: `make dev` leaves all of this running; docs/deploy.md says how to deploy it.")
        return wrong


def _played(stack: Stack, cron: ThreadPoolExecutor, console: Console) -> Demo:
    with stack.function(LEAD_SECONDS="3") as function, stack.function(STAGGER_MS="1000") as doomed:
        for instance in (function, doomed):
            instance.ready()
        demo = Demo(stack, function, cron, console)
        demo.play(doomed)
    return demo


def _show_log(stack: Stack, console: Console) -> None:
    console.print("\nWhat the function has logged:", *stack.log, sep="\n", soft_wrap=True)
