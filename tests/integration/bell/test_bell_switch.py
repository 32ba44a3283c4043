"""Switching the bell on and off: its requirements, the roles, and the state that the operator gets."""

from __future__ import annotations

import psycopg
import pytest

from tests.support.bells import SECRET, URL, Bell, add_rows
from tests.support.database import Connection, Database, set_clock
from tests.support.factories import noon

_ON = "select public.prebooking_bell_on(%s)"
_OFF = "select public.prebooking_bell_off()"
_STATUS = "select public.prebooking_bell_status_v1()"

PATH = "/api/cron/prebooking_scheduler"
INSIDE = ("corp", "home", "home.arpa", "internal", "intranet", "lan", "local", "localdomain", "localhost", "private")

# As on Supabase: the API's role reads Vault and calls pg_net, and has no rights in pg_cron.
_SUPABASE_GRANTS = b"""
grant usage on schema vault, net to service_role;
grant select on vault.decrypted_secrets to service_role;
grant all on all tables in schema net to public;
"""


@pytest.fixture
def bell(owner: Connection) -> Bell:
    return Bell(owner)


def test_each_missing_extension_is_reported_with_the_cure(owner: Connection) -> None:
    with pytest.raises(psycopg.errors.RaiseException) as refused:
        owner.execute(_ON, [URL])
    assert refused.value.diag.message_primary == (
        "the bell cannot be switched on: pg_cron is not enabled: create extension pg_cron; "
        "pg_net is not enabled: create extension pg_net with schema extensions; "
        "Vault is not enabled: create extension supabase_vault cascade"
    )


@pytest.mark.parametrize(
    ("without", "cure"),
    [
        ("drop schema cron cascade", "create extension pg_cron"),
        ("drop schema net cascade", "create extension pg_net with schema extensions"),
        ("drop schema vault cascade", "create extension supabase_vault"),
        (
            "delete from vault.secrets",
            "select vault.create_secret('<the function''s CRON_SECRET>', 'prebooking_cron_secret')",
        ),
    ],
)
def test_a_missing_requirement_is_reported_with_the_cure(
    owner: Connection, bell: Bell, without: str, cure: str
) -> None:
    owner.execute(without.encode())
    with pytest.raises(psycopg.errors.RaiseException) as refused:
        bell.on()
    assert cure in str(refused.value)
    (missing,) = bell.status()["missing"]
    assert cure in missing
    assert not bell.status()["on"]


@pytest.mark.parametrize("url", [URL, "https://a-b.example.co:8443/api/cron/prebooking-scheduler"])
def test_a_public_address_of_the_function_is_accepted(bell: Bell, url: str) -> None:
    bell.on(url)
    assert bell.status()["url"] == url


@pytest.mark.grid
@pytest.mark.parametrize(
    "url",
    [
        *(None, "", "https://app.example.com", "https://app.example.com/api/cron/upkeep"),
        *(f" https://app.example.com{PATH}", f"app.example.com{PATH}"),
        *(f"https://app.example.com{PATH}{end}" for end in ("?x=1", "\n", "#x")),
        *(f"http://{host}{PATH}" for host in ("app.example.com", "localhost.example.com", "127.0.0.2")),
        *(f"https://db.{inside}{PATH}" for inside in INSIDE),
        *(
            f"https://{host}{PATH}"
            for host in (
                *("u:p@app.example.com", "localhost", "127.0.0.1", "[::1]", "10.0.0.1", "2130706433", "0x7f000001"),
                *("app.localhost:8000", "app.example.com:0", "app.example.com:65536", "app.example.com."),
                *("app.example.com@10.0.0.1", "app.example.com/x", "10.0.0.1#.example.com", "app.example.com\n"),
            )
        ),
    ],
)
def test_any_other_address_is_refused_from_every_role(
    owner: Connection, service: Connection, bell: Bell, url: str | None
) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="https://<app>/api/cron/prebooking_scheduler"):
        bell.on(url)
    if url is not None:
        for connection in (owner, service):
            with pytest.raises(psycopg.errors.CheckViolation):
                connection.execute("update public.prebooking_bell set url = %s", [url])
    assert not bell.status()["on"]


def test_a_local_address_is_refused_with_a_real_pg_net(
    database: Database, owner: Connection, service: Connection, bell: Bell
) -> None:
    bell.on()
    add_rows(owner, 1, 1, opens=30)
    service.execute("update public.prebooking_bell set url = 'http://127.0.0.1/api/cron/prebooking_scheduler'")
    _pretend_that_pg_net_is_real(database.superuser())
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        bell.minute()
    assert bell.posts() == []


@pytest.mark.parametrize("statement", ["lead = '1 second'", "triggered_at = now()", "runs = '[]'"])
def test_the_operator_s_key_can_change_only_the_switch(service: Connection, bell: Bell, statement: str) -> None:
    bell.on()
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        service.execute(f"update public.prebooking_bell set {statement}".encode())  # noqa: S608 - of this test


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost"])
def test_a_local_address_is_accepted_only_with_the_stand_ins(database: Database, bell: Bell, host: str) -> None:
    url = f"http://{host}/api/cron/prebooking_scheduler"
    bell.on(url)
    _pretend_that_pg_net_is_real(database.superuser())
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        bell.on(url)


