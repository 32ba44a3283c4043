"""Switching the bell on and off: what it needs, who may, and what it tells the operator."""

from __future__ import annotations

import psycopg
import pytest

from tests.support.bells import SECRET, URL, Bell, add_rows
from tests.support.database import Connection, Database, set_clock
from tests.support.factories import noon

_ON = "select public.prebooking_bell_on(%s)"
_OFF = "select public.prebooking_bell_off()"
_STATUS = "select public.prebooking_bell_status_v1()"

INSIDE = ("corp", "home", "home.arpa", "internal", "intranet", "lan", "local", "localdomain", "localhost", "private")

# As on Supabase: the API's role reads Vault and calls pg_net, and has nothing to do with pg_cron.
_SUPABASE_GRANTS = b"""
grant usage on schema vault, net to service_role;
grant select on vault.decrypted_secrets to service_role;
grant all on all tables in schema net to public;
"""


@pytest.fixture
def bell(owner: Connection) -> Bell:
    return Bell(owner)


def test_without_its_extensions_it_names_the_cure_of_each(owner: Connection) -> None:
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
def test_names_the_cure_of_the_one_thing_that_is_missing(
    owner: Connection, bell: Bell, without: str, cure: str
) -> None:
    owner.execute(without.encode())
    with pytest.raises(psycopg.errors.RaiseException) as refused:
        bell.on()
    assert cure in str(refused.value)
    (said,) = bell.status()["missing"]
    assert cure in said
    assert not bell.status()["on"]


@pytest.mark.parametrize("url", [URL, "https://a-b.example.co:8443/api/cron/prebooking-scheduler"])
def test_takes_a_public_address_of_the_function(bell: Bell, url: str) -> None:
    bell.on(url)
    assert bell.status()["url"] == url


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "app.example.com/api/cron/prebooking_scheduler",
        "http://app.example.com/api/cron/prebooking_scheduler",
        "https://app.example.com",
        "https://app.example.com/api/cron/prebooking_scheduler?x=1",
        "https://app.example.com/api/cron/prebooking_scheduler\n",
        " https://app.example.com/api/cron/prebooking_scheduler",
        "https://u:p@app.example.com/api/cron/prebooking_scheduler",
        "https://localhost/api/cron/prebooking_scheduler",
        "https://127.0.0.1/api/cron/prebooking_scheduler",
        "https://[::1]/api/cron/prebooking_scheduler",
        "https://10.0.0.1/api/cron/prebooking_scheduler",
        *(f"https://db.{inside}/api/cron/prebooking_scheduler" for inside in INSIDE),
        "https://app.localhost:8000/api/cron/prebooking_scheduler",
        "http://localhost.example.com/api/cron/prebooking_scheduler",
        "https://app.example.com:0/api/cron/prebooking_scheduler",
        "https://app.example.com:65536/api/cron/prebooking_scheduler",
        "https://app.example.com./api/cron/prebooking_scheduler",
        "https://2130706433/api/cron/prebooking_scheduler",
        "https://0x7f000001/api/cron/prebooking_scheduler",
        "https://app.example.com@10.0.0.1/api/cron/prebooking_scheduler",
        "https://app.example.com/x/api/cron/prebooking_scheduler",
        "https://app.example.com/api/cron/upkeep",
        "https://app.example.com/api/cron/prebooking_scheduler#x",
        "https://10.0.0.1#.example.com/api/cron/prebooking_scheduler",
        "http://127.0.0.2/api/cron/prebooking_scheduler",
        "https://app.example.com\n/api/cron/prebooking_scheduler",
    ],
)
def test_refuses_any_other_address_from_every_role(
    owner: Connection, service: Connection, bell: Bell, url: str | None
) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="https://<app>/api/cron/prebooking_scheduler"):
        bell.on(url)
    if url is not None:
        for connection in (owner, service):
            with pytest.raises(psycopg.errors.CheckViolation):
                connection.execute("update public.prebooking_bell set url = %s", [url])
    assert not bell.status()["on"]


def test_the_operator_s_key_cannot_point_a_real_pg_net_at_this_machine(
    database: Database, owner: Connection, service: Connection, bell: Bell
) -> None:
    bell.on()
    add_rows(owner, 1, 1, opens=30)
    service.execute("update public.prebooking_bell set url = 'http://127.0.0.1/api/cron/prebooking_scheduler'")
    _pretend_that_pg_net_is_real(database.superuser())
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        bell.minute()
    assert bell.posts() == []


