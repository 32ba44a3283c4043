"""`prebooking notify`: channels are added, listed, tried and removed, and bad input is refused with its cure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from prebooking.channels import KINDS
from prebooking.cli.notify import USUAL
from prebooking.local.inbox import Inbox, serve_inbox
from tests.support.messages import BOT_TOKEN
from tests.support.notifications import add_channel
from tests.support.postgrest import IMITATION
from tests.support.terminal import ANA, Terminal

TERMINAL_REST = IMITATION  # starts at once

ME = ("--member", ANA)
ONE_CHANNEL = "select user_email, kind, address, events, language, quiet_from::text, quiet_until::text"
ONE_CHANNEL += " from public.notification_channels order by created_at"


@pytest.fixture
def inbox(terminal: Terminal) -> Iterator[Inbox]:
    """An inbox, with its settings in the environment of the commands."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serve_inbox()) as inbox:
        for name, value in inbox.environment.items():
            terminal.environment.setenv(name, value)
        yield inbox


def added(terminal: Terminal, *words: str) -> str:
    """Add a channel, and return its id."""
    return terminal.succeeds("notify", "add", *words).split()[-1]


@pytest.mark.usefixtures("inbox")
@pytest.mark.parametrize(
    ("words", "row"),
    [
        (["mail", *ME], (ANA, "mail", ANA, list(USUAL), "en", None, None)),
        (
            ["ntfy", "my_topic", *ME, "--event", "failed", "--event", "booked", "--language", "es"],
            (ANA, "ntfy", "my_topic", ["booked", "failed"], "es", None, None),
        ),
        (
            ["mail", "ana@home.example", *ME, "--event", "all", "--quiet", "22:00-7:30"],
            (ANA, "mail", "ana@home.example", [*USUAL, "reminder"], "en", "22:00:00", "07:30:00"),
        ),
        (["webhook", "--operator", "--event", "all"], (None, "webhook", "", [*USUAL, "alert"], "en", None, None)),
        (["ntfy", "ops", "--operator"], (None, "ntfy", "ops", ["alert"], "en", None, None)),
    ],
)
def test_a_channel_is_added_as_it_is_asked_for(terminal: Terminal, words: list[str], row: tuple[Any, ...]) -> None:
    terminal.succeeds("notify", "add", *words)
    assert terminal.rows(ONE_CHANNEL) == [row]


@pytest.mark.usefixtures("inbox")
@pytest.mark.parametrize(
    ("words", "code", "cure"),
    [
        (["pigeon", *ME], 2, 'There is no kind "pigeon" of channel: say webhook, mail, ntfy or telegram.'),
        (["telegram", "4711", *ME], 1, "TELEGRAM_BOT_TOKEN is not set here"),
        (["mail"], 2, "Whose is it? Say --member EMAIL"),
        (["mail", "ana", *ME], 2, "write name@example.com"),
        (["mail", "ana@127.0.0.1", *ME], 2, "not a public name"),
        (["mail", "--operator"], 2, "write name@example.com"),
        (["ntfy", *ME], 2, "1 to 64 letters"),
        (["ntfy", "../v1/account", *ME], 2, "1 to 64 letters"),
        (["webhook", "https://evil.example", *ME], 2, "called at NOTIFY_WEBHOOK_URL"),
        (["mail", *ME, "--event", "lost"], 2, 'There is no event "lost": say --event booked, waitlisted, failed'),
        (["mail", *ME, "--event", "alert"], 2, '"alert" is for the operator: say --operator.'),
        (["webhook", "--operator", "--event", "reminder"], 2, '"reminder" is for members.'),
        (["mail", *ME, "--language", "fr"], 2, 'There are no messages in "fr": say --language en or es.'),
        (["mail", *ME, "--quiet", "at night"], 2, "write them like 22:00-07:00"),
        (["mail", *ME, "--quiet", "22:00"], 2, "write them like 22:00-07:00"),
        (["mail", *ME, "--quiet", "25:00-07:00"], 2, "write them like 22:00-07:00"),
        (["mail", *ME, "--quiet", "07:00-07:00"], 2, "leave --quiet out"),
        (["webhook", *ME, "--operator"], 2, "exclude each other"),
    ],
)
def test_a_bad_channel_is_refused_with_the_cure(terminal: Terminal, words: list[str], code: int, cure: str) -> None:
    assert cure in terminal.fails("notify", "add", *words, code=code)
    assert terminal.rows(ONE_CHANNEL) == []


@pytest.mark.usefixtures("inbox")
def test_a_channel_that_exists_is_named(terminal: Terminal) -> None:
    id_ = added(terminal, "ntfy", "my_topic", *ME)
    refused = terminal.fails("notify", "add", "ntfy", "my_topic", *ME, "--event", "failed")
    assert f"exists already ({id_}): to change it, `prebooking notify remove {id_}` first." in refused


