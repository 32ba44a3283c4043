"""Automatic logins on a virtual clock: what the venue's ledger has, whatever is lost, killed or changed meanwhile."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest

from prebooking.bookers.aimharder.seal import Purpose, Seal
from prebooking.local.venue.aimharder import LOGIN, TOKEN_UPDATE, WHOAMI
from prebooking.local.venue.twin import DROP, HANG, CallPlan, TwinReply
from prebooking.local.venue.verdicts import VERDICTS
from prebooking.upkeep.run import UpkeepSummary
from tests.support.boxes import KEYS, PASSWORD, SEAL, Gym, side_by_side
from tests.support.database import Database
from tests.support.doubles import VirtualClock
from tests.support.world import ENVIRONMENT, World
from tests.verification.canaries import Canaries

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
DEAD = timedelta(hours=2)
SOON = 20 * MINUTE
FUNCTIONS = ["upkeep_due_v2", "claim_logins_v1", "save_login_v1", "end_login_v1"]


def member(gym: Gym, name: str = "ana", *, opens: float = SOON, password: str = PASSWORD) -> str:
    """Add a member with a dead session, a remembered password and a prebooking."""
    email = gym.member(name, old=DEAD)
    gym.remember(email, password)
    gym.prebook(email, gym.gym_class(at=opens))
    return email


def column(gym: Gym, email: str, name: str) -> Any:
    query = f"select {name} from public.member_sessions where user_email = %s"  # noqa: S608 - of this test
    [(value,)] = gym.connection.execute(query.encode(), [email]).fetchall()
    return value


def warning(gym: Gym, email: str) -> str:
    """Return the kind of the warning on the member's first row; empty if there is none."""
    query = "select warning from public.prebookings where user_email = %s order by available_at limit 1"
    [(text,)] = gym.connection.execute(query, [email]).fetchall()
    return (text or "").partition(":")[0]


async def keep_up_for(gym: Gym, minutes: float, *, step: float = 1) -> list[UpkeepSummary]:
    """Call upkeep every ``step`` minutes; return the answers."""
    kept = []
    for _ in range(int(minutes / step)):
        before = asyncio.get_running_loop().time()
        kept.append(await gym.keep_up())
        await asyncio.sleep(step * MINUTE - (asyncio.get_running_loop().time() - before))
    return kept


async def keep_up_until(gym: Gym, instant: float, *, step: float = 1) -> None:
    """Call upkeep every ``step`` minutes until this many seconds after the epoch."""
    await keep_up_for(gym, (instant - asyncio.get_running_loop().time()) / MINUTE, step=step)
    await asyncio.sleep(instant - asyncio.get_running_loop().time())


def lives(gym: Gym, email: str) -> bool:
    """Return whether the venue accepts the stored session at the end of the scenario."""
    cookie = gym.session(email)["cookies"]["amhrdrauth"]
    return gym.twin.members.alive(cookie, family="com") is not None


# a week


def test_a_remembered_member_is_logged_in_once_per_opening_of_a_week(gym: Gym) -> None:
    """The function that books runs at both openings, with the session of the automatic login."""
    email = gym.member("ana", old=DEAD)
    gym.remember(email)
    openings = [1.5 * DAY, 3.5 * DAY]
    rows = [gym.prebook(email, gym.gym_class(at=opens)) for opens in openings]

    async def week() -> None:
        for opens in openings:
            await keep_up_until(gym, opens - HOUR, step=60)
            await keep_up_until(gym, opens)
            await gym.invoke()
        await keep_up_until(gym, 7 * DAY, step=60)

    gym.world.run(week())
    assert [gym.end(row) for row in rows] == [("completed", "booked")] * 2
    assert gym.calls(LOGIN) == [email] * 2
    assert gym.calls(TOKEN_UPDATE) == [], "the session is not kept alive"
    assert gym.calls(WHOAMI) == []


