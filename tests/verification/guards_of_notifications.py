"""The guards of the outbox, and the edits that remove them. The scenarios are seeds of the part "notifications"."""

from __future__ import annotations

from collections.abc import Callable

from tests.verification.guard import guard
from tests.verification.mutation import InSql
from tests.verification.notifications import run
from tests.verification.sim_database import SimDatabase

CLAIM, SETTLE, TELL = "claim_notifications_v1", "settle_notification_v1", "prebookings_tell"


def outbox_seeds(*seeds: int) -> Callable[[SimDatabase], list[str]]:
    """Return a scenario that runs seeds until one violates something."""

    def scenario(sim_database: SimDatabase) -> list[str]:
        for seed in seeds:
            violations = run(sim_database, seed).violations
            if found := [f"{name}: {wrong[0]}" for name, wrong in violations.items() if wrong]:
                return found
        return []

    return scenario


GUARDS_OF_NOTIFICATIONS = (
    guard(
        "a message is leased",
        outbox_seeds(0, 5),
        InSql(CLAIM, "next_at = t + interval '1 minute'\n    from free", "next_at = t\n    from free"),
    ),
    guard(
        "only the holder stores a result",
        outbox_seeds(22, 59),
        InSql(SETTLE, "and n.leased_by = p_instance and n.leased_until is not null and n.status", "and n.status"),
    ),
    guard(
        "an attempt whose upkeep was killed may have arrived",
        outbox_seeds(13, 23),
        InSql(CLAIM, "set unsure = n.unsure or n.leased_until is not null,", "set unsure = n.unsure,"),
    ),
    guard(
        "an attempt without an answer is repeated",
        outbox_seeds(0, 4),
        InSql(SETTLE, "when p_result = 'sent' then 'sent'", "when p_result in ('sent', 'unsure') then 'sent'"),
    ),
    guard(
        "a message is tried for a day",
        outbox_seeds(4, 20),
        InSql(SETTLE, "o.due_at <= t - interval '24 hours' then 'dead'", "o.attempts > 3 then 'dead'"),
    ),
    guard(
        "a message that nobody takes ends",
        outbox_seeds(46),
        InSql(
            SETTLE, "when p_result = 'gone' or o.due_at <= t - interval '24 hours' then", "when p_result = 'gone' then"
        ),
    ),
    guard(
        "a message is stored for every failure",
        outbox_seeds(2, 3),
        InSql(TELL, "new.status in ('completed', 'failed') then", "new.status = 'completed' then"),
    ),
)
