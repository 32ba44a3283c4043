"""``make demo``: four venues, six openings and a killed run; then it compares the database with the venues' ledger."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
from rich.console import Console

from prebooking.local.bell import run_bell
from prebooking.local.box import add_box, log_in
from prebooking.local.demo.checker import QUESTIONS, BothSides, read_rows
from prebooking.local.demo.messages import add_channels, each_member_was_told_once, messages_table
from prebooking.local.demo.report import lateness_plot, members_table
from prebooking.local.function import UPKEEP, Function, format_summary
from prebooking.local.scenario import AHEAD, AT_ONCE, BOX, FULL, LEFT_BEHIND, SLOW, add_venues, prebook
from prebooking.local.stack import Stack, local_stack
from prebooking.local.venue.twin import HANG, CallPlan

SLOWNESS = 5.6  # seconds of the slow venue: called 3 s after the trigger, it acts after the guard of 8 s
LAST_TRIGGERS = 3  # triggers after which every row must be settled

_INTRODUCTION = """\
A popular class is full seconds after its booking opens. Members of four gyms
added their prebookings days before. The function books each of them at the
opening, and none of them twice.

On this machine there are now: a real Postgres, an imitation of Supabase's RPC,
and the function in its own process. Only the venues are simulated. They write
every call to a ledger, and book a prebooking twice if it is sent twice.
"""
_KILLED = """\
  Ada and Ben have prebooked swimming. The function sent Ada's call, and was
  killed (kill -9) before the answer arrived; so the cron got {answer}.
  Ada has a place, but her row is still pending. Ben's call was never sent.
  Sending Ada's call again could book her twice. So both rows stay leased to
  the killed run for {lease:.0f} s, and then the venue is queried. (That run waited
  1 s between two calls instead of 50 ms, so that it could be killed there.)
"""
_OPENING = """\
  32 more prebookings are added. Yoga is open already; rowing, boxing, crossfit
  and spinning open in {ahead:.0f} s. The bell, a trigger inside the database, calls
  the function 3 s before (here with a stand-in for pg_net). The function claims
  the rows and holds them until the opening. The cron calls too, and claims
  nothing. Rowing has 8 places and a waiting list of 2, for 12 members.
  Crossfit is at an AimHarder box with 3 places for 4 members, each booked with
  their own login. Spinning's venue answers after {slowness} s, but the function cuts
  calls off 8 s after the trigger, because the platform kills it after 10 s.
"""
_IN_DOUBT = """\
  {in_doubt} rows are in doubt: those of the killed run, and those of spinning, which
  the venue booked {after}. Their leases last 30 s, because
  a call may still reach the venue; the demo ends the leases in the database.
  The next run queries the venue about each row. Rows with a place are settled
  as reconciled. Ben has no place, so his call is sent now:
