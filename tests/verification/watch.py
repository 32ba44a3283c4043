"""Watches processes: the addresses they connect to, their log at DEBUG, and their memory."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prebooking.local.function import Function

_AUDIT_HOOK = Path(__file__).parent / "audit_hook"


@dataclass(frozen=True, slots=True)
class Watch:
    """What processes in its environment do: ``log`` has their lines, ``notes`` their connections."""

    notes: Path
    log: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that a watched process needs."""
        return {"PYTHONPATH": str(_AUDIT_HOOK), "CONNECTIONS_NOTED_IN": str(self.notes)}

    def function(self, environment: Mapping[str, str]) -> Function:
        """Return the function in a watched process, as a context manager."""
        return Function({**environment, **self.environment}, log=self.log.append)

    def connections(self) -> list[tuple[str, int]]:
        """Return every address that a process has connected to or looked up, in order."""
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return [_address(about) for _, about in map(json.loads, lines)]


def _address(about: Any) -> tuple[str, int]:
    host, port = about[:2] if isinstance(about, list) else (about, 0)
    return str(host), int(port or 0)


@contextmanager
def watching() -> Iterator[Watch]:
    """Watch processes; remove the notes at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="watch-") as folder:
        yield Watch(Path(folder) / "connections")


class Memory:
    """The memory of a process in bytes, on Linux."""

    def __init__(self, pid: int) -> None:
        self._process = Path(f"/proc/{pid}")
        (self._process / "clear_refs").write_text("5")  # resets the peak
        self.before = self._read("VmRSS")

    @classmethod
    def note(cls) -> str:
        """Return a note for the table if memory cannot be measured."""
        return "" if cls.can_be_measured() else "; memory not measured on this system"

    @staticmethod
    def can_be_measured() -> bool:
        """Return whether this system has the files of ``/proc``."""
        return Path("/proc/self/clear_refs").exists()

    def grown(self) -> int:
        """Return the peak minus the memory at the beginning."""
        return self._read("VmHWM") - self.before

    def _read(self, name: str) -> int:
        lines = (self._process / "status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
