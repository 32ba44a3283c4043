"""Giving a place back: at AimHarder and at the operator's own endpoint, with every answer, and killed at every step."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import httpx
import pytest

from prebooking.http import PlainClient
from prebooking.local.venue.aimharder import CANCEL_BOOK, TOKEN_UPDATE
from prebooking.local.venue.twin import DROP, Arrival, CallPlan, State, TwinReply
from prebooking.local.venue.verdicts import VERDICTS, json_reply
from prebooking.local_time import format_instant
from tests.support.factories import add_prebooking, add_venue
from tests.support.postgrest import IMITATION
from tests.support.terminal import ANA, HOST, PASSWORD, Terminal, day, now

TERMINAL_REST = IMITATION  # starts at once; these tests are about the venue's answers

WOD = "1001"
_LOST = {
    "before": CallPlan(acts=False, answer=DROP),
    "after": CallPlan(answer=DROP),
}


class Killed(BaseException):
    """The command is killed."""


@pytest.fixture
def box(terminal: Terminal) -> Terminal:
    """A terminal with a box, and Ana's login there."""
    terminal.add_box_and_member()
    terminal.offer(WOD, day=day(1))
    return terminal


@pytest.fixture
def endpoint(terminal: Terminal) -> Terminal:
    """A terminal with the operator's own endpoint."""
    terminal.environment.setenv("BOOKING_WEBHOOK_URL", f"{os.environ['AIMHARDER_TWIN_URL']}/book")
    terminal.environment.setenv("BOOKING_WEBHOOK_SECRET", terminal.twin.secret)
    add_venue(terminal.connection, name="Mine", host=None)
    terminal.twin.open_class(WOD, opens_at=now(-60), capacity=9, waiting_list=9)
    return terminal


def book(terminal: Terminal, **overrides: Any) -> UUID:
    """Book the class for Ana, ten minutes ago; return the prebooking."""
    [(venue, provider)] = terminal.rows("select id, provider from venues")
    about = (HOST if provider == "aimharder" else str(venue),)
    data = {"class_id": WOD, "day": f"{day(1):%Y%m%d}", "class_name": "WOD"}
    row = {"user_email": ANA, "booking_data": data, "available_at": now(-601), "expires_at": now(80_000)}
    row |= {"status": "completed", "outcome": "booked", "settled_at": now(-600)}
    prebooking = add_prebooking(terminal.connection, venue, **row | overrides)
    named = "" if provider == "aimharder" else str(prebooking)
    terminal.twin.book(Arrival(now(), "POST", named, ANA, WOD, *about))
    return prebooking


def given_back(terminal: Terminal) -> bool:
    """Return whether it is recorded; require that the venue and the database agree then."""
    [(recorded,)] = terminal.rows("select given_back_at is not null from prebookings order by created_at limit 1")
    assert not (recorded and terminal.twin.ledger.bookings()), "recorded as given back, and booked at the venue"
    return bool(recorded)


def cancellations(terminal: Terminal) -> int:
    """Return the number of calls that give a place back."""
    arrivals = terminal.twin.ledger.arrivals(None)
    return sum(call.path == CANCEL_BOOK or call.method == "DELETE" for call in arrivals)


@pytest.fixture(params=["box", "endpoint"])
def either(request: pytest.FixtureRequest) -> Terminal:
    """A terminal with a box, or with an endpoint."""
    terminal: Terminal = request.getfixturevalue(request.param)
    return terminal


def plan_cancellation(terminal: Terminal, row: UUID, plan: CallPlan) -> None:
    """Let the next call that gives a place back go as planned."""
    terminal.twin.script(ANA, plan, method="POST", path=CANCEL_BOOK)
    terminal.twin.script(row, plan, method="DELETE")


