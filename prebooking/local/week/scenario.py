"""``make demo-week``: three members ask once, and the functions book their classes for a week."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from textwrap import fill
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import psycopg
from rich.console import Console

from prebooking.bookers.aimharder.seal import Purpose, Seal
from prebooking.bookers.aimharder.site import AimHarderSite
from prebooking.bookers.give_back import give_back
from prebooking.bookers.places import PlaceAccess, open_places
from prebooking.database.places import PlaceStore
from prebooking.database.sessions import SessionStore
from prebooking.http import isolated_client
from prebooking.local.postgres import LocalPostgres, apply_migrations
from prebooking.local.virtual_world import CommittedDatabase
from prebooking.local.week.report import WeekReport
from prebooking.local.week.world import WeekWorld

ZONE = ZoneInfo("Europe/Madrid")
BEGINS = datetime(2027, 3, 21, 12, 0, tzinfo=ZONE)  # a Sunday; the clocks change a week later
ENDS = datetime(2027, 3, 28, 20, 0, tzinfo=ZONE)
HOST, BOX_ID, BOX = "centro.aimharder.com", 10_584, "Box Centro"
PASSWORD = "open sesame, it is Sunday"  # noqa: S105 - of every member at the twin
MEMBERS = ("Ana", "Ben", "Cleo")

_INTRODUCTION = """\
A week at a gym, on a virtual clock: the database, the functions, and the venue
believe that it is March 2027. Booking opens two days before a class, at its
hour. The bell calls the function before each opening, the cron every hour, and
upkeep runs every {upkeep:.0f} minutes. (In production both run every minute. Here their
calls in between would find nothing to do, and the week would take longer.)
"""
_VENUE = """
insert into public.venues (name, provider, host, provider_box_id, timezone, opening_rule)
values (%s, 'aimharder', %s, %s, 'Europe/Madrid', '2 days before') returning id
"""

# What the demo prints for a count of upkeep, by part and count.
_DONE = {
    ("logins", "logged_in"): "{} logged in with remembered passwords",
    ("logins", "refreshed"): "{} logins refreshed",
    ("repeats", "made"): "{} prebookings added for the classes after that",
    ("classes", "changed"): "{} compared with the timetable",
}
_NAMES = {"upkeep": "upkeep", "prebooking_scheduler": "booking opens"}
_WIDTH = 79  # columns
_WARNINGS = """
select class_warning, string_agg(distinct initcap(split_part(user_email, '@', 1)), ', ')
from public.prebookings where status = 'pending' and class_warning not like 'class_not_%' group by 1
"""


def email_of(member: str) -> str:
    """Return a member's address."""
    return f"{member.lower()}@example.com"


