"""The picture of one invocation: who calls it, what it does, and where it asks."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from docs.numbers import STAGGER_MS, bell_lead

INK, SOFT, OURS, PAPER, LINE = "#1f2328", "#57606a", "#0b6e4f", "#ffffff", "#8a8f98"
WIDTH, HEIGHT = 960, 372
_FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
# Each step: its name, what it does, and whom it speaks with.
_STEPS = [
    ("claim", ["leases the oldest", "due rows, under", "one lock"], "database"),
    ("hold", ["connects, and waits", "for the opening", "to come"], ""),
    ("fire", ["one call per row, in", f"order, {STAGGER_MS} ms apart,", "never too early"], "venue"),
    ("ask", ["no clear answer?", "Asks for the place,", "sends nothing"], "venue"),
    ("settle", ["completed, failed:", "if the row is still", "held by this run"], "database"),
    ("release", ["what was not sent", "is left to the", "next run"], "database"),
]
_LEFT, _STEP, _GAP, _TOP, _TALL = 178, 116, 12, 132, 112


def draw() -> str:
    """Return the picture as SVG."""
    parts = "\n".join([*_frame(), *_callers(), *_steps()])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
        f' role="img" font-family="{_FONT}" font-size="13" fill="{INK}">\n<title>One invocation, from the call to the'
        f" answer</title>\n{parts}\n</svg>\n"
    )


def _frame() -> Iterator[str]:
    right = _at(len(_STEPS)) - _GAP
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" rx="10" fill="{PAPER}"/>'
    yield _box(_at(2), 16, right - _at(2), 52, fill="#fff4e5", stroke="#d9822b")
    yield _text((_at(2) + right) / 2, 38, "the venue", weight=600)
    yield _text((_at(2) + right) / 2, 57, "takes the booking, and answers questions about it", fill=SOFT)
    yield _box(_LEFT - 8, _TOP - 30, right - _LEFT + 16, _TALL + 42, fill="#f6f8fa", stroke=LINE)
    yield _text(_LEFT, _TOP - 11, "one invocation: at most 10 s, no state", fill=SOFT, anchor="start")
    yield _box(14, 304, right - 14, 52, fill="#e8f1fb", stroke="#3b76b8")
    yield _text((_LEFT + right) / 2, 326, "Postgres (Supabase)", weight=600)
    yield _text((_LEFT + right) / 2, 345, "prebookings, leases and logins; its clock decides what is due", fill=SOFT)


def _callers() -> Iterator[str]:
    yield _box(14, _TOP - 18, 132, 50, fill=PAPER, stroke=LINE)
    yield _text(80, _TOP + 3, "a cron outside", weight=600)
    yield _text(80, _TOP + 22, "POSTs each minute", fill=SOFT)
    yield _line(f"M146 {_TOP + 7}H{_LEFT - 12}") + _tip(_LEFT - 10, _TOP + 7, (1, 0))
    yield _text(80, 326, "the bell", weight=600)
    yield _text(80, 345, f"rings {bell_lead()} s ahead", fill=SOFT)
    yield _line(f"M80 304V{_TOP + 72}H{_LEFT - 12}") + _tip(_LEFT - 10, _TOP + 72, (1, 0))


def _steps() -> Iterator[str]:
    for number, (name, lines, partner) in enumerate(_STEPS):
        left, middle = _at(number), _at(number) + _STEP / 2
        yield _box(left, _TOP, _STEP, _TALL, fill=PAPER, stroke=OURS)
        yield _text(middle, _TOP + 26, name, fill=OURS, weight=700, size=16)
        for line, words in enumerate(lines):
            yield _text(middle, _TOP + 52 + 18 * line, words, size=11.5)
        if number:
            yield _tip(left - 2, _TOP + 21, (1, 0))
        if partner == "venue":
            yield _line(f"M{middle:g} {_TOP - 2}V72") + _tip(middle, 69, (0, -1)) + _tip(middle, _TOP - 1, (0, 1))
        if partner == "database":
            yield (
                _line(f"M{middle:g} {_TOP + _TALL + 2}V301")
                + _tip(middle, 303, (0, 1))
                + _tip(middle, _TOP + _TALL + 1, (0, -1))
            )


def _at(step: int) -> float:
    return _LEFT + step * (_STEP + _GAP)


def _box(x: float, y: float, width: float, height: float, *, fill: str, stroke: str) -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="8" fill="{fill}" stroke="{stroke}"/>'


def _text(
    x: float, y: float, words: str, *, fill: str = INK, weight: int = 400, size: float = 13, anchor: str = "middle"
) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" fill="{fill}" font-weight="{weight}" font-size="{size:g}" text-anchor="{anchor}">'
        f"{escape(words)}</text>"
    )


def _line(path: str) -> str:
    return f'<path d="{path}" fill="none" stroke="{LINE}" stroke-width="1.5"/>'


def _tip(x: float, y: float, towards: tuple[int, int]) -> str:
    """Return an arrow's head with its point at x, y."""
    right, down = towards
    back = f"{-8 * right - 4 * down:g} {-8 * down - 4 * right:g}"
    across = f"{8 * down:g} {8 * right:g}"
    return f'<path d="M{x:g} {y:g}l{back}l{across}z" fill="{LINE}"/>'
