"""``make demo``: the whole story on this machine, and whether the venue's ledger and the database agree at its end."""

from __future__ import annotations

import sys

from prebooking.local.program import run

if __name__ == "__main__":
    sys.exit(run("prebooking.local.demo.walkthrough"))
