"""A preview of the project on Vercel has the production's variables, and does nothing with them."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tests.support.database import Rest
from tests.support.functions import client_of, set_environment

ROOT = Path(__file__).parents[2]
FUNCTIONS = sorted(str(path.relative_to(ROOT).with_suffix("")) for path in ROOT.glob("api/**/*.py"))
SECRET = "the-secret-of-the-tests"
STATUS_SECRET = "the-secret-of-the-page"  # the page refuses that of the cron


async def status(function: str) -> int:
    """Call a function with the right secret, and return the status of its answer."""
    module = importlib.import_module(function.replace("/", "."))
    async with client_of(module.app) as client:
        secret = STATUS_SECRET if function == "api/status" else SECRET
        return (await client.get(f"/{function}", headers={"authorization": f"Bearer {secret}"})).status_code


@pytest.fixture(autouse=True)
def configured(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, rest, CRON_SECRET=SECRET, METRICS_SECRET=SECRET, STATUS_SECRET=STATUS_SECRET)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("environment", ["preview", "development"])
async def test_no_function_runs_outside_production(
    function: str, environment: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VERCEL_ENV", environment)
    assert await status(function) in {500, 503}
    assert "RUN_OUTSIDE_PRODUCTION" in capsys.readouterr().out


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    "variables",
    [{}, {"VERCEL_ENV": "production"}, {"VERCEL_ENV": "preview", "RUN_OUTSIDE_PRODUCTION": "true"}],
    ids=["elsewhere", "production", "allowed"],
)
async def test_every_function_runs_elsewhere(
    function: str, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert await status(function) < 500
