"""Processes under watch: whom they connect to, what they log at its loudest, how much memory they take."""

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
    """What is seen of processes that run in its environment: ``log`` has their lines."""

    notes: Path
    log: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to be watched."""
        return {"PYTHONPATH": str(_AUDIT_HOOK), "CONNECTIONS_NOTED_IN": str(self.notes)}

    def function(self, environment: Mapping[str, str]) -> Function:
        """Return the function in a process that is watched, to be entered."""
        return Function({**environment, **self.environment}, log=self.log.append)

    def connections(self) -> list[tuple[str, int]]:
        """Return every address a process has connected to or looked up, in order."""
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return [_address(about) for _, about in map(json.loads, lines)]


def _address(about: Any) -> tuple[str, int]:
    host, port = about[:2] if isinstance(about, list) else (about, 0)
    return str(host), int(port or 0)


@contextmanager
def watching() -> Iterator[Watch]:
    """Watch, in a folder that is gone at the end."""
    with tempfile.TemporaryDirectory(prefix="watch-") as folder:
        yield Watch(Path(folder) / "connections")


class Memory:
    """A process's memory, in bytes, as the system counts it; Linux only."""

    def __init__(self, pid: int) -> None:
        self._process = Path(f"/proc/{pid}")
        (self._process / "clear_refs").write_text("5")  # the peak begins anew
        self.before = self._read("VmRSS")

    @classmethod
    def note(cls) -> str:
        """Return what a line of the table has to add where nothing is measured."""
        return "" if cls.can_be_measured() else "; memory not measured on this system"

    @staticmethod
    def can_be_measured() -> bool:
        """Say whether this system tells."""
        return Path("/proc/self/clear_refs").exists()

    def grown(self) -> int:
        """Return by how much it was more at its peak than at the beginning."""
        return self._read("VmHWM") - self.before

    def _read(self, name: str) -> int:
        lines = (self._process / "status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
