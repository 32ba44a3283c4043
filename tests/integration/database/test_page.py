"""The data of the operator's page: its numbers are right, each settled row counts once, and nothing breaks it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from hashlib import sha256
from typing import Any, LiteralString
from uuid import UUID, uuid4

import psycopg
import pytest

from prebooking.page.problems import PageSettings
from prebooking.page.read import compose_page
from tests.support.calls import claim
from tests.support.database import At, Connection
from tests.support.factories import add_prebooking, add_session, add_venue, insert_with_id, noon
from tests.support.questions import ask

pytestmark = pytest.mark.database

DAY = 86_400
FOLDS = pytest.mark.parametrize("folds", [0, 1, 2], ids=["nothing is added up", "marked", "added up"])


def page(service: Connection) -> dict[str, Any]:
    read: dict[str, Any] = ask(service, "page_status_v1")
    assert read["failed"] == []
    return read


def fold(connection: Connection, seconds: float, rows: int = 5000) -> int:
    """Add up, as upkeep does at this instant."""
    batches: int = ask(connection, "page_fold", noon(seconds), rows)
    return batches


def settle(owner: Connection, venue: UUID, seconds: float, late_ms: int | None = None, **overrides: Any) -> UUID:
    """Add a prebooking that was settled at this instant, and was called late_ms after its opening."""
    fired = {} if late_ms is None else {"fired_at": noon(seconds) + timedelta(milliseconds=late_ms)}
    row = {"available_at": noon(seconds), "settled_at": noon(seconds), "status": "completed", "outcome": "booked"}
    return add_prebooking(owner, venue, **(row | fired | overrides))


def one(connection: Connection, query: LiteralString, parameters: Sequence[object] = ()) -> Any:
    """Return the only value of the answer."""
    [(value,)] = connection.execute(query, parameters).fetchall()
    return value


def totals(read: dict[str, Any]) -> dict[str, int]:
    """Return the sums of the outcomes of all days."""
    days = read["outcomes"]["outcomes"]
    return {name: sum(day[name] for day in days) for name in ("completed", "failed", "cancelled")}


@FOLDS
def test_every_settled_row_is_counted_on_its_day(at: At, owner: Connection, service: Connection, folds: int) -> None:
    venue = add_venue(owner)
    settle(owner, venue, -40)
    settle(owner, venue, -3600, status="failed", outcome="full")
    settle(owner, venue, -3600, status="failed", outcome="full")
    settle(owner, venue, -DAY, status="failed", outcome="expired")
    settle(owner, venue, -29 * DAY, status="cancelled", outcome=None)
    settle(owner, venue, -30 * DAY)
    for number in range(folds):
        fold(service, 60 + number)
    at(70)
    read = page(service)
    days = {day.pop("day"): day for day in read["outcomes"]["outcomes"]}
    assert (len(days), min(days), max(days)) == (30, "2026-10-25", "2026-11-23")
    assert days["2026-11-23"] == {"completed": 1, "failed": 2, "cancelled": 0}
    assert days["2026-11-22"] == {"completed": 0, "failed": 1, "cancelled": 0}
    assert days["2026-10-25"] == {"completed": 0, "failed": 0, "cancelled": 1}
    assert totals({"outcomes": {"outcomes": list(days.values())}}) == {"completed": 1, "failed": 3, "cancelled": 1}
    assert read["outcomes"]["failures"] == [{"outcome": "full", "count": 2}, {"outcome": "expired", "count": 1}]
    assert one(owner, "select coalesce(sum(n), 0) from page_days") == (6 if folds == 2 else 0)


@FOLDS
def test_the_lateness_has_the_calls_of_a_week(at: At, owner: Connection, service: Connection, folds: int) -> None:
    venues = [add_venue(owner, name=name) for name in ("Box Centro", "Forge")]
    late = [2, 3, 5, 8, 48, 1234]
    rows = [settle(owner, venues[number > 3], -3600 - number, ms) for number, ms in enumerate(late)]
    settle(owner, venues[0], -8 * DAY, 7)  # too long ago
    settle(owner, venues[0], -60, 9, created_at=noon(0))  # added after the opening
    for number in range(folds):
        fold(service, 60 + number)
    at(70)
    calls = page(service)["calls"]
    assert {name: calls[name] for name in ("venues", "calls", "shown", "p50", "p95", "max")} == {
        "venues": ["Box Centro", "Forge"],
        "calls": 6,
        "shown": 6,
        "p50": 5,
        "p95": 1200,  # two digits
        "max": 1234,
    }
    assert sorted((UUID(row), ms, venue) for row, _, ms, venue in calls["dots"]) == sorted(
        zip(rows, late, [0, 0, 0, 0, 1, 1], strict=True)
    )
    instants = [dot[1] for dot in calls["dots"]]
    assert instants == sorted(instants)


def test_the_plot_has_all_of_the_latest_calls_and_others_evenly_from_the_hours(
    at: At, owner: Connection, service: Connection
) -> None:
    venue = add_venue(owner)
    owner.execute(_MANY_CALLS, [venue, noon()])
    for number in range(40):
        fold(service, 60 + number, 2000)
    at(120)
    calls = page(service)["calls"]
    assert (calls["calls"], calls["max"]) == (8000, 8000)
    assert 700 <= calls["shown"] == len(calls["dots"]) <= 1200
    dots = [ms for _, _, ms, _ in calls["dots"]]
    latest = sorted(dots, reverse=True)[:200]
    assert latest == list(range(8000, 7800, -1))
    assert one(owner, "select count(*) from page_calls") <= 2 * 500
    hours = {instant[:13] for _, instant, _, _ in calls["dots"]}
    assert len(hours) == 20, "every hour with calls is there"


_MANY_CALLS = """
insert into prebookings (venue_id, user_email, booking_data, created_at, available_at, expires_at, status,
  outcome, fired_at, settled_at)
