"""Virtual time, and a gate that is open."""

from __future__ import annotations

from prebooking.bookers import Gate
from prebooking.local.virtual_time import (
    EPOCH,
    DeadlockError,
    TasksLeftError,
    VirtualClock,
    VirtualTimeLoop,
    run_virtual,
)

__all__ = [
    "EPOCH",
    "DeadlockError",
    "TasksLeftError",
    "VirtualClock",
    "VirtualTimeLoop",
    "at_once",
    "run_virtual",
]

at_once = Gate(lambda: None)  # opens at once