def test_a_member_without_a_remembered_password_is_refreshed_at_most_every_25_minutes(gym: Gym) -> None:
    email = gym.member("ana")
    rows = [gym.prebook(email, gym.gym_class(at=opens)) for opens in (1.5 * DAY, 2.9 * DAY)]

    async def days() -> None:
        for opens in (1.5 * DAY, 2.9 * DAY):
            while asyncio.get_running_loop().time() < opens - HOUR:  # only the calls that have something to do
                age = VirtualClock().now() - column(gym, email, "refreshed_at")
                await asyncio.sleep(25 * MINUTE + 1 - age.total_seconds())
                await gym.keep_up()
            await keep_up_until(gym, opens)
            await gym.invoke()

    gym.world.run(days())
    assert [gym.end(row) for row in rows] == [("completed", "booked")] * 2
    at = [arrival.at for arrival in gym.twin.ledger.arrivals(path=TOKEN_UPDATE)]
    assert len(at) > 2.9 * DAY / (30 * MINUTE)
    assert min(after - before for before, after in pairwise(at)) >= timedelta(minutes=25)
    assert gym.calls(LOGIN) == []


def test_a_login_lives_at_every_opening_of_the_next_minutes(gym: Gym) -> None:
    email = gym.member("ana", old=DEAD)
    gym.remember(email)
    openings = [20 * MINUTE, 24 * MINUTE, 33 * MINUTE, 60 * MINUTE]
    rows = [gym.prebook(email, gym.gym_class(at=opens, time=f"0{hour}:00")) for hour, opens in enumerate(openings)]

    async def scenario() -> None:
        for minute in range(62):
            await gym.keep_up()
            await gym.invoke()
            await asyncio.sleep((minute + 1) * MINUTE - asyncio.get_running_loop().time())

    gym.world.run(scenario())
    assert [gym.end(row) for row in rows] == [("completed", "booked")] * 4
    assert gym.calls(LOGIN) == [email] * 3, "the first one serves two openings"


# what the venue answers


@pytest.mark.parametrize(
    ("answer", "left", "stops"),
    [
        ("login_refused", False, False),
        ("login_locked", True, True),
        ("blocked", True, True),
        ("too_many_requests", True, True),
        ("captcha", True, True),
        ("down", True, False),
        ("page", True, False),
        ("empty_object", True, False),
        ("list", True, False),
        ("cut_json", True, False),
        ("redirect", True, False),
        ("nothing", True, False),
    ],
)
def test_a_login_that_fails_is_not_tried_again_for_its_opening(
    gym: Gym, answer: str, *, left: bool, stops: bool
) -> None:
    email = member(gym)
    gym.twin.script(email, CallPlan(acts=False, answer=VERDICTS.get(answer, DROP)), path=LOGIN)
    kept = gym.world.run(keep_up_for(gym, 12))
    assert all(one.success for one in kept)
    assert gym.calls(LOGIN) == [email]
    assert column(gym, email, "password is not null") == left
    assert warning(gym, email) == ("login_failed" if left else "wrong_password")
    assert gym.connection.execute("select logins_stopped_until is not null from public.venues").fetchone() == (stops,)
    assert (gym.world.paused_until() is not None) == (answer in {"blocked", "too_many_requests", "captcha"})


@pytest.mark.parametrize(
    "plan",
    [
        CallPlan(delay_after=30),
        CallPlan(delay_before=30),
        CallPlan(answer=HANG),
        CallPlan(acts=False, answer=HANG),
        CallPlan(answer=DROP),
    ],
    ids=["slow answer", "acts late", "acts and hangs", "hangs", "acts and drops"],
)
def test_a_login_without_an_answer_in_time_ends_before_the_guard(gym: Gym, plan: CallPlan) -> None:
    email = member(gym)
    gym.twin.script(email, plan, path=LOGIN)
    kept = gym.world.run(keep_up_for(gym, 12))
    assert max(one.execution_time_ms for one in kept) < 8_000
    assert gym.calls(LOGIN) == [email]
    assert warning(gym, email) == "login_failed"
    assert column(gym, email, "leased_by is null")


def test_a_login_is_made_at_the_next_opening_after_one_that_failed(gym: Gym) -> None:
    email = member(gym)
    later = gym.prebook(email, gym.gym_class(at=2 * HOUR, time="09:00"))
    gym.twin.script(email, CallPlan(acts=False, answer=DROP), path=LOGIN)

    async def scenario() -> None:
        await keep_up_for(gym, 120)
        await gym.invoke()

    gym.world.run(scenario())
    assert gym.calls(LOGIN) == [email] * 2
    assert gym.end(later) == ("completed", "booked")


