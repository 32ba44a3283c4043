"""One stack for the tests of a file; each test adds its own rows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from prebooking.local.stack import Stack, local_stack


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with local_stack() as stack:
        yield stack
