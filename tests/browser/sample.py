"""What the endpoint answers at a busy gym, made up: for the page's states, and for texts that try to be markup."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

MADRID = "Europe/Madrid"
VENUES = ["Harbour", "Old Mill", "Forge", "Station", "Granite"]

EMPTY: dict[str, Any] = {
    "state": {"ok": True, "problems": []},
    "openings": [],
    "lateness": {"venues": [], "dots": [], "calls": 0, "shown": 0, "p50": None, "p95": None, "max": None},
    "failures": [],
    "in_doubt": [],
    "in_doubt_count": 0,
    "logins": [],
    "messages": {"waiting": 0, "dead": [], "failing": []},
    "repeats": [],
}


def empty(now: datetime | None = None) -> dict[str, Any]:
    """Return the answer of a database without rows."""
    now = now or datetime.now(UTC)
    days = [f"{now - timedelta(days=back):%Y-%m-%d}" for back in range(29, -1, -1)]
    window = {"from": (now - timedelta(days=1)).isoformat(), "to": now.isoformat()}
    return EMPTY | {
        "now": now.isoformat(),
        "version": "0.1.0",
        "outcomes": [{"day": day, "completed": 0, "failed": 0, "cancelled": 0} for day in days],
        "runs": window | {"gaps": [], "triggers": [], "runs": []},
    }


def busy(now: datetime | None = None, *, dots: int = 600) -> dict[str, Any]:
    """Return the answer of a busy gym."""
    chance, now = Random(7), now or datetime.now(UTC)  # noqa: S311 - a picture, no secret
    late = sorted(_dots(chance, now, dots), key=lambda dot: str(dot[1]))
    by_size = sorted(dot[2] for dot in late)
    outcomes = [
        {**day, "completed": chance.randint(28, 60), "failed": chance.randint(1, 12), "cancelled": chance.randint(0, 5)}
        for day in empty(now)["outcomes"]
    ]
    return empty(now) | {
        "state": {"ok": True, "problems": PROBLEMS},
        "openings": list(_openings(chance, now)),
        "lateness": {
            "venues": VENUES,
            "dots": late,
            "calls": 9412,
            "shown": len(late),
            "p50": by_size[len(by_size) // 2],
            "p95": by_size[len(by_size) * 95 // 100],
            "max": by_size[-1],
        },
        "outcomes": outcomes,
        "failures": FAILURES,
        "in_doubt": [
            {
                "id": str(UUID(int=n)),
                "member": f"{name}…#{n:04x}",
                "venue": "Station",
                "timezone": MADRID,
                "class_name": "spinning",
                "since": (now - timedelta(seconds=40 + n)).isoformat(),
                "calls": 1,
                "next_question_at": (now + timedelta(seconds=25 - n)).isoformat(),
                "text": "The venue is asked once the lease is over.",
            }
            for n, name in enumerate(["ab", "be", "ca"], 1)
        ],
        "in_doubt_count": 3,
        "runs": _runs(chance, now),
        "logins": [
            {
                "member": member,
                "venue": venue,
                "timezone": MADRID,
                "ends_at": (now + timedelta(hours=ends)).isoformat() if ends else None,
                "needed_at": (now + timedelta(hours=needed)).isoformat(),
                "text": text,
                "level": level,
            }
            for member, venue, ends, needed, text, level in LOGINS
        ],
        "messages": {
            "waiting": 2,
            "dead": [{"event": "booked", "kind": "mail", "count": 1}],
            "failing": [
                {
                    "kind": "telegram",
                    "member": "lu…#90ab",
                    "since": (now - timedelta(hours=5)).isoformat(),
                    "text": "The receiver has blocked the bot.",
                }
            ],
        },
        "repeats": [{"member": "iv…#77d0", "venue": "Forge", "text": "No class has this name and hour any more."}],
    }


PROBLEMS = [
    {
        "code": "logins",
        "level": "warn",
        "text": "2 members have no usable login for a class that opens within a day.",
        "cure": "Run `prebooking login list`, and let these members log in again.",
    },
    {
        "code": "dead_messages",
        "level": "warn",
        "text": "1 message was given up in the last day.",
        "cure": "Run `prebooking notify list`: the channel's receiver does not exist any more.",
    },
]
FAILURES = [
    {"outcome": "full", "count": 141, "text": "The class was full."},
    {"outcome": "no_session", "count": 12, "text": "There was no usable login for the venue."},
    {"outcome": "rejected", "count": 4, "text": "The venue refused the booking."},
    {"outcome": "expired", "count": 1, "text": "The class began before anything was sent."},
]
LOGINS = [
    ("ma…#1b9c", "Forge", None, 3.3, "No login: the member has to log in.", "fail"),
    ("jo…#c2e1", "Granite", 2, 9.0, "It ends before the opening.", "fail"),
    ("an…#3f2a", "Forge", 31, 22.0, "It is kept alive.", "ok"),
]


def timeline(id_: str, *, member: str = "an…#3f2a", class_name: str = "rowing") -> dict[str, Any]:
    """Return one prebooking's time line."""
    due = datetime(2026, 11, 24, 17, 0, tzinfo=UTC)
    steps = {"added": -250_000_000, "due": 0, "claimed": -880, "sent": 3, "answered": 251, "settled": 263}
    return {
        "id": id_,
        "member": member,
        "venue": "Harbour",
        "timezone": MADRID,
        "class_name": class_name,
        "status": "completed",
        "outcome": "booked",
        "text": "The member has the place.",
        "steps": [
            {"step": step, "at": (due + timedelta(milliseconds=ms)).isoformat(), "after_ms": ms}
            for step, ms in steps.items()
        ],
    }


