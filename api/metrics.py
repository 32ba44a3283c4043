"""The function that a Prometheus server reads: the scheduler's figures. Importing it needs no settings."""

from __future__ import annotations

import gc

gc.disable()  # during the imports, which create no garbage: collecting takes a fifth of a cold start

import os  # noqa: E402 - as above

from fastapi.responses import PlainTextResponse, Response  # noqa: E402 - as above

from prebooking.errors import StoreError  # noqa: E402 - as above
from prebooking.function.endpoint import Trigger, json_answer, secured_app  # noqa: E402 - as above
from prebooking.metrics import CONTENT_TYPE, read_metrics  # noqa: E402 - as above
from prebooking.settings import BUFFER, MAX_DURATION, Settings, WatchSettings  # noqa: E402 - as above


def secrets(_: Settings) -> list[str]:
    """Return the accepted bearer tokens. Without one, the function is off."""
    secret = WatchSettings.from_environment(os.environ).metrics_secret
    return [secret.get_secret_value()] if secret else []


async def respond(trigger: Trigger) -> Response:
    """Answer with the figures, or with 500, which a Prometheus server stores as ``up 0``."""
    until = trigger.guard(MAX_DURATION - BUFFER)
    try:
        text = await read_metrics(trigger.settings, instance_id=trigger.instance_id, until=until, clock=trigger.clock)
    except StoreError as exc:
        trigger.log.error("metrics_failed", function=exc.function, code=exc.code)  # noqa: TRY400 - it is no logger
    except Exception as exc:  # noqa: BLE001 - log it with the request id, which the platform would not do
        trigger.log.unexpected("unexpected", exc)
    else:
        return PlainTextResponse(text, headers={"Cache-Control": "no-store", "Content-Type": CONTENT_TYPE})
    return json_answer(500, {"success": False, "error": "no_figures"})


app = secured_app(["/api/metrics"], ["GET"], secrets, respond)

gc.freeze()  # loaded modules are never garbage, so collections may skip them
gc.enable()
