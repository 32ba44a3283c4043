"""``make dev``: runs the local stack until Ctrl-C, with commands to paste, and a ticker in place of cron-job.org."""

from __future__ import annotations

import sys

from prebooking.local.program import run

if __name__ == "__main__":
    sys.exit(run("prebooking.local.dev.playground"))
