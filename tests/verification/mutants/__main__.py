"""``make mutants``."""

import signal
import sys

from prebooking.local.program import run

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # also then end what was started, and remove the copies
    sys.exit(run("tests.verification.mutants.check"))
