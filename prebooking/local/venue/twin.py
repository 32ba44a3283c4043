"""The venue twin: classes with an opening instant, members who get a place or not, and the ledger of what happened.

Pure: no I/O, no words of a protocol (``venue_webhook`` and ``venue_aimharder`` have those), and no clock but the one it
is given. It forgives nothing: without a protection the same prebooking is booked twice.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from itertools import product
from uuid import UUID

from prebooking.local.venue.ledger import Act, Arrival, Ledger, State
from prebooking.local.venue.members import Members
from prebooking.local.venue.page import Page
from prebooking.local.venue.plan import ANSWER, DROP, HANG, AnswerKind, CallPlan, Canned, TwinCall, TwinReply

__all__ = [
    "ANSWER",
    "DROP",
    "HANG",
    "Act",
    "AnswerKind",
    "Arrival",
    "BookingResult",
    "CallPlan",
    "Canned",
    "Ledger",
    "Protection",
    "State",
    "TwinBox",
    "TwinCall",
    "TwinClass",
    "TwinReply",
    "VenueTwin",
]

_BOOKINGS_BEFORE = 106_000_000  # a venue's bookings are numbered across all its boxes


class Protection(Enum):
    """How a venue guards itself against the same booking twice."""

    NONE = auto()  # not at all: a second booking
    DUPLICATES = auto()  # a member has one place in a class, and one class at an hour
    CAPACITY_FIRST = auto()  # the same, but a class that is full is full, also for those who are in it
    IDEMPOTENT = auto()  # the same Idempotency-Key gets the first answer again


@dataclass(frozen=True, slots=True)
class TwinClass:
    """What members compete for: a number of places from an instant on.

    A class on a schedule has a name, a ``day`` (YYYYMMDD) and a ``time`` (HH:MM) on the gym's local clock, and the host
    of its box, or none if every box shows it.
    """

    opens_at: datetime
    capacity: int
    waiting_list: int = 0
    name: str = "WOD"
    day: str = ""
    time: str = "07:00"
    box: str = ""

    def is_at_the_hour_of(self, other: TwinClass) -> bool:
        """Return whether both classes are at the same hour. A class without a day has no known hour."""
        return bool(self.day) and (self.day, self.time, self.box) == (other.day, other.time, other.box)


@dataclass(frozen=True, slots=True)
class TwinBox:
    """A gym at a host of its own."""

    host: str
    box_id: int
    name: str


@dataclass(frozen=True, slots=True)
class BookingResult:
    """What a booking call comes to."""

    state: State
    booking_id: str | None = None


class VenueTwin:
    """A venue. ``now`` is the true time, the ledger's; openings go by the venue's own clock, ``skew`` ahead."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        secret: str,
        protection: Protection = Protection.NONE,
        skew: timedelta = timedelta(0),
        fate: Callable[[Arrival], CallPlan] = lambda _: CallPlan(),
    ) -> None:
        self.now, self.secret, self.protection, self.skew, self.fate = now, secret, protection, skew, fate
        self.can_tell = True  # False: it does not say who is booked (501)
        self.boxes: dict[str, TwinBox] = {}
        self.classes: dict[str, TwinClass] = {}
        self.members = Members(now=lambda: self.now())  # noqa: PLW0108 - a test may give the twin another clock
        self.ledger = Ledger()
        self.page = Page()
        self._scripts: defaultdict[tuple[str, str, str], deque[CallPlan]] = defaultdict(deque)
        self._said: dict[str, BookingResult] = {}

    def open_box(self, host: str, *, box_id: int, name: str = "The Box") -> None:
        """Open a gym at a host (``mybox.aimharder.com``)."""
        self.boxes[host] = TwinBox(host, box_id, name)

    def open_class(
        self,
        class_id: str,
        *,
        opens_at: datetime,
        capacity: int,
        waiting_list: int = 0,
        **on_the_schedule: str,
    ) -> None:
        """Offer a class; offered again it has the new instant and size, and keeps its members.

        ``on_the_schedule`` is its ``name``, ``day``, ``time`` and ``box``: see ``TwinClass``.
        """
        self.classes[class_id] = TwinClass(opens_at, capacity, waiting_list, **on_the_schedule)

    def join(self, email: str, password: str) -> None:
        """Give somebody an account, with which to log in."""
        self.members.join(email, password)

    def expire(self, email: str) -> None:
        """End a member's sessions now; each can still be refreshed once. ``members.log_out`` leaves nothing."""
        self.members.expire(email)

    def script(self, who: UUID | str, *fates: CallPlan, method: str = "POST", path: str = "") -> None:
        """Set the fates of the next calls of a member or about a prebooking; after them ``fate`` decides again.

        Without a path it is about booking calls, or (with another method) calls of a protocol that has just one path.
        """
        self._scripts[str(who), method, path].extend(fates)

    def arrive(self, arrival: Arrival) -> CallPlan:
        """Enter a call in the ledger and return its fate."""
        self.ledger.write(arrival)
        paths = ("", arrival.path) if arrival.books else (arrival.path,)
        for who, path in product((arrival.prebooking_id, arrival.member), paths):
            if script := self._scripts.get((who, arrival.method, path)):
                return script.popleft()
        return self.fate(arrival)

    def book(self, wish: Arrival, *, insists: bool = True) -> BookingResult:
        """Give a place, or return the refusal. Only a request that insists is put on the waiting list."""
        if self.protection is Protection.IDEMPOTENT and wish.prebooking_id in self._said:
            return self._said[wish.prebooking_id]
        verdict = self._judge(wish, insists=insists)
        if wish.prebooking_id and verdict.state is not State.TOO_EARLY:  # what may be asked again is not remembered
            self._said.setdefault(wish.prebooking_id, verdict)
        return verdict

    def look(self, prebooking_id: UUID | str) -> BookingResult:
        """Return the state of a prebooking's place, and its number."""
        acts = [act for act in self.shown() if act.prebooking_id == str(prebooking_id)]
        return BookingResult(acts[0].state, acts[0].booking_id) if acts else BookingResult(State.NOT_BOOKED)

    def shown(self) -> list[Act]:
        """Return the places that its pages show, which may be behind the ledger."""
        return self.ledger.bookings(by=self.now() - timedelta(seconds=self.page.behind))

    def cancel(self, booking_id: str, member: str) -> bool:
        """Take a place back, if the member has it."""
        for act in self.ledger.bookings():
            if (act.booking_id, act.member) == (booking_id, member):
                self.ledger.write(replace(act, at=self.now(), state=State.CANCELLED))
                return True
        return False

    def _judge(self, wish: Arrival, *, insists: bool) -> BookingResult:
        gym_class = self.classes.get(wish.class_id)
        if gym_class is None:
            return BookingResult(State.CLASS_GONE)
        if self.now() + self.skew < gym_class.opens_at:
            return BookingResult(State.TOO_EARLY)
        place = self.place(wish.class_id)
        looks_at_capacity_only = place is State.FULL and self.protection is Protection.CAPACITY_FIRST
        if (has := self._has(wish, gym_class)) and not looks_at_capacity_only:
            return BookingResult(has)
        if place is State.WAITLISTED and not insists:
            return BookingResult(State.NOT_BOOKED)
        return BookingResult(place) if place is State.FULL else self._give(place, wish)

    def place(self, class_id: str) -> State:
        """Return what the next one gets: booked, waitlisted or full."""
        gym_class = self.classes[class_id]
        taken = Counter(act.state for act in self.ledger.bookings() if act.class_id == class_id)
        if taken[State.BOOKED] < gym_class.capacity:
            return State.BOOKED
        return State.WAITLISTED if taken[State.WAITLISTED] < gym_class.waiting_list else State.FULL

    def _has(self, wish: Arrival, gym_class: TwinClass) -> State | None:
        if self.protection not in {Protection.DUPLICATES, Protection.CAPACITY_FIRST}:
            return None
        theirs = {act.class_id for act in self.ledger.bookings() if act.member == wish.member}
        if wish.class_id in theirs:
            return State.ALREADY_BOOKED
        at_that_hour = any(gym_class.is_at_the_hour_of(self.classes[class_id]) for class_id in theirs)
        return State.SAME_HOUR if at_that_hour else None

    def _give(self, place: State, wish: Arrival) -> BookingResult:
        booking_id = str(_BOOKINGS_BEFORE + len(self.ledger.entries))
        about = (wish.prebooking_id, wish.member, wish.class_id, wish.venue)
        self.ledger.write(Act(self.now(), place, booking_id, *about))
        return BookingResult(place, booking_id)