@pytest.mark.parametrize("statement", ["lead = '1 second'", "rung_at = now()", "runs = '[]'"])
def test_the_operator_s_key_can_change_the_switch_alone(service: Connection, bell: Bell, statement: str) -> None:
    bell.on()
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        service.execute(f"update public.prebooking_bell set {statement}".encode())  # noqa: S608 - of this test


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost"])
def test_takes_an_address_of_this_machine_only_from_stand_ins(database: Database, bell: Bell, host: str) -> None:
    url = f"http://{host}/api/cron/prebooking_scheduler"
    bell.on(url)
    _pretend_that_pg_net_is_real(database.superuser())
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        bell.on(url)


def _pretend_that_pg_net_is_real(superuser: Connection) -> None:
    superuser.execute("set allow_system_table_mods = on")
    superuser.execute("update pg_extension set extname = 'pg_net' where extname = 'plpgsql'")


def test_says_what_is_left_to_do(bell: Bell) -> None:
    assert "LEAD_SECONDS=3 " in bell.on()


def test_schedules_one_run_a_minute_without_the_secret_in_it(owner: Connection, bell: Bell) -> None:
    bell.on()
    jobs = owner.execute("select schedule, command from cron.job").fetchall()
    [block] = owner.execute("select public.prebooking_bell_minute()").fetchone() or ("",)
    assert jobs == [("* * * * *", block)]
    assert SECRET not in block


def test_switched_on_again_it_has_one_job_and_the_new_address(owner: Connection, bell: Bell) -> None:
    bell.on()
    bell.on(moved := URL.replace("app", "moved"))
    assert owner.execute("select count(*) from cron.job").fetchone() == (1,)
    assert bell.status()["url"] == moved


def test_switched_off_it_has_no_job(owner: Connection, bell: Bell) -> None:
    bell.on()
    bell.off()
    assert owner.execute("select count(*) from cron.job").fetchone() == (0,)
    assert (bell.status()["on"], bell.status()["scheduled"]) == (False, False)


def test_can_be_switched_off_twice_and_without_any_extension(owner: Connection) -> None:
    owner.execute(_OFF)
    owner.execute(_OFF)


# the operator's command, which is service_role


def test_the_command_cannot_schedule_and_says_who_can(owner: Connection, service: Connection, bell: Bell) -> None:
    owner.execute(_SUPABASE_GRANTS)
    with pytest.raises(
        psycopg.errors.InsufficientPrivilege, match=r"in the SQL editor, select prebooking_bell_on\('http"
    ):
        service.execute(_ON, [URL])
    assert not bell.status()["on"]


def test_the_command_switches_off_and_on_what_is_scheduled(owner: Connection, service: Connection, bell: Bell) -> None:
    owner.execute(_SUPABASE_GRANTS)
    bell.on()
    add_rows(owner, 1, 1, opens=30)
    service.execute(_OFF)
    bell.minute()
    assert bell.posts() == []
    service.execute(_ON, [URL])
    bell.minute()
    assert bell.posts() == [27]


def test_the_command_sees_how_it_stands(owner: Connection, service: Connection, bell: Bell) -> None:
    owner.execute(_SUPABASE_GRANTS)
    bell.on()
    assert service.execute(_STATUS).fetchone() == (bell.status(),)


def test_the_command_sees_how_it_stands_without_any_extension(service: Connection) -> None:
    ((status,),) = service.execute(_STATUS).fetchall()
    assert (status["on"], status["scheduled"], len(status["missing"])) == (False, False, 3)


# the state


def test_the_state_tells_of_the_last_ring(owner: Connection, bell: Bell) -> None:
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
        "rung_at": noon(27).isoformat(),
        "posts": 2,
        "unclaimed": 0,
        "waiting": 0,
        "waiting_since": None,
        "answer": None,
        "answer_kind": None,
        "answer_error": None,
        "queue_open": False,
    }


def test_the_state_has_the_last_answer_if_there_was_one_in_time(owner: Connection, bell: Bell) -> None:
    bell.on()
    add_rows(owner, 1, 1, opens=30)
    bell.minute()
    owner.execute("insert into net._http_response (id, status_code) select id, 401 from testing.posts")
    assert bell.status()["answer"] == 401


def test_the_state_says_that_the_queue_can_be_read_by_everybody(owner: Connection, bell: Bell) -> None:
    owner.execute("grant select on net.http_request_queue to public")
    assert not bell.status()["queue_open"]  # not without the schema
    owner.execute("grant usage on schema net to anon")
    assert bell.status()["queue_open"]


def test_the_secret_is_nowhere_but_in_the_vault_and_the_queue(owner: Connection, bell: Bell) -> None:
    bell.on()
    add_rows(owner, 1, 1, opens=30)
    bell.minute()
    for statement in ("table public.prebooking_bell", "table cron.job", "table cron.job_run_details"):
        assert SECRET not in str(owner.execute(statement.encode()).fetchall())
