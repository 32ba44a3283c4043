"""Every step of a run, one after the other: killed there, frozen there, and the answer of every call lost.

The steps are those of a clean run, counted: an instance asks the database and hears it, connects to the venue, sends
and hears it. Killed: nothing of it runs any more. Frozen: for 12, 70 and 130 s, with either clock standing still or
none. Lost: the call was carried out, and its answer breaks off or never comes. Then a trigger comes every minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from prebooking.local.venue import DROP, HANG, Arrival, Fate
from tests.proof.case import Case
from tests.proof.fates import Fates, Loss, Step
from tests.proof.ground import Ground, new_ground
from tests.proof.instance import Instance
from tests.proof.judge import judge
from tests.proof.part import Part, Result, Share
from tests.proof.systems import KINDS, Kind
from tests.proof.universe import Universe

Blow = Callable[[Instance], None]

BLOWS: Mapping[str, Blow] = {"killed": Instance.kill} | {
    f"frozen for {seconds} s{how}": partial(Instance.halt, seconds=seconds, wall_stopped=wall, monotonic_stopped=mono)
    for seconds in (12, 70, 130)
    for how, wall, mono in (
        ("", False, False),
        (", the wall clock standing still", True, False),
        (", the monotonic clock standing still", False, True),
    )
}
_MINUTES = 3  # of triggers after the run, and one more of silence: by then everything has its end, and who froze thaws
_RUN = 10.0  # seconds after which the struck run is over or stands still


class StruckAt(Fates):
    """Strikes the first instance at one of its steps, and counts them."""

    def __init__(self, at: int = -1, blow: Blow | None = None) -> None:
        self._at, self._blow = at, blow
        self.steps = list[Step]()

    def step(self, instance: Instance, step: Step) -> None:
        if instance.name == "i0":
            self.steps.append(step)
            if len(self.steps) - 1 == self._at and self._blow:
                self._blow(instance)


class LostAt(Fates):
    """Loses the answer of one of the first instance's calls, and counts them."""

    def __init__(self, at: int = -1, *, silent: bool = False) -> None:
        self._at, self._silent = at, silent
        self.calls = 0

    def database(self, instance: Instance, function: str) -> Loss:
        return Loss(ends="silent" if self._silent else "broken") if self._is_it(instance) else Loss()

    def venue(self, instance: Instance, arrival: Arrival) -> Fate:
        return Fate(answer=HANG if self._silent else DROP) if self._is_it(instance) else Fate()

    def _is_it(self, instance: Instance) -> bool:
        self.calls += instance.name == "i0"
        return instance.name == "i0" and self.calls - 1 == self._at


@dataclass(frozen=True, slots=True)
class Scene:
    """What is tried, at a kind of venue."""

    kind: Kind
    fates: Fates
    name: str


async def _tell(world: Universe) -> Case:
    """Two openings at one venue, one of them scarce, and a member in doubt; then a trigger every minute."""
    venue = world.add_venue()
    world.opening(3, venue=venue, at=-30, capacity=2)
    [doubtful] = world.opening(1, venue=venue, at=-60)
    world.connection.execute("update public.prebookings set maybe_sent = true where id = %s", [doubtful])
    world.opening(2, venue=venue, at=1.5)
    world.invoke(LEAD_SECONDS="3")
    for _ in range(_MINUTES):
        await asyncio.sleep(60)
        world.invoke()
    await asyncio.sleep(60)
    return Case(world, quiet_from=_RUN)


def play(ground: Ground, scene: Scene) -> list[str]:
    """Play a scene and return what is wrong at its end."""
    with ground.story():
        world = Universe(ground, kind=scene.kind, fates=scene.fates)

        async def told() -> dict[str, list[str]]:
            return judge(await _tell(world))

        return [f"{scene.name}: {name}: {wrong}" for name, found in world.play(told()).items() for wrong in found]


def _struck(ground: Ground, kinds: Iterable[Kind], blows: Iterable[str]) -> Iterator[Scene]:
    for kind in kinds:
        play(ground, Scene(kind, clean := StruckAt(), "clean"))
        for blow in blows:
            for at, step in enumerate(clean.steps):
                yield Scene(kind, StruckAt(at, BLOWS[blow]), f"{kind.name}, {blow} at step {at} ({step})")


def _steps(ground: Ground, kind: Kind) -> int:
    play(ground, Scene(kind, clean := StruckAt(), "clean"))
    return len(clean.steps)


def _lost(ground: Ground, kinds: Iterable[Kind]) -> Iterator[Scene]:
    for kind in kinds:
        play(ground, Scene(kind, clean := LostAt(), "clean"))
        for silent in (False, True):
            for at in range(clean.calls):
                how = "never comes" if silent else "breaks off"
                yield Scene(kind, LostAt(at, silent=silent), f"{kind.name}, the answer of call {at} {how}")


def _run(share: Share) -> Iterable[Result]:
    kinds = KINDS[:1] if share.size.sample else KINDS
    with new_ground() as ground:
        if share.index == 0:
            yield Result("steps of a clean run, of all kinds of venues", sum(_steps(ground, kind) for kind in kinds))
        for blow in ["killed"] if share.size.sample else BLOWS:
            yield _played(ground, f"{blow.split(',')[0]}, at every step", share.mine(_struck(ground, kinds, [blow])))
        yield _played(ground, "the answer lost, of every call", share.mine(_lost(ground, kinds)))


def _played(ground: Ground, what: str, scenes: Iterable[Scene]) -> Result:
    played = [play(ground, scene) for scene in scenes]
    wrong = [violation for found in played for violation in found]
    return Result(what, len(played), wrong, "make prove PART=steps" if wrong else "")


PART = Part("steps", _run, shares=8)