class Week:
    """The events of the week, in their order."""

    def __init__(self, world: WeekWorld, console: Console, log: list[str]) -> None:
        self.world, self.console, self.log = world, console, log
        self.world.twin.open_box(HOST, box_id=BOX_ID, name=BOX)
        (venue,) = world.connection.execute(_VENUE, [BOX, HOST, str(BOX_ID)]).fetchone() or (None,)
        self.venue = UUID(str(venue))
        self._warned = set[tuple[str, str]]()
        world.on_summary = self._note_summary

    async def run(self) -> int:
        """Run the week, and return 0 if the database and the venue's ledger agree, 1 if they do not."""
        self._publish("3001", "2027-03-23", "18:00", places=2)
        self._publish("3002", "2027-03-23", "19:30")
        self._publish("3003", "2027-03-25", "18:00")
        self._publish("3004", "2027-03-25", "19:30")
        await self._ask_once()
        await self._at("Mon 20:00", "Ana cannot come on Tuesday after all: she gives her place back.")
        await self._give_back("Ana", "20270323")
        await self._at("Mon 20:05", "Ben is away on Thursday: `prebooking skip 2027-03-25`.")
        await self._call("add_absence_v1", p_id=str(uuid4()), p_user_email=email_of("Ben"), **_days("2027-03-25"))
        await self._at("Mon 21:00", "The gym moves Thursday's WOD from 18:00 to 18:30.")
        self._publish("3003", "2027-03-25", "18:30")
        await self._at("Wed 09:00", "The gym publishes next Tuesday's classes.")
        self._publish("3005", "2027-03-30", "18:00")
        self._publish("3006", "2027-03-30", "19:30")
        await self._at("Sat 23:00", 'The gym renames next Tuesday\'s WOD at 18:00 to "Team Day".')
        self._publish("3005", "2027-03-30", "18:00", name="Team Day")
        await self.world.sleep_until(ENDS)
        return WeekReport(self.world, self.console, zone=ZONE, until=ENDS).show(self.log, secrets=[PASSWORD])

    # the gym

    def _publish(self, class_id: str, day: str, time: str, *, name: str = "WOD", places: int = 10) -> None:
        begins = datetime.fromisoformat(f"{day}T{time}").replace(tzinfo=ZONE)
        known = self.world.twin.classes.get(class_id)
        opens = known.opens_at if known else begins - timedelta(days=2)
        places = known.capacity if known else places
        self.world.twin.open_class(
            class_id, opens_at=opens, capacity=places, name=name, day=day.replace("-", ""), time=time, box=HOST
        )

    # the members

    async def _ask_once(self) -> None:
        for member in MEMBERS:
            self.world.twin.join(email_of(member), PASSWORD)
            await self._log_in(member)
        self._print(
            "Ana, Ben and Cleo log in with `--remember`, and ask once: `prebooking repeat add` for tuesday and thursday"
            " at 18:00. Cleo adds `--else 19:30`."
        )
        for member in MEMBERS:
            later = [{"days": 0, "starts_at": "19:30"}] if member == "Cleo" else []
            for weekday in (2, 4):
                await self._call(
                    "add_repeat_v1",
                    p_id=str(uuid4()),
                    p_venue=str(self.venue),
                    p_user_email=email_of(member),
                    p_weekday=weekday,
                    p_starts_at="18:00",
                    p_booking_data={"class_name": "WOD"},
                    p_later=later,
                    p_last_day=None,
                )

    async def _log_in(self, member: str) -> None:
        """Do what ``prebooking login --remember`` does."""
        email, seal = email_of(member), Seal.of(self.world.settings())
        async with isolated_client(transport=self.world.to_venues) as client:
            login = await AimHarderSite(client, host=HOST, box_id=str(BOX_ID)).login(email, PASSWORD, timeout=10)
        sealed = seal.seal(login.session.as_json(), venue_id=self.venue, member=email)
        kept = seal.seal(
            {"username": email, "password": PASSWORD}, venue_id=self.venue, member=email, purpose=Purpose.PASSWORD
        )
        async with self.world.supabase() as supabase:
            sessions = SessionStore(supabase, instance_id=uuid4(), clock=self.world.clock)
            await sessions.save(
                self.venue, email, sealed, key_id=seal.key_ids[0], version=None, within=10, password=kept
            )

    async def _give_back(self, member: str, day: str) -> None:
        """Do what ``prebooking give-back`` does, after a new login."""
        await self._log_in(member)
        query = "select id from public.prebookings where user_email = %s and booking_data ->> 'day' = %s"
        (row_id,) = self.world.connection.execute(query, [email_of(member), day]).fetchone() or (None,)
        async with self.world.supabase() as supabase:
            sessions = SessionStore(supabase, instance_id=uuid4(), clock=self.world.clock)
            places = PlaceStore(supabase)
            record = await places.find(UUID(str(row_id)), email_of(member), until=self.world.deadline())
            if record.row is None:
                raise RuntimeError(f"{member} has no place: {record.verdict}")
            access = PlaceAccess(self.world.settings(), sessions, self.world.clock, self.world.to_venues)
            async with open_places(record.row.venue, access) as opened:
                await give_back(opened, record.row, booking_id=record.booking_id, late=False, clock=self.world.clock)
            await places.give_back(record.row.id, email_of(member), until=self.world.deadline())

    async def _call(self, function: str, **params: Any) -> Any:
        async with self.world.supabase() as supabase:
            return (await supabase.call(function, params, lambda answer: answer, until=self.world.deadline())).value

    # the clock

    async def _at(self, when: str, event: str) -> None:
        """Let the time pass until the next such weekday and hour, and print what happens then."""
        weekday, hour = when.split()
        instant = self.world.clock.now().astimezone(ZONE)
        while f"{instant:%a %H:%M}" != f"{weekday} {hour}":
            instant += timedelta(minutes=1)
        await self.world.sleep_until(instant)
        self._print(event)

    def _print(self, event: str) -> None:
        when = f"{self.world.clock.now().astimezone(ZONE):%a %d %H:%M}  "
        self.console.print(fill(when + event, _WIDTH, subsequent_indent=" " * (len(when) + 2)))

    def _note_summary(self, name: str, summary: dict[str, Any]) -> None:
        """Print what an invocation did, if it did anything that a member notices."""
        if name == "upkeep":
            counts = summary["parts"]
            done = [words.format(n) for (part, key), words in _DONE.items() if (n := counts.get(part, {}).get(key))]
        else:
            done = [f"{n} {outcome}" for outcome, n in summary["outcomes"].items()]
        if done:
            self._print(f"  {_NAMES[name]}: {', '.join(done)}")
        for warning, members in self.world.connection.execute(_WARNINGS).fetchall():
            if (warning, members) not in self._warned:
                self._warned.add((warning, members))
                self._print(f"  {members} read: {warning}")


def _days(first: str, last: str | None = None) -> dict[str, str]:
    return {"p_first": first, "p_last": last or first}


class _LogLines(logging.Handler):
    """Keeps the lines of the functions' logs, to search them for secrets."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line with all its fields."""
        self._lines.append(f"{record.getMessage()} {getattr(record, 'fields', {})}")


@contextmanager
def kept_log() -> Iterator[list[str]]:
    """Keep the functions' log lines instead of printing them."""
    lines: list[str] = []
    ours = logging.getLogger("prebooking")
    ours.setLevel(logging.INFO)
    ours.propagate, ours.handlers = False, [_LogLines(lines)]
    yield lines


def main() -> int:
    """Run the week; return 0 if ledger and database agree, 1 if they do not."""
    console = Console(width=None if sys.stdout.isatty() else 80, markup=False, highlight=False)
    console.print(_INTRODUCTION.format(upkeep=WeekWorld.UPKEEP_EVERY.total_seconds() / 60))
    with kept_log() as log, LocalPostgres() as postgres:
        apply_migrations(postgres.dsn())
        with (
            psycopg.connect(postgres.dsn(), autocommit=True) as owner,
            psycopg.connect(postgres.dsn(user="authenticator"), autocommit=True) as authenticator,
        ):
            world = WeekWorld(CommittedDatabase(owner, authenticator), begins=BEGINS)
            return world.run(Week(world, console, log).run())