def test_a_place_is_given_back_and_the_class_can_be_asked_for_again(box: Terminal) -> None:
    box.environment.setenv("CRON_SECRET", "the-secret-of-the-cron")
    words = ["add", "box centro", str(day(1)), "19:30", "-m", ANA]
    box.succeeds(*words)
    box.succeeds("run")
    assert "has a place in WOD already" in box.fails(*words)
    [(row,)] = box.rows("select id from prebookings")
    assert "Given back: WOD at Box Centro" in box.succeeds("give-back", str(row)[:8])
    assert given_back(box)
    assert "given back" in box.succeeds("list")
    [shown] = box.run("list", "--json").json
    assert (shown["status"], shown["given_back_at"] is not None) == ("completed", True)
    box.succeeds(*words)
    box.succeeds("run")
    assert box.rows("select outcome, given_back_at is null from prebookings order by created_at") == [
        ("booked", False),
        ("booked", True),
    ]
    assert len(box.twin.ledger.bookings()) == 1
    assert "was given back before" in box.fails("give-back", str(row))


def test_a_place_at_the_operators_endpoint_is_given_back(endpoint: Terminal) -> None:
    assert "Given back: WOD at Mine" in endpoint.succeeds("give-back", str(book(endpoint)))
    assert given_back(endpoint)


@pytest.mark.parametrize("lost", _LOST)
def test_a_call_without_an_answer_is_followed_by_a_question(either: Terminal, lost: str) -> None:
    row = book(either)
    plan_cancellation(either, row, _LOST[lost])
    if lost == "after":
        assert "Given back" in either.succeeds("give-back", str(row))
    else:
        assert "still shows the place" in either.fails("give-back", str(row))
    assert given_back(either) is (lost == "after")
    assert cancellations(either) == 1


def test_a_call_and_a_question_without_an_answer_are_unclear(either: Terminal) -> None:
    row = book(either)
    plan_cancellation(either, row, CallPlan(answer=DROP))
    silent = CallPlan(acts=False, answer=DROP)
    either.twin.script(ANA, CallPlan(), silent, method="GET", path="/api/bookings")
    either.twin.script(row, CallPlan(), silent, method="GET")
    output = either.fails("give-back", str(row))
    assert "is not clear" in output
    assert "run this again in a minute: it asks first" in output
    assert not given_back(either)
    assert "It was not booked there any more" in either.succeeds("give-back", str(row))
    assert given_back(either)
    assert cancellations(either) == 1


@pytest.mark.grid
@pytest.mark.parametrize("name", [name for name in VERDICTS if name != "cancelled"])
def test_no_answer_to_a_cancellation_records_what_did_not_happen(box: Terminal, name: str) -> None:
    row = book(box)
    plan_cancellation(box, row, CallPlan(acts=False, answer=VERDICTS[name]))
    output = box.fails("give-back", str(row))
    assert not given_back(box)
    expected = {"cancelled_late": "--late", "cancel_refused": "refuses to take"}
    blocked = dict.fromkeys(("blocked", "captcha", "too_many_requests"), "refuses calls from here")
    assert (expected | blocked).get(name, "still shows the place") in output


@pytest.mark.grid
@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (200, b"<html>done</html>", "still shows the place"),
        (200, b'{"state": "booked"}', "still shows the place"),
        (200, b'{"state": ["given_back"]}', "still shows the place"),
        (202, b"{}", "still shows the place"),
        (302, b"", "still shows the place"),
        (404, b"", "still shows the place"),
        (404, b'{"state": "booked"}', "still shows the place"),
        (409, b"", "still shows the place"),
        (409, b'{"state": "late"}', "--late"),
        (422, b'{"state": "not_booked"}', "still shows the place"),
        (500, b'{"state": "not_booked"}', "still shows the place"),
        (405, b"", "cannot take places back"),
        (501, b"", "cannot take places back"),
        (401, b"", "refuses calls from here"),
        (403, b'{"state": "not_booked"}', "refuses calls from here"),
        (429, b"", "refuses calls from here"),
    ],
)
def test_no_answer_to_a_delete_records_what_did_not_happen(
    endpoint: Terminal, status: int, body: bytes, sentence: str
) -> None:
    row = book(endpoint)
    plan_cancellation(endpoint, row, CallPlan(acts=False, answer=TwinReply(status, {}, body)))
    assert sentence in endpoint.fails("give-back", str(row))
    assert not given_back(endpoint)


