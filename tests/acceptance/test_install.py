"""The commands in README's first screen, from an empty environment and an empty database to a booked class."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest
from dotenv import dotenv_values

import prebooking
from prebooking.local.stack import Stack, local_stack
from prebooking.local.venue.twin import State
from tests.support.clean_environment import build_wheel, install_wheel
from tests.support.programs import ROOT

HOST, MEMBER, PASSWORD = "boxcentro.aimharder.com", "ana@example.com", "correct horse battery"
MADRID = ZoneInfo("Europe/Madrid")
FUNCTION = """
import asyncio, os, httpx
from api.cron.prebooking_scheduler import app

async def call():
    bearer = {"Authorization": f"Bearer {os.environ['CRON_SECRET']}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://function") as client:
        print((await client.post("/api/cron/prebooking_scheduler", headers=bearer)).text)

asyncio.run(call())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Stack]:
    """A stack whose database has no migration."""
    (tmp_path / "no migrations").mkdir()
    with local_stack(migrations=tmp_path / "no migrations") as stack:
        yield stack


class Operator:
    """Runs commands in a folder, with the programs of one environment and no other variables."""

    def __init__(self, programs: Path, folder: Path, database: str) -> None:
        self.programs, self.folder, self.database = programs, folder, database
        folder.mkdir()

    def types(self, words: list[str], answers: str) -> str:
        """Run a command, require success, and return its output."""
        return self._run([str(self.programs / words[0]), *words[1:]], self.folder, answers)

    def calls_the_function(self) -> dict[str, object]:
        """Run the function of the wheel once with the variables in .env, and return its answer."""
        python, packages = str(self.programs / "python"), self.programs.parent.glob("lib/python*/site-packages")
        answer = self._run([python, "-c", FUNCTION], next(packages) / "prebooking" / "_files", "", **self.variables())
        found: dict[str, object] = json.loads(answer.splitlines()[-1])
        return found

    def variables(self) -> dict[str, str]:
        return {name: value or "" for name, value in dotenv_values(self.folder / ".env", interpolate=False).items()}

    def _run(self, command: list[str], folder: Path, answers: str, **variables: str) -> str:
        environment = {"PATH": str(self.programs), "HOME": str(self.folder), "DATABASE_URL": self.database} | variables
        done = subprocess.run(
            command, cwd=folder, env=environment, input=answers, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout


def commands(day: str) -> list[list[str]]:
    """Return the commands of README's section about the installation, with another day."""
    section = (ROOT / "README.md").read_text().split("\n## Install")[1].split("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    lines = [re.sub(r"\d{4}-\d\d-\d\d", day, line) for block in blocks for line in block.splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def test_the_commands_of_the_first_screen_book_a_class(wheel: Path, empty: Stack, tmp_path: Path) -> None:
    begins = datetime.now(MADRID).replace(hour=19, minute=30, second=0, microsecond=0) + timedelta(days=3)
    empty.twin.open_box(HOST, box_id=10584, name="Box Centro")
    empty.twin.join(MEMBER, PASSWORD)
    empty.twin.open_class(
        "10001",
        opens_at=begins - timedelta(days=4),
        capacity=1,
        name="WOD",
        day=f"{begins:%Y%m%d}",
        time=f"{begins:%H:%M}",
        box=HOST,
    )
    (pipx, *rest) = commands(f"{begins:%Y-%m-%d}")
    assert pipx == ["pipx", "install", "prebooking-scheduler[cli]"]
    database = f"postgresql://postgres@/postgres?host={quote(str(empty.postgres.folder))}&port=5432"
    operator = Operator(install_wheel(wheel, tmp_path / "clean", "cli"), tmp_path / "folder", database)
    answers = {"init": "y\n", "login": f"{PASSWORD}\n"}
    outputs = {}
    for words in rest:
        outputs[words[1]] = operator.types(words, answers.get(words[1], ""))
        if words[1] == "secrets":
            fill_in(operator.folder / ".env", empty)
    assert list(outputs) == ["secrets", "init", "venue", "login", "add", "list"]
    assert "The database is up to date" in outputs["init"]
    assert operator.calls_the_function()["outcomes"] == {"booked": 1}
    booked = [(act.member, act.class_id, act.state) for act in empty.twin.ledger.bookings()]
    assert booked == [(MEMBER, "10001", State.BOOKED)]
    assert "booked" in operator.types(["prebooking", "list"], "")
    assert "unknown, because upkeep has not called yet" in operator.types(["prebooking", "version"], "")


def fill_in(file: Path, stack: Stack) -> None:
    """Put the addresses and the key of the project into .env, as an operator does by hand."""
    lines = file.read_text()
    for name in ("SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"):
        assert f"\n{name}=\n" in lines
        lines = lines.replace(f"\n{name}=\n", f"\n{name}={stack.environment[name]}\n")
    file.write_text(f"{lines}AIMHARDER_TWIN_URL={stack.environment['AIMHARDER_TWIN_URL']}\n")


def test_the_wheel_has_what_is_not_a_module_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert wheel.name == f"prebooking_scheduler-{prebooking.__version__}-py3-none-any.whl"
    tracked = subprocess.run(["git", "-C", str(ROOT), "ls-files"], check=True, capture_output=True, text=True).stdout
    files = tracked.splitlines()
    folders = ("api/", "public/", "supabase/migrations/", "supabase/schemas/", "vercel.json", "pyproject.toml")
    assert {name for name in names if name.startswith("prebooking/_files/")} == {
        f"prebooking/_files/{name}" for name in files if name.startswith(folders)
    }
    assert {name for name in names if not name.startswith("prebooking/_files/") and ".dist-info/" not in name} == {
        name for name in files if name.startswith("prebooking/")
    }
