"""``make browser``: runs the tests of the operator's page, or prints one line where there is no Chromium."""

from __future__ import annotations

import os
import sys

import pytest

from tests.browser.installed import NO_CHROMIUM, chromium

if __name__ == "__main__":
    if chromium(os.environ) is None:
        sys.stdout.write(f"{NO_CHROMIUM}\n")
        sys.exit(0)
    sys.exit(pytest.main(["-n", "0", "tests/browser", *sys.argv[1:]]))