@pytest.mark.parametrize(("status", "body"), [(204, b""), (200, b"{}"), (404, b'{"state": "not_booked"}')])
def test_every_documented_answer_gives_a_place_back(endpoint: Terminal, status: int, body: bytes) -> None:
    row = book(endpoint)
    plan_cancellation(endpoint, row, CallPlan(answer=TwinReply(status, {}, body)) if status != 204 else CallPlan())
    endpoint.succeeds("give-back", str(row))
    assert given_back(endpoint)


def test_an_endpoint_that_cannot_be_asked_is_told_to_delete(endpoint: Terminal) -> None:
    row = book(endpoint)
    endpoint.twin.can_tell = False
    plan_cancellation(endpoint, row, CallPlan(answer=DROP))
    assert "is not clear" in endpoint.fails("give-back", str(row))
    endpoint.succeeds("give-back", str(row))  # 404 and {"state": "not_booked"}
    assert given_back(endpoint)


def test_a_late_place_is_given_back_only_with_late(either: Terminal) -> None:
    row = book(either)
    either.twin.classes[WOD] = replace(either.twin.classes[WOD], late_from=now(-1))
    output = either.fails("give-back", str(row))
    assert "the credit" in output
    assert "--late" in output
    assert not given_back(either)
    assert len(either.twin.ledger.bookings()) == 1
    either.succeeds("give-back", str(row), "--late")
    assert given_back(either)


def test_a_place_on_a_waiting_list_is_given_back(either: Terminal) -> None:
    either.twin.classes[WOD] = replace(either.twin.classes[WOD], capacity=0, waiting_list=1)
    row = book(either, outcome="waitlisted")
    either.succeeds("give-back", str(row))
    assert given_back(either)


# the login


def test_a_dead_session_is_refreshed_once(box: Terminal) -> None:
    row = book(box)
    box.twin.expire(ANA)
    box.succeeds("give-back", str(row))
    assert given_back(box)
    assert box.rows("select version, leased_by from member_sessions") == [(2, None)]
    assert len(box.twin.ledger.arrivals(path=TOKEN_UPDATE)) == 1


@pytest.mark.parametrize("how", ["ended", "removed", "other key", "expired"])
def test_without_a_usable_login_the_member_logs_in_first(box: Terminal, how: str) -> None:
    row = book(box)
    if how == "ended":
        box.twin.members.log_out(ANA)
    elif how == "removed":
        box.succeeds("logout", "box centro", "-m", ANA)
    elif how == "other key":
        box.environment.setenv("SESSION_ENCRYPTION_KEY", "A" * 43 + "=")
    else:
        box.connection.execute("update member_sessions set expired_at = now()")
    output = box.fails("give-back", str(row))
    assert f'prebooking login "Box Centro" --member {ANA}' in output
    assert (given_back(box), cancellations(box)) == (False, 0)


def test_a_box_is_not_told_to_cancel_what_its_list_does_not_show(box: Terminal) -> None:
    row = book(box)
    down = CallPlan(acts=False, answer=VERDICTS["down"])
    box.twin.script(ANA, down, method="GET", path="/api/bookings")
    assert "Nothing was done" in box.fails("give-back", str(row))
    box.twin.script(ANA, CallPlan(acts=False, answer=VERDICTS["blocked"]), method="GET", path="/api/bookings")
    assert "refuses calls from here" in box.fails("give-back", str(row))
    box.twin.script(ANA, CallPlan(acts=False, answer=json_reply({"bookings": []})), method="GET", path="/api/bookings")
    assert "does not list" in box.fails("give-back", str(row))
    assert (given_back(box), cancellations(box)) == (False, 0)


