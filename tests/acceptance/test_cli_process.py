"""The installed command as a process: in a pipe, without colours, and interrupted."""

from __future__ import annotations

import os
import pty
import select
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from prebooking.local.stack import Stack
from tests.support.factories import add_prebooking, add_venue
from tests.support.programs import ROOT, closed_pipe, run_python

COMMAND = str(Path(sys.executable).parent / "prebooking")
# The parent of the test run may ignore SIGINT, and child processes inherit that.
HAS_A_TERMINAL = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
CTRL_C = b"\x03"
TERMINAL_READS = 120  # reads of at most half a second until a program at a terminal is killed
HEEDS_CTRL_C = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "import prebooking.cli; prebooking.cli.main()"
)

# The modules are imported once.
EACH_IN_A_PROCESS = """
import os, sys, prebooking.cli.app
for words in ("list", "doctor", "run", "login box", "venue list", "bell off"):
    if os.fork() == 0:
        sys.argv[1:] = words.split()
        prebooking.cli.main()
        break
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""


def run(*words: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return run_python(COMMAND, *words, folder=folder, environment=keep | environment)


def database(stack: Stack) -> dict[str, str]:
    return {name: stack.environment[name] for name in ("SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY")}


def test_the_installed_command_lists_in_a_pipe_without_colours(stack: Stack, tmp_path: Path) -> None:
    row = add_prebooking(stack.connection, add_venue(stack.connection, name="A box with a very long name " * 2))
    result = run("list", folder=tmp_path, **database(stack), PYTHONIOENCODING="utf-8")
    assert (result.returncode, result.stderr) == (0, "")
    [line] = [line for line in result.stdout.splitlines() if str(row)[:8] in line]
    assert "A box with a very long name " * 2 in line
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize(("variable", "coloured"), [("FORCE_COLOR", True), ("NO_COLOR", False)])
def test_no_color_switches_colours_off(stack: Stack, tmp_path: Path, variable: str, *, coloured: bool) -> None:
    add_prebooking(stack.connection, add_venue(stack.connection))
    result = run("list", folder=tmp_path, **database(stack), **{variable: "1"}, TERM="xterm-256color")
    assert result.returncode == 0
    assert ("\x1b[" in result.stdout) == coloured


def test_a_terminal_that_knows_only_ascii_gets_ascii(stack: Stack, tmp_path: Path) -> None:
    add_prebooking(stack.connection, add_venue(stack.connection, name="Ñandú"))
    result = run("venue", "list", folder=tmp_path, **database(stack), PYTHONIOENCODING="ascii:replace")
    assert result.returncode == 0
    assert result.stdout.isascii()


def test_a_dotenv_file_adds_what_the_environment_lacks(stack: Stack, tmp_path: Path) -> None:
    settings = database(stack)
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    assert run("list", folder=tmp_path).returncode == 0
    result = run("list", folder=tmp_path, SUPABASE_URL="http://127.0.0.1:9")
    assert (result.returncode, result.stdout) == (1, "")
    assert "SUPABASE_SERVICE_ROLE_KEY is in the .env of this folder" in result.stderr
    elsewhere = settings | {"SUPABASE_URL": "http://127.0.0.1:9"}
    assert "cannot be reached" in run("list", folder=tmp_path, **elsewhere).stderr
    assert run("list", folder=tmp_path, SUPABASE_URL=" ").returncode == 0, "a blank variable is none"


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_a_dotenv_file_that_is_not_utf_8_is_an_error_with_the_cure(tmp_path: Path, encoding: str) -> None:
    (tmp_path / ".env").write_text("PREBOOKING_MEMBER=señor@example.com\n", encoding=encoding)
    cure = "Error: The .env in this folder is not in UTF-8: save it as that, or delete it.\n"
    result = run_python("-c", EACH_IN_A_PROCESS, folder=tmp_path, environment={"PYTHONPATH": str(ROOT)})
    assert (result.returncode, result.stdout, result.stderr) == (0, "1\n" * 6, cure * 6)


def test_a_closed_pipe_causes_no_traceback(stack: Stack, tmp_path: Path) -> None:
    venue = add_venue(stack.connection)
    for _ in range(200):
        add_prebooking(stack.connection, venue)
    with closed_pipe() as closed:
        result = run_python(COMMAND, "list", "--json", folder=tmp_path, stdout=closed, environment=database(stack))
    assert "Traceback" not in result.stderr
    assert result.returncode == 141, "as a program that SIGPIPE ends"


def test_ctrl_c_ends_a_waiting_command_with_130_and_no_traceback(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment = {"SUPABASE_URL": f"http://127.0.0.1:{silent.getsockname()[1]}", "PATH": os.environ["PATH"]}
        waiting = subprocess.Popen(
            [sys.executable, "-c", HEEDS_CTRL_C, "list"],
            cwd=tmp_path,
            env=environment | {"SUPABASE_SERVICE_ROLE_KEY": "sb_secret_of_the_tests"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        silent.settimeout(30)
        with silent.accept()[0]:
            waiting.send_signal(signal.SIGINT)
            out, err = waiting.communicate(timeout=30)
    assert (waiting.returncode, out) == (130, "")
    assert "Traceback" not in err


@pytest.mark.parametrize("module", ["prebooking.cli.app", "typer", "httpx", "prebooking.cli.venues"])
def test_ctrl_c_during_the_imports_exits_with_130_without_output(module: str) -> None:
    interrupted = at_import(f"name == {module!r}", "signal.raise_signal(signal.SIGINT)")
    result = run_python("-c", f"{interrupted}{HEEDS_CTRL_C}", "list")
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "")


def at_import(condition: str, statement: str) -> str:
    """Return a program that runs a statement at the import of some modules."""
    return (
        "import sys, importlib.abc, signal\n"
        "class Finder(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if {condition}:\n"
        f"            {statement}\n"
        "sys.meta_path.insert(0, Finder())\n"
    )


LOGIN = ("login", "At the terminal", "--member", "ana@example.com")


def at_a_terminal(
    stack: Stack, folder: Path, keys: bytes, *, words: tuple[str, ...] = LOGIN, prompt: bytes = b"at the venue: "
) -> tuple[int, str]:
    """Run a command at a terminal, typing this at the prompt; return the exit code and the whole output."""
    ours, theirs = pty.openpty()
    needed = ("SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY", "SESSION_ENCRYPTION_KEY", "AIMHARDER_TWIN_URL")
    process = subprocess.Popen(
        [sys.executable, "-c", HAS_A_TERMINAL + HEEDS_CTRL_C, *words],
        cwd=folder,
        env={name: stack.environment[name] for name in needed} | {"PATH": os.environ["PATH"]},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown, typed = b"", False
    with process, suppress(OSError):  # Linux signals the end like this
        for _ in range(TERMINAL_READS):
            if select.select([ours], [], [], 0.5)[0]:
                shown += os.read(ours, 4096)
                is_prompting = not typed and shown.endswith(prompt)
            else:  # a signal right before the process waits for input is only handled after the next one
                is_prompting = keys == CTRL_C and typed
            if is_prompting:
                typed = os.write(ours, keys) > 0
        process.kill()
    os.close(ours)
    return process.returncode, shown.decode()


def test_the_password_prompt_does_not_echo(stack: Stack, tmp_path: Path) -> None:
    host = "terminal.aimharder.com"
    stack.twin.open_box(host, box_id=5150)
    stack.twin.join("ana@example.com", "open sesame")
    venue = add_venue(stack.connection, name="At the terminal", provider="aimharder", host=host)
    code, shown = at_a_terminal(stack, tmp_path, b"open sesame\n")
    assert "Password of ana@example.com at the venue:" in shown
    assert "open sesame" not in shown
    assert (code, "is logged in" in " ".join(shown.split())) == (0, True)
    found = stack.connection.execute("select user_email from member_sessions where venue_id = %s", [venue])
    assert found.fetchall() == [("ana@example.com",)]


def test_ctrl_c_at_the_password_prompt_exits_at_once(stack: Stack, tmp_path: Path) -> None:
    """A second Ctrl-C, while the process ends, kills it by the signal, which a shell shows as 130 too."""
    code, shown = at_a_terminal(stack, tmp_path, CTRL_C)
    assert code in {130, -signal.SIGINT}
    assert "Traceback" not in shown


def test_the_prompt_for_the_database_does_not_echo(stack: Stack, tmp_path: Path) -> None:
    code, shown = at_a_terminal(stack, tmp_path, b"open sesame\n", words=("init",), prompt=b"not shown): ")
    assert "The database's address" in shown
    assert "open sesame" not in shown
    assert (code, "That is no address" in shown) == (2, True)
    code, shown = at_a_terminal(stack, tmp_path, CTRL_C, words=("init",), prompt=b"not shown): ")
    assert code in {130, -signal.SIGINT}
    assert "Traceback" not in shown


def without_the_extra(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program without the packages of the cli extra."""
    extra = {"typer", "click", "rich", "dotenv", "tzdata", "shellingham"}
    missing = at_import(f"name.split('.')[0] in {extra}", "raise ModuleNotFoundError(name, name=name)")
    return run_python("-c", missing + program)


@pytest.mark.parametrize("function", ["prebooking_scheduler", "session_keeper", "upkeep"])
def test_a_function_imports_no_command_line_module(function: str) -> None:
    loaded = "print([name for name in sys.modules if name.startswith('prebooking.cli')])"
    result = without_the_extra(f"import api.cron.{function}\n{loaded}")
    assert (result.returncode, result.stdout) == (0, "[]\n"), result.stderr


def test_only_init_loads_the_driver_of_the_database() -> None:
    """It takes an eighth of the start of a command."""
    result = run_python("-c", "import sys, prebooking.cli.app; print('psycopg' in sys.modules)")
    assert (result.returncode, result.stdout) == (0, "False\n"), result.stderr


def test_without_its_extra_the_command_says_what_to_install() -> None:
    result = without_the_extra("import prebooking.cli\nprebooking.cli.main()")
    assert (result.returncode, result.stdout) == (1, "")
    assert (
        result.stderr
        == "Error: typer is missing: install the command line with `pip install 'prebooking-scheduler[cli]'`.\n"
    )
