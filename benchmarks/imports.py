"""The CPU time of importing the function, in a new process each time, beside that of its two main libraries."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from statistics import median

TURNS = 9
# httpx imports its command line if click is installed, as it is here for the development tools, but not in production.
AS_DEPLOYED = "import sys; sys.modules['click'] = None; "
OURS, THEIRS = "import api.cron.prebooking_scheduler", "import fastapi, supabase"
PART = "import fastapi; from postgrest import AsyncPostgrestClient"


def figures() -> Iterator[tuple[str, str, str]]:
    costs: dict[str, list[float]] = {OURS: [], THEIRS: [], PART: []}
    for _ in range(TURNS):
        for statement, cost in costs.items():
            cost.append(cpu(statement))
    theirs = median(costs.pop(THEIRS))
    for statement, cost in costs.items():
        ours = median(cost)
        measured = f"{ours * 1000:.0f} ms against {theirs * 1000:.0f} ms CPU"
        yield f"{statement}, against {THEIRS}", f"{ours / theirs:.2f}", measured
    yield "where it goes, by library, each with what it is the first to import", "", where()


def cpu(statement: str) -> float:
    """Return the CPU time of a statement in a new interpreter, without the start of the interpreter."""
    program = f"import time; before = time.process_time(); {statement}; print(time.process_time() - before)"
    return float(python("-c", AS_DEPLOYED + program).stdout)


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True)  # noqa: S603 - this interpreter


def where() -> str:
    """Return the share of each top-level package in the import's own time."""
    shares: defaultdict[str, int] = defaultdict(int)
    for line in python("-X", "importtime", "-c", AS_DEPLOYED + OURS).stderr.splitlines()[1:]:
        own, _, name = line.removeprefix("import time:").split("|")
        shares[name.strip().split(".")[0]] += int(own)
    total = sum(shares.values())
    first = sorted(shares.items(), key=lambda share: -share[1])[:9]
    return ", ".join(f"{name} {100 * own / total:.0f} %" for name, own in first)
