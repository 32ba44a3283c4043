"""Calls the functions as the cron does, in this process."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from prebooking.channels.settings import NotificationSettings
from prebooking.settings import Settings, WatchSettings
from tests.support.database import Rest
from tests.support.world import ENVIRONMENT

BEARER = {"authorization": f"Bearer {ENVIRONMENT['CRON_SECRET']}"}


def set_environment(monkeypatch: pytest.MonkeyPatch, rest: Rest, **variables: str) -> dict[str, str]:
    """Replace the settings in the environment by those of the tests, this database and these variables."""
    environment = ENVIRONMENT | {"SUPABASE_URL": rest.url, "SUPABASE_SERVICE_ROLE_KEY": rest.service_key} | variables
    for name in Settings.model_fields | NotificationSettings.model_fields | WatchSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


def client_of(app: Any) -> httpx.AsyncClient:
    """Return a client whose requests go to the function."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://function.example")


def logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return the log since the last look at it."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]
