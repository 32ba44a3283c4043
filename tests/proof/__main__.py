"""``make prove``."""

import sys

from tests.proof.prove import main

if __name__ == "__main__":
    sys.exit(main())
