"""``prebooking notify``: add, list, remove and test the channels on which members and the operator are told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import time
from typing import Annotated
from uuid import uuid4

import typer

from prebooking.channels import KINDS, Delivery, Message, SendResult, kinds_set_up, open_channel
from prebooking.channels.addresses import address_problem
from prebooking.channels.settings import NotificationSettings
from prebooking.channels.texts import LANGUAGES, compose_test
from prebooking.cli.database import open_database
from prebooking.cli.dates import parse_time
from prebooking.cli.environment import environment
from prebooking.cli.lookup import ID_LENGTH, find_row
from prebooking.cli.options import AsJson, Member, optional_member, require_member
from prebooking.cli.runner import run_command
from prebooking.cli.terminal import counted, refuse_unreadable, say, show_json, show_table
from prebooking.database.channels import ChannelView, NewChannel
from prebooking.errors import BadInput, CommandFailed
from prebooking.http import isolated_client

app = typer.Typer(help="How members and the operator are told.", no_args_is_help=True, rich_markup_mode=None)

USUAL = ("booked", "waitlisted", "failed", "warned", "moved_up", "given_back")
REMINDER, ALERT, ALL = "reminder", "alert", "all"
TEST_SECONDS = 10.0
_SHRINK = {"Events": 14, "Address": 12, "Member": 12, "State": 10}
_ANSWERS = {
    SendResult.SENT: "The receiver has taken it: look there.",
    SendResult.NOT_SENT: "The receiver did not take it",
    SendResult.UNSURE: "It was sent, but there was no clear answer, so it may have arrived: look there",
    SendResult.GONE: "There is no such receiver any more: remove this channel, and add it with another address",
}
_CURES = {
    "webhook": "look at your endpoint's log, NOTIFY_WEBHOOK_URL and NOTIFY_WEBHOOK_SECRET",
    "mail": "look at SMTP_URL and MAIL_FROM, and at what your mail server allows",
    "ntfy": "look at NTFY_URL, NTFY_TOKEN and the topic",
    "telegram": "look at TELEGRAM_BOT_TOKEN, and send /start to the bot first",
}


@app.command()
def add(
    *,
    kind: Annotated[str, typer.Argument(metavar="|".join(KINDS), help="The kind of channel.", show_default=False)],
    address: Annotated[
        str | None,
        typer.Argument(
            help="A mail address (yours, if you leave it out), a topic of ntfy, or the number of a Telegram chat.",
            show_default=False,
        ),
    ] = None,
    member: Member = None,
    operator: Annotated[
        bool, typer.Option("--operator", help="Tell the operator about every member, and send alerts.")
    ] = False,
    event: Annotated[
        list[str] | None,
        typer.Option(
            "--event",
            metavar="EVENT",
            help="What to tell, several times: booked, waitlisted, failed, warned, moved_up, given_back, reminder,"
            " alert, or all. Without it: all but reminder; the operator: alert.",
            show_default=False,
        ),
    ] = None,
    language: Annotated[str, typer.Option("--language", metavar="|".join(LANGUAGES), help="Of the messages.")] = "en",
    quiet: Annotated[
        str | None,
        typer.Option(
            "--quiet",
            metavar="FROM-UNTIL",
            help="No messages then, on the venue's clock, like 22:00-07:00; failures come anyway.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Add a channel: on it a member is told what happens to their prebookings."""
    run_command(_add(kind, address, member, operator=operator, events=event or [], language=language, quiet=quiet))


async def _add(
    kind: str,
    address: str | None,
    member: str | None,
    *,
    operator: bool,
    events: Sequence[str],
    language: str,
    quiet: str | None,
) -> None:
    if operator and member:
        raise BadInput("--operator and --member exclude each other: leave one of them out.")
    who = None if operator else require_member(member)
    _find_kind(kind)
    new = NewChannel(
        id=uuid4(),
        user_email=who,
        kind=kind,
        address=_parse_address(kind, address, who),
        events=_parse_events(events, operator=operator),
        language=_parse_language(language),
        quiet=_parse_quiet(quiet),
    )
    async with open_database() as database:
        result = await database.channels.add(new, until=database.deadline())
    id_ = str(result.id)[:ID_LENGTH]
    if result.verdict == "exists":
        raise CommandFailed(
            f"This channel exists already ({id_}): to change it, `prebooking notify remove {id_}` first."
        )
    say(f"{who or 'The operator'} is told by {_describe(kind, new.address)}: {', '.join(new.events)}.")
    say(f"To try it: prebooking notify test {id_}")


@app.command("list")
def list_channels(*, member: Member = None, as_json: AsJson = False) -> None:
    """Show the channels of a member, or all of them."""
    run_command(_list(member, as_json=as_json))


async def _list(member: str | None, *, as_json: bool) -> None:
    whose = optional_member(member)
    async with open_database() as database:
        channels = await database.channels.all(whose, until=database.deadline())
    if as_json:
        show_json(channels)
    elif channels:
        columns = ("Id", "Member", "Kind", "Address", "Events", "Language", "Quiet", "State")
        show_table(columns, [_row(channel) for channel in channels], shrink=_SHRINK)
    elif not channels.unreadable:
        say(f"No channels{' of ' + whose if whose else ''}: add one with `prebooking notify add`.")
    refuse_unreadable(channels.unreadable)


_Id = Annotated[str, typer.Argument(metavar="ID", help="Its id, or the start of it.", show_default=False)]


@app.command()
def remove(channel: _Id, *, member: Member = None) -> None:
    """Remove a channel: nothing more is told there."""
    run_command(_remove(channel, member))


