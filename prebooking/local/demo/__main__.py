"""``make demo``: runs the scheduler on this machine, and compares the venues' ledger with the database."""

from __future__ import annotations

import sys

from prebooking.local.program import run

if __name__ == "__main__":
    sys.exit(run("prebooking.local.demo.walkthrough"))
