"""Breakages of the environment, of the database's functions and privileges, and of its clock."""

from __future__ import annotations

from tests.support.breakages import SECRET, HealthySystem, breaks


@breaks("settings", "missing", "CRON_SECRET is missing")
def _(system: HealthySystem) -> None:
    system.unset("CRON_SECRET")


@breaks("settings", "unfit", "LEAD_SECONDS")
def _(system: HealthySystem) -> None:
    system.set(LEAD_SECONDS="60")


@breaks("settings", "unfit", "SMTP_URL is an IP address or a private host", variant="of notifications")
def _(system: HealthySystem) -> None:
    system.set(SMTP_URL="smtp://10.0.0.1", MAIL_FROM="classes@example.com")


@breaks("settings", "missing", "MAIL_FROM is missing: SMTP_URL is set", variant="half of a pair")
def _(system: HealthySystem) -> None:
    system.set(SMTP_URL="smtp://mail.example.com")


@breaks("secrets", "equal", "CRON_SECRET and CRON_SECRET_PREVIOUS are the same: give each")
def _(system: HealthySystem) -> None:
    system.set(CRON_SECRET_PREVIOUS=SECRET)


@breaks("secrets", "equal", "CRON_SECRET and BOOKING_WEBHOOK_SECRET are the same", variant="the endpoint's")
def _(system: HealthySystem) -> None:
    system.set(BOOKING_WEBHOOK_SECRET=SECRET, BOOKING_WEBHOOK_URL="http://127.0.0.1:9/book")


@breaks("secrets", "equal_keys", "SESSION_ENCRYPTION_KEY_PREVIOUS is the same as the current key: remove it")
def _(system: HealthySystem) -> None:
    system.set(SESSION_ENCRYPTION_KEY_PREVIOUS="AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")


@breaks("database", "settings_first", "not looked at: correct the settings first")
def _(system: HealthySystem) -> None:
    system.unset("SUPABASE_URL")


@breaks("database", "no_answer", "look at SUPABASE_URL and at the network")
def _(system: HealthySystem) -> None:
    system.set(SUPABASE_URL="http://127.0.0.1:9")


@breaks("database", "no_answer", "run `prebooking init`", variant="of another version")
def _(system: HealthySystem) -> None:
    system.sql(
        "create or replace function prebooking_watch_v1() returns jsonb language sql set search_path = '' as"
        ' $$select \'{"now": "2026-11-23T12:00:00Z"}\'::jsonb$$'
    )


@breaks("database", "no_answer", "run `prebooking init`", variant="never migrated")
def _(system: HealthySystem) -> None:
    system.sql("drop function prebooking_doctor_v1")


@breaks("migrations", "missing", "functions are missing (preview_claim_v1): run `prebooking init`")
def _(system: HealthySystem) -> None:
    system.sql("drop function preview_claim_v1")


@breaks("role", "forbidden", "which may not execute finish_run_v1: set SUPABASE_SERVICE_ROLE_KEY to the project's")
def _(system: HealthySystem) -> None:
    system.sql("revoke execute on function finish_run_v1 from service_role")


@breaks("clock", "off", "the database's clock differs from ours by 60 s: set the clock of this machine")
def _(system: HealthySystem) -> None:
    system.sql(
        "create or replace function prebooking_clock() returns timestamptz language sql volatile set search_path = ''"
        " as 'select clock_timestamp() + interval ''1 minute'''"
    )