select %s, n || '@example.com', '{}', o.at - interval '1 day', o.at, o.at + interval '1 day', 'completed', 'booked',
  o.at + n * interval '1 millisecond', o.at + n * interval '1 millisecond'
from generate_series(1, 8000) n, lateral (select %s - (1 + n %% 20) * interval '1 hour' as at) o
"""


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
def test_batches_add_each_row_up_once(at: At, owner: Connection, service: Connection, rows: int) -> None:
    venue = add_venue(owner)
    for seconds in (-900, -600, -600, -600, -300):  # the claim settles many rows at one instant
        settle(owner, venue, seconds, 4)
    assert fold(service, 0, rows) == 0
    assert fold(service, 1, rows) >= 1
    for number in range(3):
        fold(service, 2 + number, rows)
    at(10)
    read = page(service)
    assert (totals(read)["completed"], read["calls"]["calls"], read["calls"]["shown"]) == (5, 5, 5)
    assert one(owner, "select sum(n) from page_days") == 5


def test_a_killed_call_adds_nothing_up(at: At, owner: Connection, service: Connection) -> None:
    settle(owner, add_venue(owner), -60)
    fold(service, 0)
    with service.transaction(force_rollback=True):
        assert fold(service, 1) == 1
    assert one(owner, "select count(*) from page_days") == 0
    assert fold(service, 2) == 1
    assert totals(page(service))["completed"] == one(owner, "select sum(n) from page_days") == 1


def test_of_two_calls_at_once_the_second_adds_nothing_up_and_does_not_wait(
    at: At, owner: Connection, service: Connection, editor: Connection
) -> None:
    settle(owner, add_venue(owner), -60)
    fold(service, 0)
    with service.transaction():
        assert fold(service, 1) == 1
        editor.execute("set lock_timeout = '1ms'")
        assert fold(editor, 1) == 0
    assert fold(editor, 2) == 0
    assert one(owner, "select sum(n) from page_days") == 1


def test_a_row_that_is_committed_late_is_added_up_once(
    at: At, owner: Connection, service: Connection, editor: Connection
) -> None:
    """Its settled_at is older than those of rows that are there already."""
    venue = add_venue(owner)
    late = add_prebooking(owner, venue, available_at=noon(-300), created_at=noon(-DAY))
    with editor.transaction():
        editor.execute("update prebookings set status = 'cancelled', settled_at = %s where id = %s", [noon(-200), late])
        settle(owner, venue, -100)
        assert [fold(service, seconds) for seconds in (0, 60, 120)] == [0, 0, 0]
        assert totals(page(service)) == {"completed": 1, "failed": 0, "cancelled": 0}
    assert [fold(service, seconds) for seconds in (180, 240)] == [1, 0]
    assert totals(page(service)) == {"completed": 1, "failed": 0, "cancelled": 1}
    assert one(owner, "select sum(n) from page_days") == 2


def test_a_mark_of_another_server_stops_nothing(at: At, owner: Connection, service: Connection) -> None:
    """A database that was restored from a dump counts its transactions from the beginning."""
    settle(owner, add_venue(owner), -60)
    fold(service, 0)
    owner.execute("update page_progress set marked_xid = '99999999999'")
    assert [fold(service, seconds) for seconds in (1, 2)] == [0, 1]


@pytest.mark.parametrize("folds", [1, 2, 3], ids=["only marked ahead", "added up ahead", "added up twice ahead"])
def test_rows_are_counted_once_after_the_clock_was_set_back(
    at: At, owner: Connection, service: Connection, folds: int
) -> None:
    venue = add_venue(owner)
    settle(owner, venue, -60, 4)
    settle(owner, venue, 3600, 4)
    for number in range(folds):
        fold(service, 3700 + 60 * number)
    for minute in range(5):  # the clock shows the right time now
        settle(owner, venue, 60 * minute, 4)
        fold(service, 60 * minute + 30)
    at(300)
    read = page(service)
    assert (totals(read)["completed"], read["calls"]["calls"]) == (7, 7)
    assert one(owner, "select folded_until < %s from page_progress", [noon(300)])
    for seconds in (3800, 3900):
        fold(service, seconds)
    at(4000)
    assert totals(page(service))["completed"] == one(owner, "select sum(n) from page_days") == 7
    assert one(owner, "select sum(n) from page_lateness") == 7


def test_rows_are_counted_once_after_sums_were_restored_without_the_progress(
    at: At, owner: Connection, service: Connection
) -> None:
    """A migrated database has a progress already, so the one of a dump is refused."""
    settle(owner, add_venue(owner), -60, 4)
    for seconds in (0, 1):
        fold(service, seconds)
    owner.execute("delete from page_progress")
    owner.execute("insert into page_progress default values")
    for seconds in (2, 3, 4):
        fold(service, seconds)
    read = page(service)
    assert (totals(read)["completed"], read["calls"]["calls"]) == (1, 1)


def test_without_settled_rows_nothing_is_locked_or_written(at: At, owner: Connection, service: Connection) -> None:
    settle(owner, add_venue(owner), -60)
    for seconds in (0, 1, 2):
        fold(service, seconds)
    with service.transaction():
        assert fold(service, 100) == 0
        assert one(service, "select pg_current_xact_id_if_assigned()") is None


def test_upkeep_adds_up(at: At, owner: Connection, service: Connection) -> None:
    settle(owner, add_venue(owner), -60)
    for seconds in (0, 60):
        at(seconds)
        assert ask(service, "upkeep_due_v1", ["webhook"], [])["failed"] == []
    assert one(owner, "select sum(n) from page_days") == 1


def test_old_sums_are_deleted(at: At, owner: Connection, service: Connection) -> None:
    venue = add_venue(owner)
    settle(owner, venue, -60, 5)
    for seconds in (0, 1):
        fold(service, seconds)
    settle(owner, venue, 40 * DAY, 5)
    fold(service, 40 * DAY + 60)
    left = [one(owner, f"select count(*) from {table}") for table in ("page_days", "page_lateness", "page_calls")]  # noqa: S608 - our own names
    assert left == [0, 0, 0]


def test_a_backlog_is_reported(at: At, owner: Connection, service: Connection) -> None:
    owner.execute(_MANY_CALLS, [add_venue(owner), noon()])
    assert page(service)["outcomes"]["backlog"] is True
    for seconds in range(3):
        fold(service, seconds)
    assert page(service)["outcomes"]["backlog"] is False


def tick(at: At, service: Connection, *instants: float) -> None:
    for seconds in instants:
        at(seconds)
        claim(service, uuid4())


@pytest.mark.parametrize(
    ("ticks", "gaps"),
    [
        ([0, 60, 120, 180], []),
        ([0, 60, 150], []),
        ([0, 60, 151], [(60, 151)]),
        ([0, 300, 360, 3600], [(0, 300), (360, 3600)]),
    ],
    ids=["every minute", "ninety seconds", "one gap", "two gaps"],
)
def test_a_gap_of_the_heartbeat_is_shown(
    at: At, service: Connection, ticks: list[float], gaps: list[tuple[float, float]]
) -> None:
    tick(at, service, *ticks)
    shown = page(service)["runs"]["gaps"]
    assert shown == [{"from": text(start), "to": text(end)} for start, end in gaps]


def text(seconds: float) -> str:
    return noon(seconds).isoformat()


def test_a_killed_trigger_leaves_a_gap_until_now(at: At, service: Connection) -> None:
    tick(at, service, 0, 60)
    at(600)
    assert page(service)["runs"]["gaps"] == [{"from": text(60), "to": text(600)}]


def test_a_gap_that_cannot_be_stored_prevents_no_claim(
    at: At, owner: Connection, service: Connection, editor: Connection
) -> None:
    tick(at, service, 0)
    with editor.transaction():
        editor.execute("lock table heartbeat_gaps")
        tick(at, service, 600)
    assert one(owner, "select last_tick_at from prebooking_heartbeat") == noon(600)
    assert one(owner, "select count(*) from heartbeat_gaps") == 0


def test_runs_that_were_cut_off_are_there_first(at: At, owner: Connection, service: Connection) -> None:
    at(0)
    owner.execute(
        "insert into prebooking_runs (instance_id, opened_at, closed_at, claimed)"
        " select gen_random_uuid(), %s - n * interval '1 minute',"
        " case when n < 700 then %s - n * interval '1 minute' + interval '1500 ms' end, 3"
        " from generate_series(1, 702) n",
        [noon(), noon()],
    )
    runs = page(service)["runs"]
    assert (runs["from"], runs["to"], len(runs["runs"])) == (text(-DAY), text(0), 500)
    assert [run["rows"] for run in runs["runs"] if run["cut_off"]] == [3, 3, 3]
    assert {run["ms"] for run in runs["runs"]} == {None, 1500}


def test_an_opening_has_its_rows_with_what_would_stop_them(at: At, owner: Connection, service: Connection) -> None:
    box = add_venue(owner, name="Box Centro", provider="aimharder", host="c.aimharder.com")
    paused = add_venue(owner, name="Forge", enabled=False)
    opens, ends = noon(3600), noon(90_000)

    def add(venue: UUID, member: str, **overrides: Any) -> UUID:
        given = {"available_at": opens, "expires_at": ends, "user_email": member, "created_at": noon(-60)}
        data = {"class_id": member[:3], "day": "20261124", "class_name": "<b>WOD"}
        return add_prebooking(owner, venue, **({"booking_data": data} | given | overrides))

    add_session(owner, box, "fine@example.com")
    add_session(owner, box, "over@example.com", expired_at=noon(-60))
    add(box, "Fine@example.com")
    add(box, "over@example.com")
    none = add(box, "none@example.com")
    add(box, "warn@example.com", class_warning="class_moved: it begins at 19:00 now.")
    add(paused, "anna@example.com", available_at=noon(7200))
    add(box, "late@example.com", available_at=noon(DAY + 60))  # after 24 hours
    add(box, "none@example.com", stands_after=none, booking_data={"class_id": 8, "day": "20261124"})  # a later choice
    first, second = page(service)["openings"]
    assert (first["venue"], first["available_at"], first["waiting"]) == ("Box Centro", text(3600), 4)
    assert {fault["code"]: (fault["count"], fault["warning"]) for fault in first["problems"]} == {
        "class_moved": (1, "class_moved: it begins at 19:00 now."),
        "no_login": (1, None),
        "session_expired": (1, None),
    }
    problems = [row["problem"] for row in first["rows"]]
    assert (set(problems[:3]), problems[3]) == ({"session_expired", "no_login", "class_moved"}, None)
    assert {row["class_name"] for row in first["rows"]} == {"<b>WOD"}
    assert str(none) in {row["id"] for row in first["rows"]}
    assert (second["venue"], second["problems"][0]["code"], second["waiting"]) == ("Forge", "paused", 1)


def test_members_are_masked_and_only_one_question_shows_an_address(
    at: At, owner: Connection, service: Connection
) -> None:
    venue = add_venue(owner, provider="aimharder", host="c.aimharder.com")
    rows = [
        add_prebooking(owner, venue, available_at=noon(60), expires_at=noon(900), user_email="anna.secret@example.com"),
        add_prebooking(owner, venue, available_at=noon(-60), maybe_sent=True, user_email="ben.secret@example.com"),
        settle(owner, venue, -60, 4, user_email="cleo.secret@example.com"),
    ]
    owner.execute(
        "insert into notification_channels (user_email, kind, address, events, failed_at, failure)"
        " values ('dora.secret@example.com', 'mail', 'dora.secret@example.com', '{booked}', %s, 'http_500')",
        [noon()],
    )
    owner.execute(
        "insert into repeats (venue_id, user_email, weekday, starts_at, booking_data, problem)"
        " values (%s, 'eve.secret@example.com', 1, '18:00', '{}', 'no_rule: its venue has no rule.')",
        [venue],
    )
    shown = json.dumps([page(service), *(ask(service, "page_prebooking_v1", row) for row in rows)])
    assert ("secret" in shown, "@example" in shown) == (False, False)
    for start in ("an", "be", "cl", "do", "ev"):
        assert f'"{start}\\u2026#' in shown
    assert ask(service, "page_member_v1", rows[0]) == {"member": "anna.secret@example.com"}
    assert ask(service, "page_member_v1", uuid4()) is None
    masked = [ask(service, "page_member", address) for address in ("Ana@x.es", "ana@x.es", "ana@x.de", "a@x.es")]
    assert masked[0].lower() == masked[1] != masked[2]
    assert [len(text) for text in masked] == [8, 8, 8, 7]


def test_the_hash_of_a_member_is_another_one_in_each_database(owner: Connection, service: Connection) -> None:
    address = "anna@example.com"
    shown = {ask(service, "page_member", address), f"an\u2026#{sha256(address.encode()).hexdigest()[:4]}"}
    for _ in range(2):
        owner.execute("update page_progress set salt = gen_random_uuid()")
        shown.add(ask(service, "page_member", address))
    assert len(shown) >= 3  # of four digits, two may be equal by chance


def test_nothing_of_a_forgotten_member_is_left_on_the_page(at: At, owner: Connection, service: Connection) -> None:
    venue = add_venue(owner, name="Forge")
    row = settle(owner, venue, 0, 4, user_email="Anna.Secret@example.com", settled_at=noon(0.25))
    add_prebooking(owner, venue, user_email="anna.secret@example.com", available_at=noon(3600), expires_at=noon(7200))
    masked = ask(service, "page_member", "anna.secret@example.com")
    assert json.dumps(masked) in json.dumps(page(service))
    ask(service, "forget_member_v1", "anna.secret@example.com")
    shown = json.dumps([page(service), ask(service, "page_prebooking_v1", row), ask(service, "page_member_v1", row)])
    assert json.dumps(masked).strip('"')[2:] not in shown
    assert "secret" not in shown.lower()
    assert ask(service, "page_member_v1", row) == {"member": "forgotten"}


def test_the_steps_of_a_prebooking_count_from_its_opening(at: At, owner: Connection, service: Connection) -> None:
    run, venue = uuid4(), add_venue(owner, name="Forge")
    owner.execute("insert into prebooking_runs (instance_id, opened_at) values (%s, %s)", [run, noon(-0.7)])
    row = settle(
        owner,
        venue,
        0,
        4,
        settled_by=run,
        answered_at=noon(0.2),
        settled_at=noon(0.25),
        booking_data={"class_id": 1, "class_name": "WOD"},
    )
    shown = ask(service, "page_prebooking_v1", row)
    steps = shown.pop("steps")
    member = ask(service, "page_member", one(owner, "select user_email from prebookings where id = %s", [row]))
    assert shown == {
        "id": str(row),
        "member": member,
        "venue": "Forge",
        "timezone": "Europe/Madrid",
        "class_name": "WOD",
        "status": "completed",
        "outcome": "booked",
        "text": None,
    }
    assert [(step["step"], step["after_ms"]) for step in steps] == [
        ("added", None),
        ("claimed", -700),
        ("due", 0),
        ("sent", 4),
        ("answered", 200),
        ("settled", 250),
    ]
    assert ask(service, "page_prebooking_v1", uuid4()) is None


@pytest.mark.parametrize(
    ("columns", "doing", "next_at"),
    [
        ({"maybe_sent": True}, "next_run", 0),
        ({"maybe_sent": True, "retry_after": noon(300)}, "waits", 300),
        ({"attempts": 1, "claimed_by": uuid4(), "claimed_until": noon(20), "turn_until": noon(-1)}, "lease", 20),
        (
            {"maybe_sent": True, "claimed_by": uuid4(), "claimed_until": noon(30), "turn_until": noon(8)},
            "called",
            None,
        ),
    ],
)
def test_a_row_in_doubt_says_what_happens_next(  # noqa: PLR0917 - three of them are fixtures
    at: At, owner: Connection, service: Connection, columns: dict[str, Any], doing: str, next_at: float | None
) -> None:
    venue = add_venue(owner)
    row = add_prebooking(owner, venue, fired_at=noon(-9), **columns)
    add_prebooking(owner, venue)  # only due
    read = page(service)["in_doubt"]
    [shown] = read["in_doubt"]
    assert (read["in_doubt_count"], shown["id"], shown["doing"]) == (1, str(row), doing)
    assert shown["next_question_at"] == (None if next_at is None else text(next_at))
    assert shown["since"] == text(-9)


def test_logins_are_those_of_the_health(at: At, owner: Connection, service: Connection) -> None:
    box = add_venue(owner, name="Box Centro", provider="aimharder", host="c.aimharder.com")
    sessions: dict[str, dict[str, Any]] = {
        "kept": {"refreshed_at": noon(-600)},
        "over": {"expired_at": noon(-60)},
        "stored": {"password": "sealed", "password_key_id": "0123456789abcdef"},
    }
    for number, (name, session) in enumerate(sessions.items()):
        add_session(owner, box, f"{name}@example.com", **session)
        opens = noon(3600 * (number + 1))
        add_prebooking(owner, box, user_email=f"{name}@example.com", available_at=opens, expires_at=noon(DAY))
    add_prebooking(owner, box, user_email="none@example.com", available_at=noon(7300), expires_at=noon(DAY))
    add_prebooking(
        owner,
        box,
        user_email="far@example.com",
        available_at=noon(3 * DAY),
        expires_at=noon(4 * DAY),
        warning="other_key: x",
    )
    logins = page(service)["logins"]
    assert [(login["member"][:2], login["state"], login["soon"], login["ends_at"]) for login in logins] == [
        ("ov", "over", True, None),
        ("no", "none", True, None),
        ("fa", "none", False, None),
        ("ke", "kept", True, text(1200)),
        ("st", "remembered", True, text(1800)),
    ]
    health, watched = page(service)["health"], ask(service, "prebooking_watch_v1")
    for row in watched["no_login"]:
        row["user_email"] = ask(service, "page_member", row["user_email"])
    assert health.pop("open_runs") == []
    assert (health["no_login"], health | {"upkeep": watched["upkeep"]}) == (watched["no_login"], watched)


def test_late_parts_of_upkeep_are_asked_only_when_its_trigger_is_silent(
    at: At, owner: Connection, service: Connection
) -> None:
    owner.execute(
        "insert into notifications (event, about, channel_id, due_at, next_at) values ('alert', '', %s, %s, %s)",
        [uuid4(), noon(-900), noon(-900)],
    )
    assert page(service)["health"]["upkeep"] == ["notifications"]
    owner.execute("insert into prebooking_heartbeat (sessions_at) values (%s)", [noon(-60)])
    assert page(service)["health"]["upkeep"] == []


def test_messages_that_were_not_taken_are_counted(at: At, owner: Connection, service: Connection) -> None:
    channel = insert_with_id(
        owner,
        "notification_channels",
        {"kind": "ntfy", "address": "me", "events": ["alert"], "failed_at": noon(-60), "failure": "http_500"},
    )
    for number, (channel_id, status) in enumerate(
        [(channel, "dead"), (channel, "dead"), (uuid4(), "dead"), (channel, "waiting")]
    ):
        settled = None if status == "waiting" else noon(-60)
        owner.execute(
            "insert into notifications (event, about, channel_id, due_at, next_at, status, settled_at)"
            " values ('alert', %s, %s, %s, %s, %s, %s)",
            [str(number), channel_id, noon(60), noon(60), status, settled],
        )
    messages = page(service)["messages"]
    assert messages == {
        "waiting": 1,
        "dead": [
            {"event": "alert", "kind": "ntfy", "count": 2},
            {"event": "alert", "kind": "removed", "count": 1},
        ],
        "failing": [{"kind": "ntfy", "member": None, "since": text(-60), "failure": "http_500"}],
    }


_PENDING_INSTANTS = ("available_at", "expires_at", "created_at", "retry_after", "promoted_at", "fired_at")
_INSTANTS = ("4714-11-24 00:00+00 BC", "-infinity", "infinity", "294276-12-31 23:59:59+00")


@pytest.mark.parametrize("instant", _INSTANTS)
@pytest.mark.parametrize("status", ["pending", "completed"])
def test_unreadable_instants_break_no_section(
    at: At, owner: Connection, service: Connection, status: str, instant: str
) -> None:
    """An older version may have stored them."""
    owner.execute("alter domain public.prebooking_instant drop constraint prebooking_instant_check")
    venue = add_venue(owner, provider="aimharder", host="c.aimharder.com")
    settle(owner, venue, -60, 4)
    columns = [*_PENDING_INSTANTS, *(("settled_at", "answered_at") if status == "completed" else ("claimed_until",))]
    for column in columns:
        ended = {"status": status, "outcome": "booked", "settled_at": noon(-30)} if status == "completed" else {}
        row = add_prebooking(owner, venue, available_at=noon(60), expires_at=noon(DAY), maybe_sent=True, **ended)
        _spoil(owner, row, column, instant)
    for seconds in (60, 61):
        fold(service, seconds)
    at(70)
    read = page(service)
    assert read["calls"]["calls"] >= 1
    for (row,) in owner.execute("select id from prebookings").fetchall():
        assert ask(service, "page_prebooking_v1", row)["status"] in ("pending", "completed")


def _spoil(owner: Connection, row: UUID, column: str, instant: str) -> None:
    owner.execute("alter table prebookings disable trigger user")
    for rule in ("opens_before_it_expires", "claim_is_whole", "only_a_later_choice_is_promoted"):
        owner.execute(b"alter table prebookings drop constraint if exists " + rule.encode())
    with suppress(psycopg.DataError, psycopg.NotSupportedError):  # Postgres cannot calculate this lateness
        owner.execute(b"update prebookings set " + column.encode() + b" = %s where id = %s", [instant, row])
    owner.execute("alter table prebookings enable trigger user")


@pytest.mark.parametrize("instant", _INSTANTS)
def test_unreadable_instants_of_other_tables_break_no_section(
    at: At, owner: Connection, service: Connection, instant: str
) -> None:
    owner.execute("alter domain public.prebooking_instant drop constraint prebooking_instant_check")
    venue = add_venue(owner, provider="aimharder", host="c.aimharder.com", paused_until=instant, troubled_since=instant)
    add_prebooking(
        owner, venue, available_at=noon(60), expires_at=noon(DAY), user_email="a@example.com", maybe_sent=True
    )
    add_session(owner, venue, "a@example.com", refreshed_at=instant)
    owner.execute(
        "insert into prebooking_runs (instance_id, opened_at, closed_at) values (%s, %s, %s)",
        [uuid4(), noon(-9), instant],
    )
    owner.execute(
        "insert into prebooking_runs (instance_id, opened_at, closed_at) values (%s, %s, %s)",
        [uuid4(), instant, instant],
    )
    owner.execute("insert into prebooking_heartbeat (last_tick_at, sessions_at) values (%s, %s)", [instant, instant])
    owner.execute("insert into heartbeat_gaps (from_at, to_at) values (%s, %s)", [instant, instant])
    page(service)


@pytest.mark.parametrize("data", ['{"class_name": {"a": [1]}}', '{"class_name": null}', '{"class_name": 1e400}', "{}"])
def test_odd_data_is_text(at: At, owner: Connection, service: Connection, data: str) -> None:
    venue = add_venue(owner)
    row = add_prebooking(owner, venue, available_at=noon(60), booking_data=json.loads("{}"))
    owner.execute("update prebookings set booking_data = %s where id = %s", [data, row])
    [opening] = page(service)["openings"]
    assert opening["rows"][0]["class_name"] is None or isinstance(opening["rows"][0]["class_name"], str)


def test_an_error_in_a_section_breaks_no_other_one(at: At, owner: Connection, service: Connection) -> None:
    settle(owner, add_venue(owner), -60, 4)
    owner.execute("alter table repeats rename column problem to other")
    read = ask(service, "page_status_v1")
    assert (read["failed"], read["repeats"], read["calls"]["calls"]) == (["repeats"], None, 1)


def test_the_answer_is_bounded(at: At, owner: Connection, service: Connection) -> None:
    owner.execute(_WORST_VENUES)
    owner.execute("set session_replication_role = replica") if _is_superuser(owner) else None
    for statement in (
        _WORST_PENDING,
        _WORST_DOUBT,
        _WORST_SETTLED,
        _WORST_RUNS,
        _WORST_GAPS,
        _WORST_CHANNELS,
        _WORST_DEAD,
        _WORST_REPEATS,
    ):
        owner.execute(statement)
    composed = compose_page(page(service), PageSettings(lead="1", has_watchdog=True))
    assert len(json.dumps(composed, separators=(",", ":"), ensure_ascii=False).encode()) < 350_000


def _is_superuser(owner: Connection) -> bool:
    return bool(one(owner, "select rolsuper from pg_roles where rolname = current_user"))


_WORST_VENUES = """
insert into venues (name, provider, timezone, host, troubled_since)
select repeat(chr(127947), 190) || n, 'webhook', 'Europe/Madrid', n || '.example', '2026-11-23 11:00Z'
  from generate_series(1, 200) n