def test_the_stored_number_is_used_if_the_list_shows_none(box: Terminal) -> None:
    row = book(box)
    [act] = box.twin.ledger.bookings()
    line = {"id": int(WOD), "bookState": 1, "idres": None, "enabled": 1, "cancelledId": None}
    shown = CallPlan(acts=False, answer=json_reply({"bookings": [line]}))
    box.twin.script(ANA, shown, shown, method="GET", path="/api/bookings")
    assert "by a call" in box.fails("give-back", str(row))
    again = book(box, booking_id=act.booking_id, settled_at=now(-500))
    box.twin.ledger.write(replace(box.twin.ledger.bookings()[-1], state=State.CANCELLED))
    box.succeeds("give-back", str(again))
    assert box.twin.ledger.bookings() == []


@pytest.mark.parametrize("how", ["done", "dead session", "ended", "venue's text"])
def test_nothing_secret_and_no_text_of_the_venue_is_printed(box: Terminal, how: str, caplog: Any) -> None:
    row = book(box)
    if how == "dead session":
        box.twin.expire(ANA)
    elif how == "ended":
        box.twin.members.log_out(ANA)
    elif how == "venue's text":
        answer = json_reply({"cancelState": 3, "errorMssg": "canary", "cookie": "canary"}, cookies=["canary=canary"])
        plan_cancellation(box, row, CallPlan(acts=False, answer=answer))
    result = box.run("give-back", str(row))
    sessions = box.twin.members._sessions.values()
    secrets = {"canary", PASSWORD, os.environ["SUPABASE_SERVICE_ROLE_KEY"], os.environ["SESSION_ENCRYPTION_KEY"]}
    secrets |= {text for session in sessions for text in (session.cookie, session.token, session.fingerprint)}
    printed = result.out + result.err + caplog.text
    assert [secret for secret in secrets if secret in printed] == []


# what is not given back


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"status": "pending", "outcome": None, "settled_at": None}, "cancel it with `prebooking cancel "),
        ({"status": "failed", "outcome": "full"}, "it ended as full"),
        ({"status": "cancelled", "outcome": None}, "was cancelled before"),
        ({"expires_at": now(-1)}, "The class has begun"),
        ({"given_back_at": now(-1)}, "was given back before"),
    ],
)
def test_what_is_not_booked_or_has_begun_is_refused(either: Terminal, how: dict[str, Any], sentence: str) -> None:
    row = book(either, **how)
    calls = len(either.twin.ledger.entries)
    assert sentence in either.fails("give-back", str(row))
    assert len(either.twin.ledger.entries) == calls


def test_a_class_that_was_asked_for_again_names_the_other_prebooking(either: Terminal) -> None:
    old, new = book(either), book(either, settled_at=now(-500))
    assert f"give back {str(new)[:8]} instead" in either.fails("give-back", str(old))


def test_an_unknown_id_is_refused(either: Terminal) -> None:
    book(either)
    assert 'There is no prebooking "nothing"' in either.fails("give-back", "nothing")


def test_a_place_that_was_cancelled_at_the_venue_is_recorded(either: Terminal) -> None:
    row = book(either)
    [act] = either.twin.ledger.bookings()
    either.twin.cancel(act.booking_id, ANA)
    assert "not booked there any more" in either.succeeds("give-back", str(row))
    assert (given_back(either), cancellations(either)) == (True, 0)


def test_a_new_place_that_the_list_does_not_show_yet_is_not_taken_for_given_back(box: Terminal) -> None:
    row = book(box, settled_at=now(), available_at=now(-1))
    box.twin.page.behind = 6
    assert "does not show the place yet" in box.fails("give-back", str(row))
    assert not given_back(box)
    assert len(box.twin.ledger.bookings()) == 1


@pytest.mark.parametrize("missing", ["BOOKING_WEBHOOK_URL", "BOOKING_WEBHOOK_SECRET"])
def test_a_missing_variable_is_named(endpoint: Terminal, missing: str) -> None:
    row = book(endpoint)
    endpoint.environment.delenv(missing)
    assert f"{missing} is missing" in endpoint.fails("give-back", str(row))


# killed