def _dots(chance: Random, now: datetime, number: int) -> list[list[Any]]:
    """Return calls at the openings of a week, most of them within a second."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    dots = []
    for n in range(number):
        venue = chance.choices(range(5), [5, 4, 3, 2, 1])[0]
        hour = chance.choice([6, 7, 11, 17, 18, 19])
        opens = midnight - timedelta(days=chance.randint(0, 6)) + timedelta(hours=hour, minutes=30 * (venue % 2))
        late = 2 + 50 * chance.randint(0, 14) + int(chance.expovariate(1 / 9))
        if chance.random() < 0.01:
            late = int(chance.lognormvariate(9, 0.8))
        if opens < now:
            dots.append([str(UUID(int=n)), (opens + timedelta(milliseconds=late)).isoformat(), late, venue])
    return dots


def _openings(chance: Random, now: datetime) -> list[dict[str, Any]]:
    hour = now.replace(minute=0, second=0, microsecond=0)
    made = []
    for ahead, venue, waiting, problem in [
        (1, 0, 12, None),
        (2, 1, 6, None),
        (4, 2, 4, ("no_login", "no usable login")),
        (5, 0, 31, None),
        (9, 4, 3, ("class_moved", "the class has moved")),
        (10, 1, 8, None),
        (17, 3, 9, None),
        (18, 0, 22, None),
        (22, 2, 7, None),
    ]:
        rows = [
            {
                "id": str(UUID(int=ahead * 100 + n)),
                "member": f"{chance.choice('abcdefgh')}{chance.choice('aeiou')}…#{chance.randrange(65536):04x}",
                "class_name": ["rowing", "yoga", "WOD", "spinning", "Gymnastics"][venue],
                "problem": problem[0] if problem and n == 0 else None,
            }
            for n in range(min(waiting, 20))
        ]
        made.append(
            {
                "venue": VENUES[venue],
                "timezone": MADRID,
                "available_at": (hour + timedelta(hours=ahead, minutes=30 * (venue % 2))).isoformat(),
                "waiting": waiting,
                "problems": [{"code": problem[0], "text": problem[1], "count": 1}] if problem else [],
                "rows": rows,
            }
        )
    return made


def _runs(chance: Random, now: datetime) -> dict[str, Any]:
    def back(hours: float) -> str:
        return (now - timedelta(hours=hours)).isoformat()

    runs = [
        {
            "opened_at": back(chance.random() * 24),
            "ms": chance.choice([90, 300, 900, 4000]),
            "cut_off": False,
            "rows": 6,
        }
        for _ in range(90)
    ]
    return {
        "from": back(24),
        "to": back(0),
        "gaps": [{"from": back(15.4), "to": back(15.1)}],
        "triggers": [
            {"trigger": "cron", "last_at": back(0.004), "count": 1421},
            {"trigger": "bell", "last_at": back(0.9), "count": 38},
        ],
        "runs": [{"opened_at": back(11.2), "ms": None, "cut_off": True, "rows": 3}, *runs],
    }