"""
_WORST_PENDING = """
insert into prebookings (venue_id, user_email, booking_data, available_at, expires_at, created_at, class_warning)
select (select array_agg(id) from venues)[1 + n % 200], n || '@example.com', jsonb_build_object('class_id', n,
  'class_name', repeat(chr(127947), 190)),
  timestamptz '2026-11-23 12:00Z' + (1 + n % 60) * interval '1 minute', '2026-12-24', '2026-11-20',
  'class_' || n || ': ' || repeat('x', 250)
from generate_series(1, 3000) n
"""
_WORST_DOUBT = """
insert into prebookings (venue_id, user_email, booking_data, available_at, expires_at, created_at, maybe_sent)
select (select array_agg(id) from venues)[1 + n % 200], 'd' || n || '@example.com',
  jsonb_build_object('class_id', n, 'class_name', repeat(chr(127947), 190)),
  '2026-11-23 11:00Z', '2026-12-24', '2026-11-20', true
from generate_series(1, 200) n
"""
_WORST_SETTLED = """
insert into prebookings (venue_id, user_email, booking_data, created_at, available_at, expires_at, status,
  outcome, fired_at, settled_at)
select (select array_agg(id) from venues)[1 + n % 200], n || '@example.com', jsonb_build_object('class_id', n,
  'class_name', repeat(chr(127947), 190)), '2026-11-20',
  '2026-11-22 12:00Z', '2026-12-24', 'completed', 'booked',
  timestamptz '2026-11-22 12:00Z' + n * interval '1 second', '2026-11-22 13:00Z'
