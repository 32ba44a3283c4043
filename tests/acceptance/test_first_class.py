"""The four commands in docs/aimharder.md: from an empty database to a booked class."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from prebooking.local.stack import Stack
from prebooking.local.venue.twin import State

AIMHARDER = Path(__file__).parents[2] / "docs" / "aimharder.md"
COMMAND = str(Path(sys.executable).parent / "prebooking")
MADRID = ZoneInfo("Europe/Madrid")


def four_commands(day: str) -> list[list[str]]:
    """Return the document's commands with another day."""
    section = AIMHARDER.read_text().split("\n## Four commands\n")[1].split("\n## ")[0]
    [block] = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    commands = [shlex.split(re.sub(r"\d{4}-\d\d-\d\d", day, line)) for line in block.splitlines()]
    assert [words[:2] for words in commands] == [
        ["prebooking", "venue"],
        ["prebooking", "login"],
        ["prebooking", "classes"],
        ["prebooking", "add"],
    ]
    return commands


def run(folder: Path, words: list[str]) -> str:
    """Run a command in a process of its own, require success, and return its output."""
    result = subprocess.run(
        [COMMAND, *words],
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
        input="correct horse battery\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, ""), (words, result.stderr)
    return result.stdout


def test_four_commands_and_the_function_book_a_class_and_a_fifth_gives_it_back(stack: Stack, tmp_path: Path) -> None:
    begins = datetime.now(MADRID).replace(hour=19, minute=30, second=0, microsecond=0) + timedelta(days=3)
    stack.twin.open_box("boxcentro.aimharder.com", box_id=10584, name="Box Centro")
    stack.twin.join("ana@example.com", "correct horse battery")
    stack.twin.open_class(
        "10001",
        opens_at=begins - timedelta(days=4),
        capacity=1,
        name="WOD",
        day=f"{begins:%Y%m%d}",
        time=f"{begins:%H:%M}",
        box="boxcentro.aimharder.com",
    )
    needed = ("SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY", "SESSION_ENCRYPTION_KEY", "AIMHARDER_TWIN_URL")
    (tmp_path / ".env").write_text("".join(f"{name}={stack.environment[name]}\n" for name in needed))
    for _, *words in four_commands(f"{begins:%Y-%m-%d}"):
        run(tmp_path, words)
    with stack.function() as function:
        answer = function.trigger().json()
    assert answer["outcomes"] == {"booked": 1}
    booked = [(act.member, act.class_id, act.state) for act in stack.twin.ledger.bookings()]
    assert booked == [("ana@example.com", "10001", State.BOOKED)]
    [(row, status, outcome, booking_id)] = stack.connection.execute(
        "select id, status, outcome, booking_id from prebookings"
    ).fetchall()
    assert (status, outcome) == ("completed", "booked")
    assert booking_id == stack.twin.ledger.bookings()[0].booking_id
    assert "Given back: WOD at Box Centro" in run(tmp_path, ["give-back", str(row)[:8]])
    assert stack.twin.ledger.bookings() == []
    assert "given back" in run(tmp_path, ["list"])
