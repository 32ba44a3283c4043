"""``make mutants``."""

import signal
import sys

from tests.verification.mutants.check import main

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # also then end what was started, and remove the copies
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