def test_each_kind_without_its_setting_is_refused(terminal: Terminal) -> None:
    for kind in KINDS.keys() - {"ntfy"}:  # which has a server by default
        assert f"{KINDS[kind].upper()} is not set here" in terminal.fails("notify", "add", kind, "x", *ME)


def test_a_list_of_channels_fits_into_80_columns_without_cutting_words(terminal: Terminal) -> None:
    for events in (USUAL, [*USUAL, "reminder"], ["failed"]):
        add_channel(terminal.connection, ANA, "ntfy", address=f"classes{len(events)}", events=list(events))
    add_channel(terminal.connection, None, "webhook", events=[*USUAL])
    output = terminal.shows_at_width("notify", "list")
    assert max(map(len, output.splitlines())) <= 80
    assert {"all", "but", "alert", "reminder", "failed"} <= set(output.split())
    assert "waitl" not in output


@pytest.mark.usefixtures("inbox")
def test_the_list_shows_the_channels_of_a_member_or_of_all(terminal: Terminal) -> None:
    assert "No channels of ana@example.com: add one" in terminal.succeeds("notify", "list", *ME)
    mine = added(terminal, "ntfy", "my_topic", *ME, "--quiet", "22:00-07:00", "--event", "failed")
    theirs = added(terminal, "webhook", "--operator", "--event", "all")
    shown = terminal.succeeds("notify", "list")
    assert mine in shown
    assert theirs in shown
    for word in ("my_topic", "failed", "22:00-07:00", "works", "(operator)", "all"):
        assert word in shown
    assert theirs not in terminal.succeeds("notify", "list", *ME)
    (listed,) = terminal.run("notify", "list", *ME, "--json").json
    assert (listed["id"][:8], listed["quiet_from"], listed["dead"]) == (mine, "22:00:00", 0)


def test_a_failing_channel_and_its_messages_are_shown(terminal: Terminal) -> None:
    channel = add_channel(terminal.connection, failed_at="2026-11-01 12:00+00", failure="http_500")
    terminal.connection.execute(
        "insert into public.notifications (event, about, channel_id, due_at, next_at, status, settled_at)"
        " values ('alert', 'a', %(id)s, now(), now(), 'waiting', null),"
        " ('alert', 'b', %(id)s, now(), now(), 'dead', now())",
        {"id": channel},
    )
    assert "failing: http_500, 1 waiting, 1 given up" in terminal.succeeds("notify", "list")


@pytest.mark.usefixtures("inbox")
def test_a_removed_channel_is_gone(terminal: Terminal) -> None:
    id_ = added(terminal, "ntfy", "my_topic", *ME)
    assert "is not told by ntfy to my_topic any more." in terminal.succeeds("notify", "remove", id_)
    assert terminal.rows(ONE_CHANNEL) == []
    assert f'There is no channel "{id_}"' in terminal.fails("notify", "remove", id_)


def test_a_removed_channel_takes_its_messages_with_it(terminal: Terminal) -> None:
    channel = add_channel(terminal.connection)
    terminal.connection.execute(
        "insert into public.notifications (event, channel_id, due_at, next_at) values ('alert', %s, now(), now())",
        [channel],
    )
    assert "1 message for it will not be sent" in terminal.succeeds("notify", "remove", str(channel))
    assert terminal.rows("select id from public.notifications") == []


@pytest.mark.parametrize(
    ("words", "how", "to"),
    [
        (["mail", *ME], "mail", ANA),
        (["ntfy", "my_topic", *ME], "ntfy", "my_topic"),
        (["webhook", "--operator"], "webhook", ""),
    ],
)
def test_a_test_message_arrives_in_the_language_of_the_channel(
    terminal: Terminal, inbox: Inbox, words: list[str], how: str, to: str
) -> None:
    id_ = added(terminal, *words, "--language", "es")
    assert "The receiver has taken it: look there." in terminal.succeeds("notify", "test", id_)
    [message] = inbox.messages()
    assert (message.how, message.to, message.text) == (how, to, "Esto es una prueba: los mensajes llegan aquí.")
    assert "los mensajes llegan" in inbox.page()


def test_a_test_that_no_receiver_takes_says_what_to_look_at(terminal: Terminal, inbox: Inbox) -> None:
    id_ = added(terminal, "ntfy", "my_topic", *ME)
    terminal.environment.setenv("NTFY_URL", "http://127.0.0.1:9")
    failed = terminal.fails("notify", "test", id_)
    assert "The receiver did not take it (not_connected): look at NTFY_URL, NTFY_TOKEN and the topic." in failed
    assert inbox.messages() == []


def test_a_test_of_a_kind_without_its_setting_is_refused(terminal: Terminal) -> None:
    channel = add_channel(terminal.connection, kind="telegram")
    assert "TELEGRAM_BOT_TOKEN is not set here" in terminal.fails("notify", "test", str(channel))
    terminal.environment.setenv("TELEGRAM_BOT_TOKEN", "x")
    failed = terminal.fails("notify", "test", str(channel))
    assert "is not a bot's token" in failed
    assert BOT_TOKEN not in failed