from generate_series(1, 4000) n
"""
_WORST_RUNS = """
insert into prebooking_runs (instance_id, opened_at) select gen_random_uuid(),
  timestamptz '2026-11-23 11:00Z' - n * interval '1 minute' from generate_series(1, 1300) n
"""
_WORST_GAPS = """
insert into heartbeat_gaps (from_at, to_at)
select timestamptz '2026-11-23 11:59Z' - n * interval '91 seconds',
  timestamptz '2026-11-23 11:59:30Z' - n * interval '91 seconds' from generate_series(1, 900) n
"""
_WORST_CHANNELS = """
insert into notification_channels (user_email, kind, address, events, failed_at, failure)
select n || '@example.com', 'ntfy', 'a', '{booked}', '2026-11-23 11:00Z', repeat('f', 100)
  from generate_series(1, 300) n
"""
_WORST_DEAD = """
insert into notifications (event, about, channel_id, due_at, next_at, status, settled_at)
select 'alert', n::text, gen_random_uuid(), '2026-11-23', '2026-11-23', 'dead', '2026-11-23 11:00Z'
  from generate_series(1, 300) n
"""
_WORST_REPEATS = """
insert into repeats (venue_id, user_email, weekday, starts_at, booking_data, problem)
select (select array_agg(id) from venues)[1 + n % 200], n || '@example.com', 1, '18:00', '{}', repeat('p',
  300) from generate_series(1, 300) n
"""
