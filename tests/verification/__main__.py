"""``make prove``."""

import sys

from prebooking.local.program import run

if __name__ == "__main__":
    sys.exit(run("tests.verification.prove"))
