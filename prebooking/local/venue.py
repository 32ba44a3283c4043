"""The venue twin: classes with an opening instant, members who get a place or not, and the ledger of what happened.

Pure: no I/O, no words of a protocol (``venue_webhook`` has those), and no clock but the one it is given. It forgives
nothing: without a protection the same prebooking is booked twice.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID


class State(StrEnum):
    """What the venue says about a booking."""

    BOOKED = "booked"
    WAITLISTED = "waitlisted"
    NOT_BOOKED = "not_booked"
    ALREADY_BOOKED = "already_booked"
    TOO_EARLY = "too_early"
    FULL = "full"
    CLASS_GONE = "class_gone"


class Protection(Enum):
    """How a venue guards itself against the same booking twice."""

    NONE = auto()  # not at all: a second booking
    DUPLICATES = auto()  # 409
    CAPACITY_FIRST = auto()  # 409, but a class that is full is full, also for those who are in it
    IDEMPOTENT = auto()  # the same Idempotency-Key gets the first answer again


@dataclass(frozen=True, slots=True)
class Reply:
    """A response as its carrier takes it; in a fate: answered as it stands, whatever the venue would say."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


Canned = Reply


class Ending(Enum):
    """How a call ends, if not by a canned reply."""

    ANSWER = auto()  # with what the venue says
    DROP = auto()  # the connection is cut without an answer
    HANG = auto()  # never


ANSWER, DROP, HANG = Ending.ANSWER, Ending.DROP, Ending.HANG


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a call once it has arrived; delays in seconds, before and after the venue acts on it."""

    delay_before: float = 0.0
    acts: bool = True
    delay_after: float = 0.0
    answer: Ending | Reply = Ending.ANSWER

    def __post_init__(self) -> None:
        """Refuse what no venue can do."""
        if not self.acts and self.answer is ANSWER:
            raise ValueError("a venue that does not act has nothing to answer: say DROP, HANG or Canned(...)")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A call that reached the venue, and what it is about; empty is what it does not say."""

    at: datetime
    method: str
    prebooking_id: str = ""
    member: str = ""
    class_id: str = ""
    venue: str = ""


@dataclass(frozen=True, slots=True)
class Act:
    """A place given, in the class (``booked``) or on its waiting list (``waitlisted``)."""

    at: datetime
    state: State
    booking_id: str
    prebooking_id: str
    member: str
    class_id: str
    venue: str


class Ledger:
    """What happened, in order and never changed: the truth that tests and the demo judge by."""

    def __init__(self) -> None:
        self._entries: list[Arrival | Act] = []

    def write(self, entry: Arrival | Act) -> None:
        """Add what has just happened."""
        self._entries.append(entry)

    @property
    def entries(self) -> tuple[Arrival | Act, ...]:
        """Return everything."""
        return tuple(self._entries)

    def arrivals(self, method: str | None = "POST") -> list[Arrival]:
        """Return the calls that came in, of one method or (None) of all."""
        return [e for e in self.entries if isinstance(e, Arrival) and method in {None, e.method}]

    def first_calls(self) -> list[Arrival]:
        """Return the first booking call of every prebooking, as they came in."""
        firsts: dict[str, Arrival] = {}
        for arrival in self.arrivals():
            firsts.setdefault(arrival.prebooking_id, arrival)
        return list(firsts.values())

    def bookings(self) -> list[Act]:
        """Return every place given."""
        return [entry for entry in self.entries if isinstance(entry, Act)]

    def bookings_of(self, prebooking_id: UUID | str) -> list[Act]:
        """Return the places one prebooking got: none, one, or proof of a fault."""
        return [act for act in self.bookings() if act.prebooking_id == str(prebooking_id)]

    def double_bookings(self) -> dict[str, list[Act]]:
        """Return the prebookings with more than one place, with their places."""
        counts = Counter(act.prebooking_id for act in self.bookings())
        return {prebooking: self.bookings_of(prebooking) for prebooking, count in counts.items() if count > 1}