"""
_END_LEASES = """
update public.prebookings set claimed_until = clock_timestamp(), turn_until = clock_timestamp()
where status = 'pending' and claimed_by is not null
"""
_LEASE = """
select extract(epoch from max(claimed_until) - clock_timestamp())::float
from public.prebookings where status = 'pending'
"""
_HOST, _BOX_ID = "forge.aimharder.com", 10_584
_RUNS = "select summary from public.prebooking_runs where opened_at > %s order by opened_at"
_OPEN_RUNS = "select count(*) from public.prebooking_runs where opened_at > %s and closed_at is null"
_CLOSED = "select max(closed_at) from public.prebooking_runs"
_WAITING_MESSAGES = "select count(*) from public.notifications where status = 'waiting'"
_TOLD = "each member was told once, as it ended"
_PENDING = "select count(*) from public.prebookings where status = 'pending'"


@dataclass(frozen=True, slots=True)
class Demo:
    """The steps of the demo, one method per step."""

    stack: Stack
    function: Function
    cron: ThreadPoolExecutor  # for the calls of the cron
    console: Console

    def run(self, doomed: Function) -> None:
        """Run all steps. Afterwards every prebooking should be settled."""
        add_venues(self.stack.connection, ["Harbour", "Old Mill", "Station"])
        log_in(self.stack, add_box(self.stack, BOX.venue, host=_HOST, box_id=_BOX_ID), _HOST, BOX.emails)
        openings = (LEFT_BEHIND, AT_ONCE, FULL, AHEAD, BOX, SLOW)
        add_channels(self.stack.connection, [email for opening in openings for email in opening.emails])
        self.kill_a_run(doomed)
        self.let_classes_open()
        self.settle_rows_in_doubt()
        self.send_messages()

    def kill_a_run(self, doomed: Function) -> None:
        """Kill a run that holds two rows, one of which the venue has booked."""
        self.console.print("1. A run is killed in the middle of a call", style="bold")
        prebook(self.stack, [LEFT_BEHIND])
        self.stack.twin.script("ada@example.com", CallPlan(answer=HANG))
        call = self.cron.submit(doomed.trigger)
        self._wait_until(lambda: bool(self.stack.ledger.bookings()), "Ada's place")
        doomed.kill()
        answer = "none either" if call.exception() else f"HTTP {call.result().status_code}"
        self.console.print(_KILLED.format(answer=answer, lease=self._query(_LEASE)))

    def let_classes_open(self) -> None:
        """Let the bell and the cron call the function for all other openings."""
        self.console.print("2. Four classes open: the bell rings, and the cron calls too", style="bold")
        for email in SLOW.emails:
            self.stack.twin.script(email, CallPlan(delay_before=SLOWNESS))
        self.console.print(_OPENING.format(slowness=SLOWNESS, ahead=FULL.ahead))
        secret = self.stack.environment["CRON_SECRET"]
        with run_bell(self.stack.postgres.dsn(), url=self.function.url, secret=secret):
            began = prebook(self.stack, [AT_ONCE, FULL, AHEAD, BOX, SLOW])
            opens = began.timestamp() + FULL.ahead
            cron = self.cron.submit(self._trigger_at, opens - 2.5)
            self._show_progress(cron, opens, lambda: not self._query(_OPEN_RUNS, began))
        for (summary,) in self.stack.connection.execute(_RUNS.encode(), [began]):
            self.console.print(f"  the bell: {format_summary(summary)}")
        self.console.print(f"  the cron: {format_summary(cron.result().json())}\n")

    def _trigger_at(self, instant: float) -> httpx.Response:
        time.sleep(max(0.0, instant - time.time()))
        return self.function.trigger()

    def settle_rows_in_doubt(self) -> None:
        """Let the next run query the venue about rows in doubt."""
        self.console.print("3. The venue is queried about rows in doubt", style="bold")
        self._wait_until(lambda: len(self._spinning_bookings()) == len(SLOW.emails), "spinning's places")
        closed = self._query(_CLOSED)
        after = "after the run had ended" if max(self._spinning_bookings()) > closed else "before the run ended"
        self.console.print(_IN_DOUBT.format(in_doubt=self._query(_PENDING), after=after))
        for _ in range(LAST_TRIGGERS):
            if self._query(_PENDING):
                self.stack.connection.execute(_END_LEASES)
                self.console.print(f"  the cron: {format_summary(self.function.trigger().json())}")

    def send_messages(self) -> None:
        """Let upkeep send the messages that were stored with the outcomes."""
        for _ in range(LAST_TRIGGERS):
            if self._query(_WAITING_MESSAGES):
                self.function.trigger(UPKEEP)

    def compare(self) -> int:
        """Show the database beside the ledger; return 0 if they agree, 1 if they do not."""
        both = BothSides(read_rows(self.stack.connection), self.stack.ledger)
        self.console.print("\nEvery member, in the order of the queue", style="bold")
        self.console.print(members_table(both))
        self.console.print("  * from the ledger, because the run was killed before it stored the time\n")
        self.console.print("First calls after their opening: one every 50 ms", style="bold")
        self.console.print(lateness_plot(both))
        self.console.print("\nThe venues' ledger and the database, side by side", style="bold")
        answers = {question: ask(both) for question, ask in QUESTIONS.items()}
        complaints = [complaint for question in answers for complaint in self._check(question, answers[question])]
        complaints += self._check(_TOLD, each_member_was_told_once(both.rows, self.stack.inbox))
        self.console.print("\nWhat each member was told, by mail or ntfy", style="bold")
        self.console.print(messages_table(both.rows, self.stack.inbox))
        verdict = f"They disagree, {len(complaints)} times." if complaints else "They agree."
        self.console.print(f"\n{verdict}", style="bold red" if complaints else "bold green")
        return 1 if complaints else 0

    def _check(self, question: str, answers: Iterator[str]) -> list[str]:
        complaints = list(answers)
        self.console.print(f"  {'NO ' if complaints else 'yes'}  {question}", style="red" if complaints else "")
        for complaint in complaints:
            self.console.print(f"         {complaint}")
        return complaints

    def _show_progress(self, cron: Future[httpx.Response], opens: float, is_over: Callable[[], bool]) -> None:
        """Print the progress until all runs are over: on a terminal in one changing line, else in a line per second."""
        moving = self.console.is_terminal
        with self.console.status("", spinner="line") as line:
            while not (cron.done() and time.time() > opens and is_over()):
                time.sleep(0.1 if moving else 1.0)
                calls = sum(arrival.books for arrival in self.stack.ledger.arrivals())
                places = len(self.stack.ledger.bookings())
                progress = f"{time.time() - opens:+5.1f} s from the opening; calls: {calls}, places given: {places}"
                line.update(progress) if moving else self.console.print(f"  {progress}")

    def _wait_until(self, condition: Callable[[], bool], name: str) -> None:
        if not self.stack.ledger.wait_for(condition, seconds=20):
            raise TimeoutError(f"{name}: not in the ledger after 20 s")

    def _spinning_bookings(self) -> list[datetime]:
        return [booking.at for booking in self.stack.ledger.bookings() if booking.class_id == SLOW.class_id]

    def _query(self, statement: str, *parameters: Any) -> Any:
        (value,) = self.stack.connection.execute(statement.encode(), parameters).fetchone() or (None,)
        return value


def main() -> int:
    """Run the demo; return 0 if ledger and database agree, 1 if they do not."""
    console = Console(width=None if sys.stdout.isatty() else 80, markup=False, highlight=False)
    console.print(_INTRODUCTION)
    with ThreadPoolExecutor(3) as cron, local_stack() as stack:
        try:
            wrong = run_demo(stack, cron, console).compare()
        except Exception:
            _show_log(stack, console)
            raise
        if wrong:
            _show_log(stack, console)
        else:
            console.print("Next: `make dev` keeps all of this running; docs/deploy.md explains how to deploy.")
        return wrong


def run_demo(stack: Stack, cron: ThreadPoolExecutor, console: Console) -> Demo:
    """Play the demo on this stack. ``cron`` makes the calls of the cron, three at a time."""
    with stack.function(LEAD_SECONDS="3") as function, stack.function(STAGGER_MS="1000") as doomed:
        for instance in (function, doomed):
            instance.ready()
        demo = Demo(stack, function, cron, console)
        demo.run(doomed)
    return demo


def _show_log(stack: Stack, console: Console) -> None:
    console.print("\nThe function's log:", *stack.log, sep="\n", soft_wrap=True)
