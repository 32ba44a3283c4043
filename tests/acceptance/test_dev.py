"""``make dev``: pasting the commands that it prints, and ending it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from threading import Timer

import httpx
import pytest
from psycopg.conninfo import conninfo_to_dict

from prebooking.local.dev.timetable import ZONE

ROOT = Path(__file__).parents[2]
NEVER = "86400"  # seconds from tick to tick: at midnight
TIMEOUT = 60.0  # seconds that one step may take
TOGETHER = 240.0  # seconds that a test may take

Start = Callable[..., "Dev"]


class Dev:
    """The running program and its output so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process, self.printed = process, list[str]()
        self.read_until("Ctrl-C ends everything")

    def read_until(self, text: str) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.printed.append(line.rstrip("\n"))
            if text in line:
                return
        pytest.fail(f"it ended before it said {text!r}:\n" + "\n".join(self.printed))

    def line(self, text: str, *, of: str = "") -> str:
        """Return the only printed line that contains the text and starts like this."""
        (found,) = [line for line in self.printed if text in line and line.startswith(of)]
        return found

    def processes(self) -> list[int]:
        """Return pidfds of the program and all its descendants."""
        mine, parents = [self.process.pid], dict(_parents())
        for pid in mine:
            mine += [child for child, parent in parents.items() if parent == pid]
        return [descriptor for pid in mine if (descriptor := _descriptor(pid)) is not None]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that starts the program; it is killed at the end of the test, or when it hangs."""
    with contextlib.ExitStack() as ends:

        def start(*, every: str) -> Dev:
            command, pipe = [sys.executable, "-m", "prebooking.local.dev", "--every", every], subprocess.PIPE
            process = subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=subprocess.STDOUT, text=True)
            ends.enter_context(process)
            ends.callback(process.kill)
            watchdog = Timer(TOGETHER, process.kill)
            watchdog.start()
            ends.callback(watchdog.cancel)
            return Dev(process)

        yield start


def test_the_printed_commands_work_and_ctrl_c_stops_everything(start: Start) -> None:
    dev = start(every=NEVER)
    assert "INSERT 0 1" in paste(dev.line("'rowing'"))
    assert json.loads(post(dev.line("/prebooking_scheduler", of="curl")))["outcomes"] == {"booked": 1}
    assert "INSERT 0 1" in paste(dev.line("'spinning'"))
    seen = [[word.strip() for word in line.split("|")] for line in paste(dev.line("order by")).splitlines()]
    assert ["ada@example.com", "rowing", "completed", "booked"] in [line[:4] for line in seen]
    assert ["ben@example.com", "spinning", "pending"] in [line[:3] for line in seen]
    settings = dev.line("export ")
    for words, expected in [
        ("venue add", "Added Forge"),
        ("login", "is logged in at Forge"),
        ("classes", "Sprint"),
        ("add Forge", "Asked for Sprint at Forge"),
        ("list", "waiting"),
        ("repeat add", "Asked for WOD at Forge every"),
        ("skip", "Cancelled: WOD at Forge"),
        ("repeat list", "active"),
        ("run --dry-run", "A run would claim"),
        ("notify add mail", "ana@example.com is told by mail"),
        ("notify add ntfy", "ada@example.com is told by ntfy"),
        ("notify list", "my_classes"),
    ]:
        assert expected in paste(f"{settings}; {dev.line(f'prebooking {words}')}")
    for words, expected in [("status", "Last tick"), ("doctor", "settings: complete")]:
        post(dev.line("/prebooking_scheduler", of="curl"))  # otherwise the trigger is reported as dead after 90 s
        assert expected in paste(f"{settings}; {dev.line(f'prebooking {words}')}")
    assert "prebooking" in paste(f"{settings}; prebooking run")
    assert json.loads(post(dev.line("upkeep", of="curl")))["success"]
    check_page(dev.line("/#token="))
    channel = paste(f"{settings}; prebooking notify add ntfy other --language es --member ada@example.com").split()[-1]
    assert "has taken it" in paste(f"{settings}; prebooking notify test {channel}")
    inbox = dev.line("messages: http").split()[-1]
    assert "los mensajes llegan" in httpx.get(inbox, trust_env=False).text
    for box in ("Forge", "Granite"):
        week = [paste(f"{settings}; prebooking classes {box} {day}") for day in days(8)[::7]]
        assert all("WOD" in classes and "Gymnastics" in classes for classes in week)
    dev.process.send_signal(signal.SIGINT)
    dev.read_until("Stopped.")
    assert dev.process.wait(TIMEOUT) == 0
    assert "Traceback" not in "\n".join(dev.printed)
    with pytest.raises(subprocess.CalledProcessError):
        paste(dev.line("order by"))
    with pytest.raises(httpx.ConnectError):
        httpx.get(dev.line("  URL ").split()[1], trust_env=False)


@pytest.mark.skipif(
    not hasattr(os, "pidfd_open"), reason="only Linux can wait for the end of another program's process"
)
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_the_ticker_books_and_no_process_survives(start: Start, end: signal.Signals) -> None:
    dev = start(every="1")
    assert "INSERT 0 1" in paste(dev.line("'rowing'"))
    dev.read_until("1 prebooking: 1 booked")
    processes = dev.processes()
    assert len(processes) > 3  # it, the function, Postgres and its keeper
    dev.process.send_signal(end)
    assert all(map(_has_ended, processes))
    _, dsn, *_ = paste_words(dev.line("order by"))
    assert not Path(str(conninfo_to_dict(dsn)["host"])).exists()


def check_page(address: str) -> None:
    """Check that the operator's page is served, with its headers, and nothing else."""
    site, _, token = address.partition("#token=")
    with httpx.Client(base_url=site, trust_env=False, timeout=TIMEOUT) as client:
        answer = client.get("/")
        assert "<title>Prebooking scheduler</title>" in answer.text
        assert answer.headers["content-security-policy"].startswith("default-src 'self'; ")
        assert client.get("/page.js").headers["x-content-type-options"] == "nosniff"
        for other in ("/vercel.json", "/../vercel.json", "/public/page.js"):
            assert client.get(other).status_code == 404
    assert len(token) > 16


def days(number: int) -> list[str]:
    """Return today's date and those after it, at the boxes."""
    return [f"{datetime.now(ZONE) + timedelta(days=ahead):%Y-%m-%d}" for ahead in range(number)]


def paste(line: str) -> str:
    """Run the line in a shell; return its output."""
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=True, timeout=TIMEOUT, cwd="/")
    return done.stdout


def paste_words(line: str) -> list[str]:
    """Return the words of a command line, without its options."""
    return [word for word in shlex.split(line) if not word.startswith("-")]


def post(line: str) -> str:
    """Send the request of a curl command, also without curl."""
    if shutil.which("curl"):
        return paste(line)
    _, method, header, url = paste_words(line)
    name, _, value = header.partition(": ")
    return httpx.request(method, url, headers={name: value}, timeout=TIMEOUT, trust_env=False).text


def _parents() -> Iterator[tuple[int, int]]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            _, _, rest = stat.read_text().rpartition(")")
            yield int(stat.parent.name), int(rest.split()[1])


def _descriptor(pid: int) -> int | None:
    with contextlib.suppress(ProcessLookupError):
        return os.pidfd_open(pid)
    return None  # over already


def _has_ended(pidfd: int) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    try:
        return bool(poll.poll(TIMEOUT * 1000))
    finally:
        os.close(pidfd)
