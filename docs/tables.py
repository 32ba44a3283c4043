"""Tables of what the code declares: variables, outcomes, evidence, venue systems."""

from __future__ import annotations

from docs.markdown import code, table
from prebooking.channels.settings import NotificationSettings
from prebooking.metrics import METRICS
from prebooking.model import COMPLETED, ENDED_BY_DATABASE, FAILED, SENTENCES, Kind
from prebooking.run.evidence import Evidence, proves
from prebooking.settings import Settings, WatchSettings
from prebooking.systems import SYSTEMS, Ability

# In the order of the setup.
_VARIABLES = {
    "CRON_SECRET": "who may call: the bearer token, at least 16 characters",
    "CRON_SECRET_PREVIOUS": "also accepted, during a rotation",
    "SUPABASE_URL": "the project's address alone: `https://<project>.supabase.co`",
    "SUPABASE_SERVICE_ROLE_KEY": "its secret key (`sb_secret_…` or the older `service_role` JWT); `SUPABASE_SECRET_KEY`"
    " is read as well",
    "BOOKING_WEBHOOK_URL": "for venues booked by [your endpoint](webhook.md): https, a public name",
    "BOOKING_WEBHOOK_SECRET": "the bearer token it is called with, at least 16 characters",
    "SESSION_ENCRYPTION_KEY": "for venues at AimHarder: 32 bytes in base64, which encrypt members' logins",
    "SESSION_ENCRYPTION_KEY_PREVIOUS": "also decrypts, during a rotation",
    "AIMHARDER_TWIN_URL": "AimHarder's twin in the local stack; refused anywhere else",
    "EXECUTION_TIMEOUT_SECONDS": "the guard: calls in flight are cut off after it",
    "STAGGER_MS": "from one call of a venue to the next",
    "LEAD_SECONDS": "how long before an opening a run claims its rows and holds them",
    "LEASE_SECONDS": "how long a claim lasts; at least the guard + 20",
    "RUN_OUTSIDE_PRODUCTION": "true in [a preview](deploy.md#previews) with a database of its own",
    "HEARTBEAT_URL": "[a watchdog outside](#when-all-is-dead), called after each upkeep: https, a public name",
    "METRICS_SECRET": "the bearer token of [the metrics](#metrics), at least 16 characters",
    "STATUS_SECRET": "the bearer token of [the page](#the-page), at least 16 characters",
    "APP_URL": "this deployment's own address, for the link in each mail that ends them: https and a host",
    "NOTIFY_WEBHOOK_URL": "[your webhook](notifications.md#webhook) for notifications: https, a public name",
    "NOTIFY_WEBHOOK_SECRET": "signs them: `whsec_` and 24 to 64 bytes in base64",
    "SMTP_URL": "[your mail server](notifications.md#mail): `smtps://user:password@host`, or `smtp://…` with STARTTLS",
    "MAIL_FROM": "the sender of the mails: `name@example.com`",
    "NTFY_URL": "the server of [ntfy](notifications.md#ntfy): https and a host",
    "NTFY_TOKEN": "its access token, if it needs one",
    "TELEGRAM_BOT_TOKEN": "[your bot](notifications.md#telegram), from @BotFather",
}
_FIELDS = NotificationSettings.model_fields | Settings.model_fields | WatchSettings.model_fields
_ABILITIES = {
    Ability.TIMETABLE: "show a day's classes",
    Ability.LOGINS: "keep members' logins",
    Ability.GIVE_BACK: "give a booking back",
    Ability.IDEMPOTENCY: "book once per `Idempotency-Key`, if the venue says so",
}
_PLACES = {
    Kind.BOOKED: "The member has the place.",
    Kind.ALREADY_BOOKED: "The venue says that the member had it already.",
    Kind.WAITLISTED: "The member is on the waiting list.",
    Kind.RECONCILED: "A call had no clear answer, and a later query found the place.",
}


def variables() -> str:
    """Return what the settings read, with defaults and limits."""
    names = [name.upper() for name in _FIELDS]
    if unknown := set(names) ^ _VARIABLES.keys():
        raise ValueError(f"no text in docs/tables.py, or no such variable: {sorted(unknown)}")
    rows = [(f"`{name}`", _needed(name), _meaning(name)) for name in _VARIABLES]
    return table(("variable", "needed, or default", "meaning"), rows)


def _needed(name: str) -> str:
    field = _FIELDS[name.lower()]
    return "yes" if field.is_required() else "" if field.default is None else str(field.default)


def _meaning(name: str) -> str:
    limits = {type(one).__name__: one for one in _FIELDS[name.lower()].metadata}
    least, most = (getattr(limits.get(kind.title()), kind, None) for kind in ("ge", "le"))
    if most is None:
        return _VARIABLES[name]
    return f"{_VARIABLES[name]}, " + (f"at most {most:g}" if least is None else f"{least:g} to {most:g}")


def outcomes() -> str:
    """Return every final outcome, and what it says."""
    ended = {kind: SENTENCES[kind] for kind in Kind if kind in ENDED_BY_DATABASE}
    completed = {kind: _PLACES[kind] for kind in Kind if kind in COMPLETED}
    failed = {kind: SENTENCES[kind] for kind in Kind if kind in FAILED}
    statuses = [("completed", completed), ("failed", failed), ("failed, by the database alone", ended)]
    rows = [(f"`{kind}`", status, meaning) for status, kinds in statuses for kind, meaning in kinds.items()]
    return table(("outcome", "status", "what it says"), rows)


def evidence() -> str:
    """Return the outcomes that each kind of evidence proves."""
    rows = [(one.value, code(kind for kind in Kind if proves(one, kind))) for one in Evidence]
    return table(("evidence", "outcomes that it proves"), rows)


def metrics() -> str:
    """Return the name and the meaning of every metric."""
    return table(("metric", "what it says"), [(f"`{one.name}`", one.meaning) for one in METRICS])


def venue_systems() -> str:
    """Return the venue systems, what a deployment has to set for each, and what each can do."""
    rows = [
        (f"`{system.name}`", system.title, code(system.variables), _abilities(system.name))
        for system in SYSTEMS.values()
    ]
    return table(("provider", "is", "booked where these are set", "can"), rows)


def _abilities(name: str) -> str:
    return ", ".join(meaning for ability, meaning in _ABILITIES.items() if ability in SYSTEMS[name].can)