def test_a_password_that_was_changed_at_the_venue_is_tried_once_and_forgotten(gym: Gym) -> None:
    email = member(gym)
    for opens in (2, 4, 26, 28):
        gym.prebook(email, gym.gym_class(at=opens * HOUR, time=f"{opens % 24:02}:00"))
    gym.twin.join(email, "a new one")
    gym.world.run(keep_up_for(gym, 29 * 60, step=5))
    assert gym.calls(LOGIN) == [email]
    assert warning(gym, email) == "wrong_password"
    assert column(gym, email, "num_nulls(password, password_key_id)") == 2
    assert gym.twin.members._accounts[email].wrong_passwords == 1


def test_the_venue_never_locks_an_account_because_of_us(gym: Gym) -> None:
    """Not even if the database never stores that the password is wrong."""
    email = member(gym)
    for opens in range(2, 12):
        gym.prebook(email, gym.gym_class(at=opens * HOUR, time=f"{opens:02}:00"))
    gym.twin.join(email, "a new one")
    gym.world.to_database.loses = lambda function: "before" if function == "end_login_v1" else ""
    gym.world.run(keep_up_for(gym, 12 * 60, step=5))
    assert len(gym.calls(LOGIN)) == 3, "three a day"
    assert gym.twin.members._accounts[email].locked_until is None


@pytest.mark.parametrize("answer", ["login_locked", "blocked"])
def test_a_venue_that_refuses_logins_gets_no_other_for_an_hour(database: Database, answer: str) -> None:
    world = World(database)
    gym, other = Gym(world), Gym(world, host="other.aimharder.com")
    members = [member(gym, name) for name in ("ana", "ben", "cleo", "dan")]
    dora, evan = member(gym, "dora", opens=85 * MINUTE), member(other, "evan")
    gym.twin.script(members[0], CallPlan(acts=False, answer=VERDICTS[answer]), path=LOGIN)
    world.run(keep_up_for(gym, 59))
    assert sorted(gym.calls(LOGIN)) == [members[0], evan]
    world.run(keep_up_for(gym, 80))
    assert sorted(gym.calls(LOGIN)) == [members[0], dora, evan]
    assert [warning(gym, email) for email in members] == ["login_failed"] * 4


# two at once, and many


def test_concurrent_upkeeps_make_each_login_once(gym: Gym) -> None:
    members = [member(gym, f"member{number}") for number in range(12)]

    async def scenario() -> None:
        for _ in range(4):
            await side_by_side(gym.keep_up(), gym.keep_up(), gym.keep_up())

    gym.world.run(scenario())
    assert sorted(gym.calls(LOGIN)) == sorted(members)
    assert [gym.session(email)["version"] for email in members] == [2] * 12


def test_many_logins_are_spaced_out_and_none_is_counted_without_being_made(gym: Gym) -> None:
    members = [member(gym, f"member{number}") for number in range(23)]
    gym.world.to_venues.back = 0.5
    kept = gym.world.run(keep_up_for(gym, 1))
    at = [arrival.at for arrival in gym.twin.ledger.arrivals(path=LOGIN)]
    assert min((after - before).total_seconds() for before, after in pairwise(at)) > 0.19
    [(counted,)] = gym.connection.execute("select sum(logins_that_day) from public.member_sessions").fetchall()
    assert counted == len(at) == kept[0].parts["logins"]["logged_in"]
    assert 5 <= counted < 23
    gym.world.run(keep_up_for(gym, 9))
    assert sorted(gym.calls(LOGIN)) == sorted(members)


def test_an_unexpected_error_ends_no_other_login(gym: Gym) -> None:
    members = [member(gym, name) for name in ("ana", "ben", "cleo")]
    gym.world.lose("save_login_v1", RuntimeError("a bug"))
    assert not gym.world.run(gym.keep_up()).success
    assert sorted(gym.session(email)["version"] for email in members) == [1, 2, 2]


# lost answers and killed invocations


