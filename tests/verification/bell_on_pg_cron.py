"""``make bell``: runs the bell on the real pg_cron for two minutes, and checks that every opening is booked in time.

Vault and pg_net are imitated. Of four requests one is lost and one arrives twice, because pg_net guarantees no more.
"""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import psycopg
from rich.console import Console
from rich.table import Table

from prebooking.database.bell import BellState, find_bell_faults
from prebooking.local.bell import SECRET_NAME, STAND_INS_BUT_PG_CRON, PgNet
from prebooking.local.postgres import SUPERUSER, LocalPostgres
from prebooking.local.stack import Stack, local_stack
from tests.support.stacks import ends, opening

LEAD = 3.0  # seconds
PROMISED_MS = 2000
MEMBERS = 3  # per opening
OPENINGS = (4.5, 5, 17.5, 31, 44.25, 57, 59.5, 60, 61, 62, 63, 70.1, 95, 110)  # seconds after the first run begins

_CONTROL = "/usr/share/postgresql/{}/extension/pg_cron.control"  # on Debian and Ubuntu
_DELIVERIES = (1, 0, 1, 2)
_SETTINGS = {
    "shared_preload_libraries": "pg_cron",
    "cron.database_name": "postgres",
    "cron.use_background_workers": "on",  # so that no password is needed
    "max_worker_processes": "20",
}
_LATENESS = (
    "select lateness_ms from public.prebookings where id = any(%s) order by lateness_ms desc nulls first limit 1"
)
_RINGS = "select max(tries) from public.prebooking_bell_triggered where id = any(%s)"


@dataclass(slots=True)
class BellOpening:
    """One class of this run: when it opens, its rows, and how often the bell rang for it."""

    at: float  # on the wall clock
    rows: list[UUID]
    rings: int | None = None
    late_ms: int | None = None
    problems: list[str] = field(default_factory=list)


def find_server() -> Path | None:
    """Return the binaries of the newest installed server that has pg_cron."""
    servers = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdecimal()]
    having = [path for path in servers if Path(_CONTROL.format(path.parent.name)).exists()]
    return max(having, key=lambda path: int(path.parent.name), default=None)


@contextmanager
def sending(dsn: str) -> Iterator[None]:
    """Run the imitation of pg_net, which loses and repeats requests."""
    net = PgNet(dsn, deliveries=itertools.cycle(_DELIVERIES).__next__)
    thread = threading.Thread(target=net.run, name="pg_net", daemon=True)
    thread.start()
    try:
        yield
    finally:
        net.stop()
        thread.join(10)


def switch_on(stack: Stack, url: str) -> float:
    """Install the extensions as Supabase does, switch the bell on, and return when its first run begins."""
    with psycopg.connect(stack.postgres.dsn(user=SUPERUSER), autocommit=True) as superuser:
        superuser.execute("create extension pg_cron")
        superuser.execute("grant usage on schema cron to postgres")
    stack.connection.execute(STAND_INS_BUT_PG_CRON.encode())
    stack.connection.execute("select vault.create_secret(%s, %s)", [stack.environment["CRON_SECRET"], SECRET_NAME])
    if time.time() % 60 > 50:
        time.sleep(60 - time.time() % 60 + 1)
    stack.connection.execute("select public.prebooking_bell_on(%s)", [url])
    return time.time() // 60 * 60 + 60


def run(stack: Stack, start: float) -> list[BellOpening]:
    """Add prebookings for each opening, and read its rings shortly after it."""
    openings = [
        BellOpening(start + after, opening(stack, MEMBERS, ahead=start + after - time.time())) for after in OPENINGS
    ]
    for each in openings:
        time.sleep(max(each.at + 0.25 - time.time(), 0))
        (each.rings,) = stack.connection.execute(_RINGS, [each.rows]).fetchone() or (None,)
    time.sleep(max(start + 122 - time.time(), 0))  # the second run is over, and the third has noted both
    return openings


def check(stack: Stack, openings: list[BellOpening]) -> list[str]:
    """Fill in the result of each opening; return all other faults."""
    booked = {act.prebooking_id for act in stack.ledger.bookings()}
    for each in openings:
        (each.late_ms,) = stack.connection.execute(_LATENESS, [each.rows]).fetchone() or (None,)
        if ends(stack, each.rows) != {("completed", "booked")}:
            each.problems.append("not booked")
        if missing := [row for row in each.rows if str(row) not in booked]:
            each.problems.append(f"{len(missing)} not on the venue's ledger")
        if each.late_ms is None or not 0 <= each.late_ms <= PROMISED_MS:
            each.problems.append("late")
    (status,) = stack.connection.execute("select public.prebooking_bell_status_v1()").fetchone() or ({},)
    state = BellState.model_validate(status)
    # Some requests are lost on purpose.
    wrong = [fault for fault in find_bell_faults(state) if "the last ring" not in fault]
    wrong += [f"only {len(state.runs)} runs are noted"] * (len(state.runs) < 2)
    return wrong + ["booked twice: " + prebooking for prebooking in stack.ledger.double_bookings()]


def show(openings: list[BellOpening], start: float) -> None:
    """Print one line per opening."""
    table = Table("opens at", "members", "rings", "late (ms)", "", title="The bell on the real pg_cron")
    for each in openings:
        at = f"minute {int(each.at - start) // 60 + 1}, :{(each.at - start) % 60:05.2f}"
        table.add_row(
            at, str(len(each.rows)), str(each.rings or "-"), str(each.late_ms), "; ".join(each.problems) or "booked"
        )
    Console().print(table)
    sys.stdout.write("Only the bell invokes the function. -: an earlier invocation took the rows.\n")


def main() -> int:
    """Run the bell for two minutes, and return the exit status."""
    server = find_server()
    if server is None:
        sys.stdout.write("make bell: skipped, no server with pg_cron: apt-get install postgresql-15-cron (Debian 12)\n")
        return 0
    sys.stdout.write(f"Two minutes of pg_cron on {server.parent}, from the next minute on.\n")
    with (
        local_stack(server=LocalPostgres(server, _SETTINGS)) as stack,
        stack.function(LEAD_SECONDS=f"{LEAD:g}") as function,
    ):
        start = switch_on(stack, function.ready().url)
        with sending(stack.postgres.dsn()):
            openings = run(stack, start)
        wrong = check(stack, openings)
        stack.connection.execute("select public.prebooking_bell_off()")
    show(openings, start)
    sys.stdout.writelines(f"{line}\n" for line in wrong)
    return int(bool(wrong) or any(each.problems for each in openings))


if __name__ == "__main__":
    sys.exit(main())
