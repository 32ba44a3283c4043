"""The function that the operator's page asks: the state of the scheduler as JSON. Importing it needs no settings."""

from __future__ import annotations

import gc

gc.disable()  # during the imports, which create no garbage: collecting takes a fifth of a cold start

import os  # noqa: E402 - as above
from collections.abc import Awaitable, Callable  # noqa: E402 - as above
from typing import Any  # noqa: E402 - as above
from uuid import UUID  # noqa: E402 - as above

from fastapi.responses import Response  # noqa: E402 - as above

from prebooking.clock import Deadline  # noqa: E402 - as above
from prebooking.database.client import IsolatedSupabase, create_isolated_supabase  # noqa: E402 - as above
from prebooking.errors import NOT_MIGRATED, SettingsError, StoreError  # noqa: E402 - as above
from prebooking.function.endpoint import Trigger, json_answer, secured_app  # noqa: E402 - as above
from prebooking.page.problems import PageSettings  # noqa: E402 - as above
from prebooking.page.read import read_member, read_page, read_prebooking  # noqa: E402 - as above
from prebooking.settings import BUFFER, MAX_DURATION, Settings, WatchSettings  # noqa: E402 - as above

# What a person asks for by the id of a prebooking.
QUESTIONS = {"prebooking": read_prebooking, "member": read_member}
_BAD_QUESTION = "ask for nothing, or for ?prebooking=<id> or ?member=<id>, where the id is a prebooking's UUID"
_EQUAL = "is also the secret of the cron: browsers keep this one, so give it a value of its own"
_MIGRATE = "the database lacks migrations of this version: run `prebooking init`"


def secrets(settings: Settings) -> list[str]:
    """Return the accepted bearer tokens. Without one, the function is off. Raises a SettingsError."""
    secret = WatchSettings.from_environment(os.environ).status_secret
    if secret is None:
        return []
    if secret.get_secret_value() in settings.cron_secrets:
        raise SettingsError({"STATUS_SECRET": _EQUAL})
    return [secret.get_secret_value()]


async def respond(trigger: Trigger) -> Response:
    """Answer with the page, one prebooking or one member. Without the database's answer, with 500."""
    try:
        question = _question(trigger.query)
    except ValueError:
        return json_answer(400, {"success": False, "error": "bad_question", "message": _BAD_QUESTION})
    try:
        return await _answer(trigger, *question)
    except StoreError as exc:
        cure = {"cure": _MIGRATE} if exc.code in NOT_MIGRATED else {}
        trigger.log.error("status_failed", function=exc.function, code=exc.code, **cure)  # noqa: TRY400 - it is no logger
        if cure:
            return json_answer(500, {"success": False, "error": "database_not_migrated"})
    except Exception as exc:  # noqa: BLE001 - log it with the request id, which the platform would not do
        trigger.log.unexpected("unexpected", exc)
    return json_answer(500, {"success": False, "error": "no_answer_of_the_database"})


def _question(query: tuple[tuple[str, str], ...]) -> tuple[str | None, UUID]:
    """Return the name and the id of the question. Raises a ValueError if it is none."""
    if not query:
        return None, UUID(int=0)
    [(name, row)] = query
    if name not in QUESTIONS or len(row) != len(str(UUID(int=0))):  # UUID() reads other spellings too
        raise ValueError
    return name, UUID(row)


async def _answer(trigger: Trigger, name: str | None, row: UUID) -> Response:
    until = trigger.guard(MAX_DURATION - BUFFER)
    async with create_isolated_supabase(trigger.settings, trigger.instance_id, clock=trigger.clock) as database:
        if name is None:
            return json_answer(200, await read_page(database, _page_settings(trigger), until=until))
        return await _answer_about(trigger, name, row, database, until)


async def _answer_about(
    trigger: Trigger, name: str, row: UUID, database: IsolatedSupabase, until: Deadline
) -> Response:
    read: Callable[..., Awaitable[dict[str, Any] | None]] = QUESTIONS[name]
    found = await read(database, row, until=until)
    if found is None:
        return json_answer(404, {"success": False, "error": "no_such_prebooking"})
    if name == "member":
        trigger.log.info("address_shown", prebooking=str(row))
    return json_answer(200, found)


def _page_settings(trigger: Trigger) -> PageSettings:
    watch = WatchSettings.from_environment(os.environ)
    return PageSettings(lead=f"{trigger.settings.lead_seconds:g}", has_watchdog=watch.heartbeat_url is not None)


app = secured_app(["/api/status"], ["GET"], secrets, respond)

gc.freeze()  # loaded modules are never garbage, so collections may skip them
gc.enable()