@dataclass(frozen=True, slots=True)
class GymClass:
    """What members compete for: a number of places from an instant on."""

    opens_at: datetime
    capacity: int
    waiting_list: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
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
        fate: Callable[[Arrival], Fate] = lambda _: Fate(),
    ) -> None:
        self.now, self.secret, self.protection, self.skew, self.fate = now, secret, protection, skew, fate
        self.can_tell = True  # False: it does not say who is booked (501)
        self.classes: dict[str, GymClass] = {}
        self.ledger = Ledger()
        self._scripts: defaultdict[tuple[str, str], deque[Fate]] = defaultdict(deque)
        self._said: dict[str, Verdict] = {}

    def open_class(self, class_id: str, *, opens_at: datetime, capacity: int, waiting_list: int = 0) -> None:
        """Offer a class; offered again it has the new instant and size, and keeps its members."""
        self.classes[class_id] = GymClass(opens_at, capacity, waiting_list)

    def script(self, who: UUID | str, *fates: Fate, method: str = "POST") -> None:
        """Say what becomes of the next calls of a member or about a prebooking; after them ``fate`` decides again."""
        self._scripts[str(who), method].extend(fates)

    def arrive(self, arrival: Arrival) -> Fate:
        """Enter a call in the ledger and say what becomes of it."""
        self.ledger.write(arrival)
        for who in (arrival.prebooking_id, arrival.member):
            if script := self._scripts.get((who, arrival.method)):
                return script.popleft()
        return self.fate(arrival)

    def book(self, wish: Arrival) -> Verdict:
        """Give a place, or say why not."""
        if self.protection is Protection.IDEMPOTENT and wish.prebooking_id in self._said:
            return self._said[wish.prebooking_id]
        verdict = self._judge(wish)
        if verdict.state is not State.TOO_EARLY:  # what may be asked again is not remembered
            self._said.setdefault(wish.prebooking_id, verdict)
        return verdict

    def look(self, prebooking_id: UUID | str) -> Verdict:
        """Say whether a prebooking has a place."""
        acts = self.ledger.bookings_of(prebooking_id)
        return Verdict(acts[0].state, acts[0].booking_id) if acts else Verdict(State.NOT_BOOKED)

    def _judge(self, wish: Arrival) -> Verdict:
        gym_class = self.classes.get(wish.class_id)
        if gym_class is None:
            return Verdict(State.CLASS_GONE)
        if self.now() + self.skew < gym_class.opens_at:
            return Verdict(State.TOO_EARLY)
        acts = [act for act in self.ledger.bookings() if act.class_id == wish.class_id]
        place = _place(gym_class, acts)
        looks_at_capacity_only = place is State.FULL and self.protection is Protection.CAPACITY_FIRST
        if self._is_duplicate(wish, acts) and not looks_at_capacity_only:
            return Verdict(State.ALREADY_BOOKED)
        return Verdict(place) if place is State.FULL else self._give(place, wish)

    def _is_duplicate(self, wish: Arrival, acts: list[Act]) -> bool:
        looks = self.protection in {Protection.DUPLICATES, Protection.CAPACITY_FIRST}
        return looks and any(act.member == wish.member for act in acts)

    def _give(self, place: State, wish: Arrival) -> Verdict:
        booking_id = f"b-{len(self.ledger.bookings()) + 1}"
        about = (wish.prebooking_id, wish.member, wish.class_id, wish.venue)
        self.ledger.write(Act(self.now(), place, booking_id, *about))
        return Verdict(place, booking_id)


def _place(gym_class: GymClass, acts: list[Act]) -> State:
    taken = Counter(act.state for act in acts)
    if taken[State.BOOKED] < gym_class.capacity:
        return State.BOOKED
    return State.WAITLISTED if taken[State.WAITLISTED] < gym_class.waiting_list else State.FULL
