"""The function that the cron calls every minute: book what is due. It imports with an empty environment."""

from __future__ import annotations

from prebooking.endpoint import Invocation, cron_app
from prebooking.invocation import run_once
from prebooking.model import Summary
from prebooking.report import Report


async def run(invocation: Invocation) -> Summary:
    """Book what is due, once."""
    return await run_once(
        invocation.settings,
        instance_id=invocation.instance_id,
        guard=invocation.guard(invocation.settings.execution_timeout_seconds),
        clock=invocation.clock,
        log=invocation.log,
    )


def failed(invocation: Invocation) -> Summary:
    """Say that it could not be done, when nobody foresaw why."""
    report = Report(invocation.instance_id, broken=True)
    return report.summary(now=invocation.clock.now(), execution_time=invocation.started.elapsed(invocation.clock))


app = cron_app("prebooking_scheduler", run, failed)
