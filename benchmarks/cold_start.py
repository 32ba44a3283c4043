"""The time to the first answer of a new instance: the function beside the smallest app with one RPC."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median

from benchmarks.called import OURS, SMALLEST, CalledApp
from prebooking.local.stack import Stack

TURNS = 11
WEBHOOK_ALONE = {"SESSION_ENCRYPTION_KEY": "", "AIMHARDER_TWIN_URL": ""}


def figures(stack: Stack) -> Iterator[tuple[str, str, str]]:
    apps = {
        "the function": (OURS, WEBHOOK_ALONE),
        "the function with AimHarder set up": (OURS, {}),
        "the smallest app": (SMALLEST, {}),
    }
    costs: dict[str, list[tuple[float, float]]] = {name: [] for name in apps}
    for _ in range(1 + TURNS):
        for name, (module, environment) in apps.items():
            costs[name].append(spawned(module, stack.environment | environment))
    (cpu, wall), *others = ([median(one) for one in zip(*costs[name][1:], strict=True)] for name in reversed(apps))
    for name, (their_cpu, their_wall) in zip(list(apps)[1::-1], others, strict=True):
        yield (
            f"cold start: {name}, CPU from spawn to first answer, against the smallest app",
            f"{their_cpu / cpu:.2f}",
            f"{their_cpu * 1000:.0f} ms against {cpu * 1000:.0f} ms; by the wall clock {their_wall / wall:.2f}",
        )


def spawned(module: str, environment: dict[str, str]) -> tuple[float, float]:
    """Return the CPU time and the elapsed time from the start to the first answer, in seconds."""
    start = time.perf_counter()
    with CalledApp(module, environment) as app:
        return app.call(), time.perf_counter() - start
