"""What several tests of the venue twin need."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings

from tests.support.venues import on_virtual_time, over_sockets


@pytest.fixture(params=[on_virtual_time, over_sockets])
def carried(request: pytest.FixtureRequest) -> Any:
    """Either way to reach the twin."""
    return request.param


# The same examples in every run, with no clock that a busy machine could miss and no folder of failures.
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")