@pytest.mark.grid
@pytest.mark.parametrize("right", [True, False], ids=["right password", "wrong password"])
@pytest.mark.parametrize("times", [1, 2, 1000])
@pytest.mark.parametrize("how", ["before", "after", "hangs"])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_lost_call_of_the_database_sends_no_password_twice(
    gym: Gym, function: str, how: str, times: int, *, right: bool
) -> None:
    email = member(gym, password=PASSWORD if right else "wrong")
    gym.world.lose(function, *[how] * times)
    gym.world.run(keep_up_for(gym, 19))
    assert len(gym.calls(LOGIN)) <= 1
    if times == 1 and (how != "hangs" or function != "claim_logins_v1"):
        assert gym.calls(LOGIN) == [email]
        assert (gym.session(email)["version"], warning(gym, email)) == ((2, "") if right else (1, "wrong_password"))
    elif function != "upkeep_due_v2" and gym.session(email)["version"] == 1:
        assert warning(gym, email) in {"login_failed", "wrong_password"}, "the member knows"


def test_a_login_whose_end_is_not_stored_is_not_made_again(gym: Gym) -> None:
    """The next batch of the same invocation gets it from the database again."""
    members = [member(gym, f"member{number}") for number in range(7)]
    gym.world.to_database.loses = lambda called: "before" if called == "save_login_v1" else ""
    gym.world.run(gym.keep_up())
    assert gym.world.to_database.calls.count("claim_logins_v1") > 1
    assert len(gym.calls(LOGIN)) == len(set(gym.calls(LOGIN))) >= 5
    assert set(gym.calls(LOGIN)) <= set(members)


async def _uninterrupted(seconds: float) -> None:
    """Sleep, and be cancelled only afterwards."""
    sleep = asyncio.create_task(asyncio.sleep(seconds))
    try:
        await asyncio.shield(sleep)
    except asyncio.CancelledError:
        await sleep
        raise


class Killer:
    """Stops or freezes an invocation at its n-th step: before or after a call of the database or the venue."""

    def __init__(self, gym: Gym, at: int, *, freeze: float | None = None) -> None:
        self.at, self.steps, self.killed, self._freeze = at, 0, asyncio.Event(), freeze
        self.names: list[str] = []
        for wire in (gym.world.to_database, gym.world.to_venues):
            self._wrap(wire)

    def _wrap(self, wire: Any) -> None:
        send = wire.handle_async_request

        async def counted(request: httpx.Request) -> httpx.Response:
            await self._step(f"before {request.url.path.rpartition('/')[2]}")
            response: httpx.Response = await send(request)
            await self._step(f"after {request.url.path.rpartition('/')[2]}")
            return response

        wire.handle_async_request = counted

    async def _step(self, name: str) -> None:
        self.steps += 1
        self.names.append(name)
        if self.steps == self.at:
            self.killed.set()
            if self._freeze is None:
                await asyncio.Event().wait()
            else:  # as if its timers did not run
                await _uninterrupted(self._freeze)

    async def run(self, gym: Gym) -> bool:
        """Invoke upkeep; return whether it was killed."""
        upkeep, killed = asyncio.create_task(gym.keep_up()), asyncio.create_task(self.killed.wait())
        await asyncio.wait({upkeep, killed}, return_when=asyncio.FIRST_COMPLETED)
        for task in (upkeep, killed):
            task.cancel()
        await asyncio.gather(upkeep, killed, return_exceptions=True)
        return self.killed.is_set()


@pytest.mark.grid
@pytest.mark.parametrize("at", range(1, 14))
@pytest.mark.parametrize("right", [True, False], ids=["right password", "wrong password"])
def test_an_invocation_killed_between_any_two_steps_sends_no_password_twice(gym: Gym, at: int, *, right: bool) -> None:
    email = member(gym, password=PASSWORD if right else "wrong")

    async def scenario() -> list[str]:
        killer = Killer(gym, at)
        killed = await killer.run(gym)
        steps, killer.at = killer.names[:], 0
        assert killed == (at < 13), "the steps are enumerated to the last one"
        await keep_up_for(gym, 12)
        return steps

    steps = gym.world.run(scenario())
    counted_and_unsent = at in {6, 7}
    assert not counted_and_unsent or steps[-1] in {"after claim_logins_v1", "before login"}
    assert len(gym.calls(LOGIN)) == (not counted_and_unsent)
    if gym.session(email)["version"] == 2:
        assert lives(gym, email)
        assert warning(gym, email) == ""
    else:
        assert warning(gym, email) in {"login_failed"} | ({"wrong_password"} if not right else set())


