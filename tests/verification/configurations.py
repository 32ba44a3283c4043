"""Bad configurations, which must fail closed; as a program, runs the functions under each of them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import httpx

from prebooking.settings import Settings
from tests.support.world import ENVIRONMENT

# A variable and a bad value. The value must not be shown, so all but numbers contain a canary.
BAD: list[tuple[str, str]] = [
    ("CRON_SECRET", ""),
    ("CRON_SECRET", "   \t "),
    ("CRON_SECRET", "canary-15-chars"),
    ("CRON_SECRET", " canary-with-a-blank-before"),
    ("CRON_SECRET", "canary-with-a-newline-after\n"),
    ("CRON_SECRET", "canary of several words, and long"),
    ("CRON_SECRET", "canary-señal-fuera-de-ascii"),
    ("CRON_SECRET_PREVIOUS", "canary-short"),
    ("CRON_SECRET_PREVIOUS", "canary-with-a-tab-after\t"),
    ("SUPABASE_URL", ""),
    ("SUPABASE_URL", "canary.supabase.co"),
    ("SUPABASE_URL", "postgres://canary.supabase.co"),
    ("SUPABASE_URL", "http://canary.supabase.co"),
    ("SUPABASE_URL", "https://canary.supabase.co/rest/v1"),
    ("SUPABASE_URL", "https://user:canary@project.supabase.co"),
    ("SUPABASE_URL", "https://project.supabase.co:canary"),
    ("SUPABASE_URL", "https://canary.supabase.co\r\nX-Header: 1"),
    ("SUPABASE_SERVICE_ROLE_KEY", ""),
    ("SUPABASE_SERVICE_ROLE_KEY", "sb_publishable_canary0123456789"),
    ("SUPABASE_SERVICE_ROLE_KEY", "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYW5vbiJ9.canary"),
    ("SUPABASE_SERVICE_ROLE_KEY", "sb_secret_canary\nsecond-line"),
    ("BOOKING_WEBHOOK_URL", "http://canary.example/book"),
    ("BOOKING_WEBHOOK_URL", "https://canary/book"),
    ("BOOKING_WEBHOOK_URL", "https://169.254.169.254/canary"),
    ("BOOKING_WEBHOOK_URL", "https://canary@book.example.com"),
    ("BOOKING_WEBHOOK_URL", "ftp://canary.example"),
    ("BOOKING_WEBHOOK_SECRET", "canary-short"),
    ("BOOKING_WEBHOOK_SECRET", "canary-señal-fuera-de-ascii"),
    ("SESSION_ENCRYPTION_KEY", "canary"),
    ("SESSION_ENCRYPTION_KEY", "canary+that+is+base64+of+28+bytes+AA=="),
    ("SESSION_ENCRYPTION_KEY_PREVIOUS", "canary-that-is-no-base64-of-32-bytes"),
    ("AIMHARDER_TWIN_URL", "http://127.0.0.1:9/canary"),
    ("EXECUTION_TIMEOUT_SECONDS", "8.0013579"),
    ("EXECUTION_TIMEOUT_SECONDS", "canary"),
    ("EXECUTION_TIMEOUT_SECONDS", "nan"),
    ("STAGGER_MS", "9.7531"),
    ("STAGGER_MS", "canary"),
    ("LEAD_SECONDS", "-0.24680"),
    ("LEAD_SECONDS", "inf"),
    ("LEASE_SECONDS", "27.97531"),
    ("LEASE_SECONDS", "canary"),
    ("RUN_OUTSIDE_PRODUCTION", "canary"),
    ("VERCEL_ENV", "preview-canary"),
]

_ENVIRONMENT = ENVIRONMENT | {
    "SUPABASE_URL": "https://project.supabase.co",
    "BOOKING_WEBHOOK_URL": "https://book.example.com/prebookings",
}
BEARERS = [f"Bearer {ENVIRONMENT['CRON_SECRET']}", "Bearer None", "Bearer undefined", "Bearer ", ""]


async def _answers(value: str) -> list[tuple[int, str]]:
    """Call the functions with the right secret, the bad value and what a missing secret may turn into."""
    from api.cron import prebooking_scheduler, session_keeper, upkeep  # noqa: PLC0415 - imported in the watched process

    answers = []
    for module in (prebooking_scheduler, session_keeper, upkeep):
        name = module.__name__.rpartition(".")[2]
        transport = httpx.ASGITransport(module.app)
        async with httpx.AsyncClient(transport=transport, base_url="https://app.example") as client:
            for bearer in [*BEARERS, f"Bearer {value.strip()}"]:
                header = [(b"authorization", bearer.encode("latin-1"))]
                answer = await client.post(f"/api/cron/{name}", headers=header)
                answers.append((answer.status_code, answer.text))
    return answers


def _note(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")


def main() -> None:
    """Try all configurations; the log lines after a configuration's number belong to it."""
    for number, (name, value) in enumerate(BAD):
        for variable in ["VERCEL_ENV", *(field.upper() for field in Settings.model_fields)]:
            os.environ[variable] = _ENVIRONMENT.get(variable, "")
        os.environ[name] = value
        _note(configuration=number)
        _note(answers=asyncio.run(_answers(value)))


if __name__ == "__main__":
    main()