def _pretend_that_pg_net_is_real(superuser: Connection) -> None:
    superuser.execute("set allow_system_table_mods = on")
    superuser.execute("update pg_extension set extname = 'pg_net' where extname = 'plpgsql'")


def test_switching_on_returns_the_next_step(bell: Bell) -> None:
    assert "LEAD_SECONDS=3 " in bell.on()


def test_one_run_per_minute_is_scheduled_without_the_secret(owner: Connection, bell: Bell) -> None:
    bell.on()
    jobs = owner.execute("select schedule, command from cron.job").fetchall()
    [block] = owner.execute("select public.prebooking_bell_minute()").fetchone() or ("",)
    assert jobs == [("* * * * *", block)]
    assert SECRET not in block


def test_switching_on_again_keeps_one_job_with_the_new_address(owner: Connection, bell: Bell) -> None:
    bell.on()
    bell.on(moved := URL.replace("app", "moved"))
    assert owner.execute("select count(*) from cron.job").fetchone() == (1,)
    assert bell.status()["url"] == moved


def test_switching_off_removes_the_job(owner: Connection, bell: Bell) -> None:
    bell.on()
    bell.off()
    assert owner.execute("select count(*) from cron.job").fetchone() == (0,)
    assert (bell.status()["on"], bell.status()["scheduled"]) == (False, False)


def test_switching_off_works_twice_and_without_extensions(owner: Connection) -> None:
    owner.execute(_OFF)
    owner.execute(_OFF)


# the operator's command, which is service_role


def test_the_command_cannot_schedule_and_names_the_editor(owner: Connection, service: Connection, bell: Bell) -> None:
    owner.execute(_SUPABASE_GRANTS)
    with pytest.raises(
        psycopg.errors.InsufficientPrivilege, match=r"in the SQL editor, select prebooking_bell_on\('http"
    ):
        service.execute(_ON, [URL])
    assert not bell.status()["on"]


def test_the_command_switches_a_scheduled_bell_off_and_on(owner: Connection, service: Connection, bell: Bell) -> None:
    owner.execute(_SUPABASE_GRANTS)
    bell.on()
    add_rows(owner, 1, 1, opens=30)
    service.execute(_OFF)
    bell.minute()
    assert bell.posts() == []
    service.execute(_ON, [URL])
    bell.minute()
    assert bell.posts() == [27]


def test_the_command_reads_the_state(owner: Connection, service: Connection, bell: Bell) -> None:
    owner.execute(_SUPABASE_GRANTS)
    bell.on()
    assert service.execute(_STATUS).fetchone() == (bell.status(),)


def test_the_command_reads_the_state_without_extensions(service: Connection) -> None:
    ((status,),) = service.execute(_STATUS).fetchall()
    assert (status["on"], status["scheduled"], len(status["missing"])) == (False, False, 3)


# the state


def test_the_state_has_the_last_ring(owner: Connection, bell: Bell) -> None:
    bell.on()
    add_rows(owner, 20, 40, opens=30)
    bell.minute()
    set_clock(owner, noon(90))
    assert bell.status() == {
        "on": True,
        "url": URL,
        "lead_seconds": 3,
        "scheduled": True,
        "missing": [],
        "now": noon(90).isoformat(),
        "switched_at": noon(0).isoformat(),
        "looked_at": noon(0).isoformat(),
        "runs": [],
        "triggered_at": noon(27).isoformat(),
        "posts": 2,
        "unclaimed": 0,
        "waiting": 0,
        "waiting_since": None,
        "answer": None,
        "answer_kind": None,
        "answer_error": None,
        "queue_open": False,
    }


def test_the_state_has_the_last_answer(owner: Connection, bell: Bell) -> None:
    bell.on()
    add_rows(owner, 1, 1, opens=30)
    bell.minute()
    owner.execute("insert into net._http_response (id, status_code) select id, 401 from testing.posts")
    assert bell.status()["answer"] == 401


def test_the_state_shows_a_queue_that_every_role_can_read(owner: Connection, bell: Bell) -> None:
    owner.execute("grant select on net.http_request_queue to public")
    assert not bell.status()["queue_open"]  # not without the schema
    owner.execute("grant usage on schema net to anon")
    assert bell.status()["queue_open"]


def test_the_secret_is_only_in_the_vault_and_the_queue(owner: Connection, bell: Bell) -> None:
    bell.on()
    add_rows(owner, 1, 1, opens=30)
    bell.minute()
    for statement in ("table public.prebooking_bell", "table cron.job", "table cron.job_run_details"):
        assert SECRET not in str(owner.execute(statement.encode()).fetchall())