@pytest.mark.parametrize("at", range(1, 13))
def test_an_invocation_that_is_frozen_at_any_step_sends_no_password_twice(gym: Gym, at: int) -> None:
    """Others run every minute while it is frozen, and its lease is over when it goes on."""
    email = member(gym)

    async def scenario() -> None:
        killer = Killer(gym, at, freeze=3 * MINUTE)
        frozen = asyncio.create_task(gym.keep_up())
        await killer.killed.wait()
        await keep_up_for(gym, 6)
        await frozen

    gym.world.run(scenario())
    assert gym.calls(LOGIN) in ([email], [])
    assert (gym.session(email)["version"] == 2 and lives(gym, email)) or warning(gym, email) == "login_failed"


# the member acts meanwhile


def test_a_login_by_hand_during_an_automatic_one_wins(gym: Gym) -> None:
    email = member(gym)
    gym.twin.script(email, CallPlan(delay_after=3), path=LOGIN)

    async def scenario() -> None:
        upkeep = asyncio.create_task(gym.keep_up())
        await asyncio.sleep(1)
        gym.connection.execute(
            "update public.member_sessions set sealed = %s, version = version + 1, password = null,"
            " password_key_id = null, leased_by = null, leased_until = null",
            [SEAL.seal(gym.session(email), venue_id=gym.venue, member=email)],
        )
        assert (await upkeep).success

    gym.world.run(scenario())
    assert column(gym, email, "array[version::text, password]") == ["2", None]


def test_a_logout_during_an_automatic_login_leaves_nothing(gym: Gym) -> None:
    email = member(gym)
    gym.twin.script(email, CallPlan(delay_after=3), path=LOGIN)

    async def scenario() -> None:
        upkeep = asyncio.create_task(gym.keep_up())
        await asyncio.sleep(1)
        gym.connection.execute("select public.logout_v1(%s, %s)", [gym.venue, email])
        assert (await upkeep).success

    gym.world.run(scenario())
    assert gym.connection.execute("select from public.member_sessions").fetchall() == []


# keys and copies

NEW_KEY: dict[str, Any] = {
    "SESSION_ENCRYPTION_KEY": "A" * 43 + "=",
    "SESSION_ENCRYPTION_KEY_PREVIOUS": KEYS["SESSION_ENCRYPTION_KEY"],
}


def test_a_password_sealed_with_the_previous_key_is_sealed_again_when_it_is_used(gym: Gym) -> None:
    email = member(gym)
    gym.world.run(gym.keep_up(**NEW_KEY))
    new = Seal(bytes(32)).key_ids[0]
    assert column(gym, email, "array[key_id, password_key_id]") == [new, new]
    assert gym.calls(LOGIN) == [email]
    gym.prebook(email, gym.gym_class(at=2 * HOUR, time="09:00"))

    async def scenario() -> None:
        await asyncio.sleep(100 * MINUTE)
        await gym.keep_up(SESSION_ENCRYPTION_KEY=NEW_KEY["SESSION_ENCRYPTION_KEY"])

    gym.world.run(scenario())
    assert gym.calls(LOGIN) == [email] * 2, "the previous key is not needed any more"


def test_a_password_sealed_with_the_current_key_is_left(gym: Gym) -> None:
    email = member(gym)
    before = column(gym, email, "password")
    gym.world.run(gym.keep_up())
    assert column(gym, email, "password") == before


def test_a_password_sealed_with_an_unknown_key_is_left_and_warned_about(gym: Gym) -> None:
    email = member(gym)
    gym.world.run(gym.keep_up(SESSION_ENCRYPTION_KEY="A" * 43 + "="))
    assert (gym.calls(LOGIN), warning(gym, email)) == ([], "other_key")
    assert column(gym, email, "logins_that_day") == 0


COPIES: dict[str, Callable[[Gym], str]] = {
    "from another member": lambda _: (
        "password = (select password from public.member_sessions where user_email like 'ben@%%')"
    ),
    "from the session": lambda _: "password = sealed",
    "changed": lambda _: "password = 'AAAA' || substr(password, 5)",
}


@pytest.mark.parametrize("copy", COPIES)
def test_a_copied_password_is_not_sent(gym: Gym, copy: str) -> None:
    email, ben = member(gym), member(gym, "ben", opens=DAY)
    gym.connection.execute(
        f"update public.member_sessions set {COPIES[copy](gym)} where user_email = %s".encode(),  # noqa: S608 - of this test
        [email],
    )
    kept = gym.world.run(keep_up_for(gym, 2))
    assert (gym.calls(LOGIN), warning(gym, email), warning(gym, ben)) == ([], "login_failed", "")
    assert all(one.success for one in kept)


