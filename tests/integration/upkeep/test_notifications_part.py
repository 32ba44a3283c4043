"""The part "notifications": one failing receiver or row stops no other, and a kill at any step loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from prebooking import channels
from prebooking.channels import Delivery, Message, SendResult
from prebooking.channels.texts import compose
from prebooking.upkeep import notifications
from tests.support.boxes import Gym
from tests.support.doubles import EPOCH
from tests.support.factories import add_prebooking, add_venue
from tests.support.faults import FAULTS, Fault, FaultAtStep
from tests.support.notifications import add_channel

Receiver = Callable[[Message], Awaitable[Delivery]]
SENT = Delivery(SendResult.SENT)
_NONE = {"sent": 0, "not_sent": 0, "unsure": 0, "gone": 0}


class ScriptedReceivers:
    """Stands for every kind of channel: takes all messages, except where a test scripts something else."""

    def __init__(self) -> None:
        self.taken = list[tuple[float, str, UUID]]()
        self.scripts: dict[str, Receiver] = {}  # by address

    async def send(self, message: Message, *, timeout: float) -> Delivery:  # noqa: ARG002, ASYNC109 - see Channel
        self.taken.append((asyncio.get_running_loop().time(), message.address, message.id))
        script = self.scripts.get(message.address)
        return await script(message) if script else SENT

    @property
    def addresses(self) -> list[str]:
        return [address for _, address, _ in self.taken]


@pytest.fixture
def receivers(monkeypatch: pytest.MonkeyPatch) -> ScriptedReceivers:
    receivers = ScriptedReceivers()
    monkeypatch.setattr(channels, "kinds_set_up", lambda _: ["mail", "ntfy", "telegram"])
    monkeypatch.setattr(channels, "open_channel", lambda *_: receivers)
    return receivers


def told(gym: Gym, name: str, kind: str = "ntfy", *, messages: int = 1) -> None:
    """Add a channel of a member, with messages that are due; its address is the name."""
    member = f"{name}@example.com"
    address = member if kind == "mail" else name
    add_channel(gym.connection, member, kind, address=address)
    for number in range(messages):
        opens = EPOCH - timedelta(minutes=number)
        row = add_prebooking(gym.connection, add_venue(gym.connection), user_email=member, available_at=opens)
        gym.connection.execute(
            "update public.prebookings set status = 'failed', outcome = 'full', settled_at = %s where id = %s",
            [EPOCH, row],
        )


def statuses(gym: Gym) -> list[tuple[str, int]]:
    query = "select status, count(*) from public.notifications group by 1 order by 1"
    return gym.connection.execute(query).fetchall()


def test_what_is_due_is_sent_and_nothing_due_calls_nothing(gym: Gym, receivers: ScriptedReceivers) -> None:
    assert gym.world.run(gym.keep_up()).parts == {}
    told(gym, "ana")
    assert gym.world.run(gym.keep_up()).parts == {"notifications": _NONE | {"sent": 1}}
    assert (receivers.addresses, statuses(gym)) == (["ana"], [("sent", 1)])
    assert gym.world.run(gym.keep_up()).parts == {}


async def hangs(_: Message) -> Delivery:
    await asyncio.Event().wait()
    raise AssertionError


async def raises(_: Message) -> Delivery:
    raise LookupError("ana@example.com")


async def refuses(_: Message) -> Delivery:
    return Delivery(SendResult.NOT_SENT, "http_503")


@pytest.mark.parametrize(
    ("script", "counts"),
    [
        (hangs, {"unsure": 1}),
        (raises, {"unsure": 1, "errors": 1}),
        (refuses, {"not_sent": 1}),
    ],
)
def test_one_receiver_that_fails_delays_no_other(
    gym: Gym, receivers: ScriptedReceivers, script: Receiver, counts: dict[str, int]
) -> None:
    told(gym, "bad")
    for name in ("ana", "ben"):
        told(gym, name, "mail", messages=7)
    receivers.scripts["bad"] = script
    kept = gym.world.run(gym.keep_up())
    assert kept.parts["notifications"] == _NONE | {"sent": 14} | counts
    assert (kept.success, statuses(gym)) == ("errors" not in counts, [("sent", 14), ("waiting", 1)])
    assert max(at for at, address, _ in receivers.taken if address != "bad") < 1.0


async def takes_a_second(_: Message) -> Delivery:
    await asyncio.sleep(1)  # of the test's loop
    return SENT


def test_a_long_queue_of_a_slow_channel_is_sent_beside_a_fast_one(gym: Gym, receivers: ScriptedReceivers) -> None:
    """The fast one ends while five of the slow one are under way, and then there is nothing to lease."""
    told(gym, "slow", messages=8)
    told(gym, "ana", "mail")
    receivers.scripts["slow"] = takes_a_second
    assert gym.world.run(gym.keep_up()).parts["notifications"] == _NONE | {"sent": 9}


def test_a_row_whose_text_cannot_be_made_stops_no_other(
    gym: Gym, receivers: ScriptedReceivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(gym, "ana")
    told(gym, "ben")

    def sometimes(row: Any) -> Any:
        if row.address == "ana":
            raise LookupError("ana@example.com")
        return compose(row)

    monkeypatch.setattr(notifications, "compose", sometimes)
    kept = gym.world.run(gym.keep_up())
    assert (kept.success, kept.parts["notifications"]) == (False, _NONE | {"sent": 1, "not_sent": 1, "errors": 1})
    assert receivers.addresses == ["ben"]


def test_a_row_that_cannot_be_read_stops_no_other(gym: Gym, receivers: ScriptedReceivers) -> None:
    told(gym, "ana")
    told(gym, "ben")
    gym.connection.execute("alter table public.prebookings disable trigger user")
    gym.connection.execute("alter table public.prebookings drop column lateness_ms")
    gym.connection.execute("alter table public.prebookings add lateness_ms text")
    gym.connection.execute("update public.prebookings set lateness_ms = 'x' where user_email like 'ana%'")
    kept = gym.world.run(gym.keep_up())
    assert (kept.success, kept.parts["notifications"]) == (False, _NONE | {"sent": 1, "not_sent": 1, "errors": 1})
    assert statuses(gym) == [("sent", 1), ("waiting", 1)]


def test_telegram_gets_one_message_per_second_and_chat(gym: Gym, receivers: ScriptedReceivers) -> None:
    told(gym, "4711", "telegram", messages=3)
    told(gym, "4712", "telegram")
    gym.world.run(gym.keep_up())
    times = [at for at, address, _ in receivers.taken if address == "4711"]
    assert [round(at - times[0], 1) for at in times] == [0.0, 1.1, 2.2]
    assert len(receivers.taken) == 4


def test_two_upkeeps_at_once_send_each_message_once(gym: Gym, receivers: ScriptedReceivers) -> None:
    told(gym, "ana", messages=9)

    async def both() -> None:
        await asyncio.gather(gym.keep_up(), gym.keep_up())

    gym.world.run(both())
    assert len({row for _, _, row in receivers.taken}) == len(receivers.taken) == 9


class FaultWhileTelling(FaultAtStep):
    """Disturbs a call of the database, or the sending of a message."""

    def __init__(self, gym: Gym, receivers: ScriptedReceivers, step: int, fault: Fault | None) -> None:
        super().__init__(gym.world, step, fault)
        self.taken = list[UUID]()
        receivers.scripts["ana"] = self._at_the_receiver

    async def _at_the_receiver(self, message: Message) -> Delivery:
        disturbed = self.is_disturbed("send")
        if not disturbed or self.acts:
            self.taken.append(message.id)
        if disturbed:
            await asyncio.sleep(0)
            return Delivery(SendResult.UNSURE)
        return SENT


STEPS = 5  # what is due, a claim, the sending, its result, and a claim that gets nothing


def test_an_undisturbed_round_has_these_steps(gym: Gym, receivers: ScriptedReceivers) -> None:
    told(gym, "ana")
    fault = FaultWhileTelling(gym, receivers, 0, None)
    gym.world.run(gym.keep_up())
    assert fault.steps == [
        "upkeep_due_v2",
        "claim_notifications_v1",
        "send",
        "settle_notification_v1",
        "claim_notifications_v1",
    ]


@pytest.mark.grid
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", range(STEPS))
def test_a_fault_at_any_step_loses_nothing_and_doubles_no_id(
    gym: Gym, receivers: ScriptedReceivers, step: int, fault: Fault
) -> None:
    """I12: the message arrives, and every attempt has the same id."""
    told(gym, "ana")
    struck = FaultWhileTelling(gym, receivers, step, fault)

    async def scenario() -> None:
        await struck.invoke(gym.keep_up())
        for _ in range(3):
            await asyncio.sleep(60)
            await gym.keep_up()

    gym.world.run(scenario())
    assert len(struck.steps) > step
    assert (len(set(struck.taken)), statuses(gym)) == (1, [("sent", 1)])


def test_a_message_logs_no_member_and_no_text(
    gym: Gym, receivers: ScriptedReceivers, capsys: pytest.CaptureFixture[str]
) -> None:
    told(gym, "ana", "mail")
    receivers.scripts["ana@example.com"] = raises
    gym.world.run(gym.keep_up())
    printed = capsys.readouterr().out
    assert '"notification"' in printed
    assert "ana@" not in printed
