"""What several tests of the venue twin need."""

from __future__ import annotations

from typing import Any

import pytest

from tests.venues import on_virtual_time, over_sockets


@pytest.fixture(params=[on_virtual_time, over_sockets])
def carried(request: pytest.FixtureRequest) -> Any:
    """Either way to reach the twin."""
    return request.param