async def _remove(start: str, member: str | None) -> None:
    async with open_database() as database:
        channels = await database.channels.all(optional_member(member), until=database.deadline())
        channel = find_row(channels, start, "channel")
        await database.channels.remove(channel.id, until=database.deadline())
    waiting = f"; {counted(channel.waiting, 'message')} for it will not be sent" if channel.waiting else ""
    say(f"{channel.user_email or 'The operator'} is not told by {_named(channel)} any more{waiting}.")


@app.command("test")
def send_test(channel: _Id, *, member: Member = None) -> None:
    """Send one message on a channel now, from this machine, and report the receiver's answer."""
    run_command(_test(channel, member))


async def _test(start: str, member: str | None) -> None:
    async with open_database() as database:
        channels = await database.channels.all(optional_member(member), until=database.deadline())
        channel = find_row(channels, start, "channel")
        now = database.clock.now()
    _find_kind(channel.kind)
    text = compose_test(channel.language)
    message = Message(
        id=uuid4(),
        event="test",
        address=channel.address,
        at=now,
        subject=text.subject,
        text=text.text,
        channel_id=channel.id,
        language=channel.language,
    )
    async with isolated_client() as client:
        sender = open_channel(channel.kind, NotificationSettings.from_environment(environment()), client)
        delivery = await sender.send(message, timeout=TEST_SECONDS)
    _report(channel, delivery)


def _report(channel: ChannelView, delivery: Delivery) -> None:
    """Print the receiver's answer. Raises CommandFailed if the message was not taken."""
    answer = _ANSWERS[delivery.result]
    if delivery.result is SendResult.SENT:
        say(f"Sent by {_named(channel)}. {answer}")
        return
    code = f" ({delivery.failure})" if delivery.failure else ""
    cure = "" if delivery.result is SendResult.GONE else f": {_CURES[channel.kind]}"
    raise CommandFailed(f"{answer}{code}{cure}.")


def _find_kind(kind: str) -> None:
    """Raise BadInput for an unknown kind, and CommandFailed for one whose settings are missing here."""
    if kind not in KINDS:
        raise BadInput(f'There is no kind "{kind}" of channel: say {_either(KINDS)}.')
    if kind not in kinds_set_up(NotificationSettings.from_environment(environment())):
        variable = KINDS[kind].upper()
        raise CommandFailed(
            f"{variable} is not set here, so this kind cannot be used: set it where the function runs, and in this"
            " folder's .env (docs/notifications.md)."
        )


def _parse_address(kind: str, address: str | None, member: str | None) -> str:
    """Return the address; of a member's mail by default the member's own. Raises BadInput."""
    given = (address or "").strip() or (member or "" if kind == "mail" else "")
    if problem := address_problem(kind, given):
        raise BadInput(problem)
    return given


def _parse_events(events: Sequence[str], *, operator: bool) -> tuple[str, ...]:
    every = (*USUAL, ALERT if operator else REMINDER)
    for event in events:
        if event in (REMINDER, ALERT) and event not in every:
            raise BadInput(f'"{event}" is {"for members" if operator else "for the operator: say --operator"}.')
        if event not in (*every, ALL):
            raise BadInput(f'There is no event "{event}": say --event {_either((*every, ALL))}.')
    if ALL in events:
        return every
    return tuple(each for each in every if each in events) or ((ALERT,) if operator else USUAL)


def _parse_language(language: str) -> str:
    if language not in LANGUAGES:
        raise BadInput(f'There are no messages in "{language}": say --language {_either(LANGUAGES)}.')
    return language


def _parse_quiet(text: str | None) -> tuple[time, time] | None:
    """Return the beginning and the end of the quiet hours. Raises BadInput."""
    if text is None:
        return None
    first, _, last = text.partition("-")
    try:
        hours = parse_time(first.strip()), parse_time(last.strip())
    except BadInput:
        raise BadInput(f'"{text}" are no quiet hours: write them like 22:00-07:00.') from None
    if hours[0] == hours[1]:
        raise BadInput(
            "Quiet hours have a beginning and another end: leave --quiet out, or write them like 22:00-07:00."
        )
    return hours


def _either(words: Iterable[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}"


def _describe(kind: str, address: str) -> str:
    return f"{kind} to {address}" if address else kind


def _named(channel: ChannelView) -> str:
    return _describe(channel.kind, channel.address)


def _row(channel: ChannelView) -> tuple[str, ...]:
    quiet = f"{channel.quiet_from:%H:%M}-{channel.quiet_until:%H:%M}" if channel.quiet_from else "-"
    who = channel.user_email or "(operator)"
    where = (channel.kind, channel.address or "-", _events(channel), channel.language, quiet)
    return (str(channel.id)[:ID_LENGTH], who, *where, _state(channel))


def _events(channel: ChannelView) -> str:
    last = ALERT if channel.user_email is None else REMINDER
    most = {frozenset((*USUAL, last)): "all", frozenset(USUAL): f"all but {last}"}
    return most.get(frozenset(channel.events)) or ", ".join(channel.events)


def _state(channel: ChannelView) -> str:
    """Return whether the last message was taken, and how many messages wait or were given up."""
    counts = [
        f"{number} {word}" for number, word in ((channel.waiting, "waiting"), (channel.dead, "given up")) if number
    ]
    failing = f"failing: {channel.failure}" if channel.failed_at else "works" if not counts else ""
    return ", ".join(filter(None, [failing, *counts]))
