"""``make demo-week``: runs a week in less than a minute, and compares the database with the venue's ledger."""

from __future__ import annotations

import sys

from prebooking.local.program import run

if __name__ == "__main__":
    sys.exit(run("prebooking.local.week.scenario"))
