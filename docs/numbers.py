"""The numbers that decide how a run goes, read from the code and from the migrations."""

from __future__ import annotations

import re
from datetime import timedelta

from docs import markdown
from prebooking import settings
from prebooking.bookers.aimharder.booker import AimHarderBooker
from prebooking.database.prebookings import BLOCKED_PAUSE, UNREACHABLE_PAUSE
from prebooking.files import MIGRATIONS
from prebooking.run import attempt, rules, scheduler, slots

GUARD: float = settings.Settings.model_fields["execution_timeout_seconds"].default
STAGGER_MS: int = settings.Settings.model_fields["stagger_ms"].default
LEASE: float = settings.Settings.model_fields["lease_seconds"].default
FIVE = r"if (\d+) < \(\n +select count\(\*\) filter \(where live"
LAST_START = GUARD - settings.LAST_START
LAST_WRITE = GUARD + scheduler.WRITE_TIME


def in_sql(pattern: str) -> str:
    """Return what the group of a pattern finds in the migrations. Raises ValueError if that is not one value."""
    text = "\n".join(path.read_text() for path in sorted(MIGRATIONS.glob("*.sql")))
    found = set(re.findall(pattern, text))
    if len(found) != 1:
        raise ValueError(f"not one value in the migrations for {pattern}: {sorted(found)}")
    return str(found.pop())


def bell_lead() -> str:
    """Return the seconds before an opening at which the bell calls."""
    return in_sql(r"lead +interval not null default '(\d+) seconds'")


def setbacks() -> list[str]:
    """Return the minutes for which a row that could not get on is left alone, each time longer."""
    return in_sql(r"\(array\[([\d, ]+)\]\)\[least\(p\.setbacks").split(", ")


def _of_a_run() -> list[tuple[str, str]]:
    """Return the numbers of one run."""
    return [
        ("the last call starts", f"{_s(LAST_START)} after the request"),
        ("the guard: calls in flight are cut off", f"{_s(GUARD)} after the request (`EXECUTION_TIMEOUT_SECONDS`)"),
        ("the last write is out", f"{_s(LAST_WRITE)} after the request"),
        ("the platform ends the function", f"{_s(settings.MAX_DURATION)} after the request (`vercel.json`)"),
        ("from one first call of a venue to the next", f"{STAGGER_MS} ms (`STAGGER_MS`)"),
        ("a call connects before its slot", f"at most {_s(slots.CONNECT_LEAD)}"),
        ("calls that wait for their slots with a connection", f"at most {slots.MAX_CONNECTED} per venue"),
        ("a question to a venue", f"at most {_s(attempt.CONFIRM_TIME)}"),
        ("rows of one claim", f"at most {scheduler.CLAIM_LIMIT}"),
    ]


def _of_a_row() -> list[tuple[str, str]]:
    """Return the numbers of one row's life."""
    again = ", ".join(_s(pause) for pause in attempt.NOT_SENT_PAUSES)
    *shorter, longest = setbacks()
    trouble = in_sql(r"interval '(\d+) minutes' as is_troubled")
    behind, behind_all = (in_sql(rf"v_{name} +constant int +:= (\d+)") for name in ("behind", "behind_all"))
    return [
        ("a claim's lease", f"{_s(LEASE)} (`LEASE_SECONDS`)"),
        ("a claim's turn on its openings", f"{_s(GUARD)}, as long as the guard"),
        ("nothing could be sent: called again", f"after {again}"),
        ('"too early": called again', f"{attempt.MAX_EARLY_RETRIES} times in a run, {_s(attempt.EARLY_PAUSE)} apart"),
        ('"too early" in every run: `too_early`', f"after {minutes(rules.EARLY_TIME)}, asked once a minute"),
        (
            "a row without progress (no clear answer to the query, or there is no working login): claimed again",
            f"after {', '.join(shorter)}, then every {longest} minutes",
        ),
        ("such rows of one claim", f"at most {behind} per venue and {behind_all} in all, behind all others"),
        ("a venue has trouble: its rows are such rows", f"until a clear answer, or {trouble} minutes after its pause"),
        ("AimHarder: calls without a clear answer, over all runs", f"at most {AimHarderBooker.max_unclear_calls:g}"),
        ("the venue's list lacks the class: `class_gone`", f"in two queries {minutes(rules.MISSING_TIME)} apart"),
        ("a row blocked alone, while the venue books others: `rejected`", f"after {attempt.MAX_BLOCKS} blocks"),
        ("a venue blocks us: it is not called", minutes(timedelta(seconds=BLOCKED_PAUSE))),
        ("a venue cannot be reached: it is not called", minutes(timedelta(seconds=UNREACHABLE_PAUSE))),
        ("pending prebookings of a member at openings within a minute", f"at most {in_sql(FIVE)}"),
    ]


def table() -> str:
    """Return all numbers, those of a run first."""
    return markdown.table(("what", "how much"), [*_of_a_run(), *_of_a_row()])


def limits_of_an_instant() -> str:
    """Return the numbers that limit how many rows can be sent at one instant."""
    again, first = (
        in_sql(r"case when v_again then (\d+) else \d+ end\)"),
        in_sql(r"when v_again then \d+ else (\d+) end\)"),
    )
    rows = [
        ("the bell rings", f"{bell_lead()} s before the opening, with at most {first} requests"),
        ("it rings again, for rows that were not claimed", f"with at most {again} requests"),
        ("rows of one claim", f"at most {scheduler.CLAIM_LIMIT}"),
        ("claims at the same time", "1"),
        ("from one call of a venue to the next", f"{STAGGER_MS} ms (`STAGGER_MS`)"),
        ("the last call of an invocation starts", f"{_s(LAST_START)} after its request"),
    ]
    return markdown.table(("what", "how much"), rows)


def time_line() -> str:
    """Return the ten seconds of an invocation that the bell calls, as a mermaid chart in milliseconds."""
    lead, guard, end = float(bell_lead()), GUARD, settings.MAX_DURATION
    opening = 0.2 + lead  # the bell's request takes a moment
    bars = [
        (
            "function",
            [
                ("authorise, claim", 0, 0.3),
                ("prepare, hold", 0.3, opening),
                ("fire in order", opening, LAST_START),
                ("answers, questions", LAST_START, guard),
                ("release, answer", guard, LAST_WRITE),
            ],
        ),
        (
            "limits",
            [
                ("the opening", opening, opening),
                ("no call starts any more", LAST_START, LAST_START),
                ("guard: calls are cut off", guard, guard),
                ("last write", LAST_WRITE, LAST_WRITE),
                ("the platform ends it", end, end),
            ],
        ),
    ]
    lines = ["gantt", "    dateFormat x", "    axisFormat %-S s", "    tickInterval 1second"]
    for section, tasks in bars:
        lines.append(f"    section {section}")
        lines += [f"    {name} :{_bar(begin, until)}" for name, begin, until in tasks]
    return "\n".join(["```mermaid", *lines, "```"])


def _bar(begin: float, until: float) -> str:
    start, length = round(begin * 1000), round((until - begin) * 1000)
    return f"{start}, {start + length}" if length else f"milestone, {start}, 0ms"


def _s(seconds: float) -> str:
    return f"{seconds:g} s"


def minutes(time: timedelta) -> str:
    """Return a time in minutes."""
    number = round(time / timedelta(minutes=1))
    return f"{number} minute{'s' * (number != 1)}"