@contextmanager
def interrupted(terminal: Terminal, *, at: int, when: str = "", by: BaseException | None = None) -> Iterator[list[str]]:
    """Raise an exception before or after the request with this number; yield the paths of all requests."""
    send, paths = PlainClient.send, list[str]()

    async def counted(client: PlainClient, request: httpx.Request, **how: Any) -> httpx.Response:
        paths.append(request.url.path)
        is_last = len(paths) == at + 1
        if is_last and by and when == "before":
            raise by
        response = await send(client, request, **how)
        if is_last and by and when == "after":
            await response.aclose()
            raise by
        return response

    with terminal.environment.context() as patch:
        patch.setattr(PlainClient, "send", counted)
        yield paths


def test_a_command_that_is_killed_at_any_step_is_run_again(either: Terminal) -> None:
    row = book(either)
    with interrupted(either, at=-1) as paths:
        either.succeeds("give-back", str(row))
    assert paths[-1].endswith("give_back_v1")
    for number, when in [(n, when) for n in range(len(paths)) for when in ("before", "after")]:
        either.connection.execute("delete from prebookings")
        row, before = book(either), cancellations(either)
        with interrupted(either, at=number, when=when, by=Killed()), pytest.raises(Killed):
            either.run("give-back", str(row))
        assert given_back(either) in {False, (number, when) == (len(paths) - 1, "after")}
        result = either.run("give-back", str(row))
        assert (result.code, "was given back before" in result.err) in {(0, False), (1, True)}
        assert given_back(either)
        assert either.twin.ledger.bookings() == []
        assert cancellations(either) - before == 1


def test_an_answer_that_is_lost_at_any_step_leaves_nothing_wrong(either: Terminal) -> None:
    """Calls of the database are repeated; the venue is called once, and asked."""
    row = book(either)
    with interrupted(either, at=-1) as paths:
        either.succeeds("give-back", str(row))
    assert paths
    for number, when in [(n, when) for n in range(len(paths)) for when in ("before", "after")]:
        either.connection.execute("delete from prebookings")
        row, before = book(either), cancellations(either)
        with interrupted(either, at=number, when=when, by=httpx.ReadError("lost")):
            result = either.run("give-back", str(row))
        assert given_back(either) is (result.code == 0), (number, when)
        assert result.code == 0 or "rpc" not in paths[number], (number, when, result.err)
        if result.code:
            either.succeeds("give-back", str(row))
        assert given_back(either)
        assert either.twin.ledger.bookings() == []
        assert cancellations(either) - before == 1


def test_a_command_whose_record_is_lost_is_run_again(either: Terminal) -> None:
    row = book(either)
    either.connection.execute("alter function public.give_back_v1 rename to give_back_v0")
    output = either.fails("give-back", str(row))
    assert "could not be recorded (give_back_v1: PGRST202): run this again" in output
    either.connection.execute("alter function public.give_back_v0 rename to give_back_v1")
    either.succeeds("give-back", str(row))
    assert given_back(either)


# the list


@pytest.mark.parametrize(
    ("place", "state"),
    [
        ({"place": "waiting", "position": 3}, "waiting list, place 3"),
        ({"place": "waiting"}, "waitlisted"),
        ({"place": "booked"}, "booked since {since}"),
        ({"place": "lost"}, "not on the waiting list"),
    ],
)
def test_the_list_shows_what_became_of_a_place_on_a_waiting_list(
    either: Terminal, place: dict[str, Any], state: str
) -> None:
    row, since = book(either, outcome="waitlisted"), now(-3600)
    values = [row, place["place"], since, place.get("position"), since]
    columns = b"prebooking_id, place, since, position, looked_at"
    either.connection.execute(b"insert into prebooking_places (" + columns + b") values (%s, %s, %s, %s, %s)", values)
    listed = either.succeeds("list")
    assert state.format(since=format_instant(since, "Europe/Madrid")) in listed
    [shown] = either.run("list", "--json").json
    assert (shown["outcome"], shown["place"], shown["position"]) == (
        "waitlisted",
        place["place"],
        place.get("position"),
    )
