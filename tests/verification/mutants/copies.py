"""A copy of the project in which one mutant at a time is tried."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.verification.mutants.mutant import ROOT, Mutant, node_id

TEST_TIME = 60  # seconds after which a single test has noticed, because it hangs
TIME = 600  # the same for all that one process runs
_NOTICED = 1  # exit status: a test failed, or the proof found a violation
_INTERRUPTED = 2  # exit status: a file of tests cannot even be imported

# Processes are forked from one that has these imported already: that is three quarters of what a short test costs.
_LIBRARIES = ["aiohttp.web", "cryptography.hazmat.primitives.ciphers.aead", "fastapi", "hypothesis", "psycopg_pool"]
_LIBRARIES += ["psycopg", "pytest", "respx", "rich.table", "supabase", "trustme", "typer", "uvicorn"]
_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(_LIBRARIES)
# Of an imported library pytest says that it cannot rewrite its assertions, and warnings are errors.
_OPTIONS = ["-x", "-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]


class BadTests(Exception):
    """No mutant can be tried on these tests: they fail without any, or pytest does not find them."""


class Copy:
    """The project's files as they are now, in a folder of their own. Nothing outside of it is changed."""

    def __init__(self, folder: Path) -> None:
        self._root, self._output = folder / "project", folder / "output"
        command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listing = subprocess.run(command, check=True, capture_output=True, text=True)
        for name in filter(None, listing.stdout.split("\0")):
            if (ROOT / name).is_file():
                (self._root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self._root / name)

    @contextmanager
    def mutated(self, mutant: Mutant) -> Iterator[None]:
        """Change the copy for as long as the block lasts."""
        path = self._root / mutant.file
        original = path.read_text()
        _write(path, mutant.applied(original))
        try:
            yield
        finally:
            _write(path, original)

    async def tests_notice(self, tests: Iterable[str]) -> str:
        """Run tests until one fails, and return which; nothing if all pass."""
        nodes = [node_id(test) for test in tests]
        status, printed = await self._run("pytest", [*_OPTIONS, f"--timeout={TEST_TIME}", *nodes])
        if status is None:
            return f"no end within {TIME} s"
        failed = re.findall(r"^(?:FAILED|ERROR) ([^\s\[]+)", printed, re.MULTILINE)
        if status not in (0, _NOTICED, _INTERRUPTED) and not failed:  # a process may crash after a test has failed
            raise BadTests(printed[-2000:])
        return "" if status == 0 else failed[0] if failed else f"a test that hangs, of {' '.join(nodes)}"

    async def proof_notices(self, part: str, *, seeds: int) -> str:
        """Run a part of the proof, and return its name if it finds anything."""
        status, _ = await self._run("tests.verification", [], PART=part, SEEDS=str(seeds))
        return "" if status == 0 else f"proof: {part}"

    async def _run(self, module: str, arguments: Sequence[str], **variables: str) -> tuple[int | None, str]:
        """Run a module in the copy, and return its exit status (None: it was still running) and what it printed."""
        process = _FORKED.Process(target=_become, args=(module, arguments, self._root, self._output, variables))
        process.start()
        try:
            await asyncio.to_thread(process.join, TIME)
            status = process.exitcode
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid or 0, signal.SIGKILL)  # also what a test has started and left
            process.join()
        return status, self._output.read_text()


def _become(module: str, arguments: Sequence[str], root: Path, output: Path, variables: dict[str, str]) -> None:
    """Become ``python -m module`` in the copy: nothing of the project is imported yet, or it is forgotten here."""
    os.setsid()
    os.chdir(root)
    with output.open("w") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    os.environ.update(variables, PYTHONPATH=str(root))
    sys.argv = [module, *arguments]
    sys.path[:] = [str(root), *(path for path in sys.path if path and Path(path) != ROOT)]
    for name in [*sys.modules]:
        if name.partition(".")[0] in ("api", "prebooking", "tests"):
            del sys.modules[name]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _write(path: Path, text: str) -> None:
    """Write a source file and remove its compiled form, which Python would use if time and size are the same."""
    path.write_text(text)
    for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
        compiled.unlink()