@pytest.mark.parametrize("kept", [{"username": "ana@example.com"}, {"username": "ana", "password": None}, ["a", "b"]])
def test_a_password_of_another_kind_is_not_sent_and_is_no_error(gym: Gym, kept: Any) -> None:
    email = member(gym)
    sealed = SEAL.seal(kept, venue_id=gym.venue, member=email, purpose=Purpose.PASSWORD)
    gym.connection.execute("update public.member_sessions set password = %s", [sealed])
    kept_up = gym.world.run(keep_up_for(gym, 2))
    assert (gym.calls(LOGIN), warning(gym, email)) == ([], "login_failed")
    assert [one.success for one in kept_up] == [True] * 2
    assert kept_up[0].parts["logins"]["failed"] == 1


def test_a_password_copied_to_another_venue_or_to_the_session_is_not_opened(database: Database) -> None:
    world = World(database)
    gym, other = Gym(world), Gym(world, host="other.aimharder.es")
    email = member(gym, opens=DAY)
    other.member("ana", old=DEAD)
    other.prebook(email, other.gym_class(at=SOON))
    world.connection.execute(
        "update public.member_sessions s"
        " set password = o.password, password_key_id = o.password_key_id, sealed = o.password"
        " from public.member_sessions o where s.venue_id = %s and o.venue_id = %s",
        [other.venue, gym.venue],
    )
    world.run(keep_up_for(gym, 2))
    row = other.prebook(email, other.gym_class(at=0, time="09:00"))
    world.run(other.invoke())
    assert gym.calls(LOGIN) == []
    assert world.ends([row]) == [("pending", None)], "no session"


def test_a_login_uses_the_address_as_it_was_typed(gym: Gym) -> None:
    email = member(gym)
    gym.remember(email, username="Ana@Example.COM")
    bodies = list[bytes]()
    send = gym.world.to_venues.handle_async_request

    async def recorded(request: httpx.Request) -> httpx.Response:
        bodies.append(await request.aread())
        return await send(request)

    gym.world.to_venues.handle_async_request = recorded  # type: ignore[method-assign]
    gym.world.run(gym.keep_up())
    assert [json.loads(body)["username"] for body in bodies] == ["Ana@Example.COM"]
    assert gym.session(email)["version"] == 2


# canaries


@pytest.mark.parametrize("answer", ["right", "wrong", "echo", "nothing", "error", "lost"])
def test_no_password_and_no_token_is_in_a_log_an_answer_or_a_column(
    gym: Gym, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, answer: str
) -> None:
    password = "s3cr3t-p4ssw0rd"
    email = member(gym, password=password)
    gym.twin.join(email, password if answer != "wrong" else "another")
    if answer in {"echo", "nothing"}:
        reply = TwinReply(500, {}, password.encode()) if answer == "echo" else DROP
        gym.twin.script(email, CallPlan(acts=False, answer=reply), path=LOGIN)
    if answer == "lost":
        gym.world.to_database.loses = lambda function: "after" if function == "save_login_v1" else ""
    if answer == "error":

        def fail(*_: object, **__: object) -> None:
            raise LookupError(password)

        monkeypatch.setattr("prebooking.bookers.aimharder.site.AimHarderSite.open_session", fail)
    caplog.set_level(logging.DEBUG)
    logging.getLogger("prebooking").addHandler(caplog.handler)
    kept = gym.world.run(keep_up_for(gym, 12))
    logging.getLogger("prebooking").removeHandler(caplog.handler)
    sessions = gym.twin.members._sessions.values()
    tokens = {f"token {number}": one.token for number, one in enumerate(sessions)}
    cookies = {f"cookie {number}": one.cookie for number, one in enumerate(sessions)}
    canaries = Canaries(ENVIRONMENT | KEYS, {"password": password, **tokens, **cookies})
    canaries.search("log", (f"{record.getMessage()} {record.__dict__}" for record in caplog.records))
    canaries.search("answer", (json.dumps(one.as_json()) for one in kept))
    canaries.search_columns(gym.connection)
    assert canaries.hits == []
    assert canaries.texts > 20
    assert len(gym.calls(LOGIN)) == (answer != "error")
