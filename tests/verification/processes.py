"""Real processes: killed, overlapped, with a database that restarts and a network that fails; judged by the ledger."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from random import Random

from anyio.from_thread import start_blocking_portal

from prebooking.local.function import Function
from tests.verification.harness import GUARD, PATIENCE, SCALED, Harness, harness, ports
from tests.verification.part import Part, Result, Share
from tests.verification.proxy import NetworkFault, Proxy, standing_before

_KILL_WITHIN = 1.4  # seconds from a trigger: a run with this guard lasts a little over one, if nothing goes wrong
_MEMBERS = 20  # of an opening: a second of calls


def _killed(where: Harness, random: Random, kills: int) -> Iterator[str]:
    """Kill one instance after the other, wherever it is, while openings come; another one is running meanwhile."""
    with ThreadPoolExecutor(1) as starter, ExitStack() as running:

        def start() -> Function:
            return running.enter_context(where.function()).ready()

        one, other, next_one = start(), start(), starter.submit(start)
        for number in range(kills):
            if number % 5 == 0:
                where.opening(_MEMBERS)
            where.trigger(one)
            if random.random() < 0.5:
                where.trigger(other)
            threading.Event().wait(random.uniform(0, _KILL_WITHIN))
            one.kill()
            one, other, next_one = other, next_one.result(PATIENCE), starter.submit(start)
        yield from where.settle_all(one)


def kills(random: Random, count: int) -> Iterator[Result]:
    """Kill instances with SIGKILL at random instants while twenty prebookings open for every five of them."""
    with harness() as where:
        found = list(_killed(where, random, count))
        found += where.disagreements()
        where.search_for_canaries()
        yield Result(f"SIGKILLs at random instants ({SCALED})", count, found)
        yield Result("prebookings that opened meanwhile", -(-count // 5) * _MEMBERS)
        yield where.canaries.result()


def restarts(random: Random, count: int) -> Iterator[Result]:
    """Restart the database at once, as a crash would, in the middle of runs."""
    with harness() as where, where.function() as function:
        function.ready()
        for _ in range(count):
            where.opening(_MEMBERS)
            where.trigger(function)
            threading.Event().wait(random.uniform(0.3, _KILL_WITHIN))
            where.stack.postgres.restart()
            where.reconnect()
            wait([where.trigger(function)], PATIENCE)
        found = list(where.settle_all(function)) + where.disagreements()
        where.search_for_canaries()
        yield Result(f"immediate restarts of Postgres ({SCALED})", count, found)
        yield where.canaries.result()


def overlaps(count: int) -> Iterator[Result]:
    """POST so many times at once, to two instances."""
    with harness() as where, where.function() as one, where.function() as other:
        functions = [one.ready(), other.ready()]
        for _ in range(5):
            where.opening(_MEMBERS, ahead=0.5)
        posts = [where.trigger(functions[number % 2]) for number in range(count)]
        found = [
            f"a trigger got HTTP {post.result(PATIENCE).status_code}"
            for post in posts
            if post.result(PATIENCE).status_code != 200
        ]
        found += [*where.settle_all(one), *where.disagreements()]
        where.search_for_canaries()
        yield Result("POSTs at once, to two instances", count, found)
        yield where.canaries.result()


_FAULTS = [NetworkFault.REFUSE, NetworkFault.DELAY, NetworkFault.CUT, NetworkFault.SWALLOW]


def _run_with(where: Harness, function: Function) -> None:
    """Let two openings come while things go wrong, for as long as a run and a half."""
    where.opening(6)
    where.opening(6)
    first = where.trigger(function)
    threading.Event().wait(GUARD / 2)
    wait([first, where.trigger(function)], PATIENCE)


def network(random: Random, faults: list[NetworkFault]) -> Iterator[Result]:
    """Let each fault befall the way to the database and to the venue, one after the other, then see it all end."""
    with harness(1) as where, start_blocking_portal() as portal, ExitStack() as open_:

        def before(variable: str) -> Proxy:
            way = standing_before(where.stack.environment[variable], random)
            return open_.enter_context(portal.wrap_async_context_manager(way))

        ways = {"SUPABASE_URL": before("SUPABASE_URL"), "BOOKING_WEBHOOK_URL": before("BOOKING_WEBHOOK_URL")}
        urls = {variable: proxy.url for variable, proxy in ways.items()}
        urls["AIMHARDER_TWIN_URL"] = f"http://127.0.0.1:{ways['BOOKING_WEBHOOK_URL'].port}"
        where.allowed |= set(ports(urls.values()))
        function = open_.enter_context(where.function(**urls)).ready()
        unhurt = []
        for variable, proxy in ways.items():
            for fault in faults:
                before_it = proxy.inflicted
                where.end_pauses()
                portal.call(proxy.become, fault)
                _run_with(where, function)
                portal.call(proxy.become, NetworkFault.NONE)
                unhurt += [] if proxy.inflicted > before_it else [f"{fault.name} never befell {variable}"]
        found = [*unhurt, *where.settle_all(function), *where.disagreements()]
        where.search_for_canaries()
        inflicted = sum(proxy.inflicted for proxy in ways.values())
        names = ", ".join(fault.name.lower() for fault in faults)
        yield Result(f"faults of the network: {names} ({SCALED})", inflicted, found)
        yield where.canaries.result()


def _sample(random: Random) -> Iterator[Result]:
    """Do a little of everything, side by side: most of it is waiting for leases."""
    few = [
        lambda: kills(random, 3),
        lambda: restarts(random, 1),
        lambda: overlaps(4),
        lambda: network(random, [NetworkFault.CUT]),
    ]
    with ThreadPoolExecutor(len(few)) as side_by_side:
        for results in side_by_side.map(lambda part: list(part()), few):
            yield from results


def _run(share: Share) -> Iterator[Result]:
    random = Random(4 + share.index)  # noqa: S311 - a fixed seed, to do the same again
    if share.size.sample:
        yield from _sample(random)
    elif share.index == 0:
        yield from kills(random, 50)
    else:
        yield from restarts(random, 3)
        yield from overlaps(10)
        yield from network(random, _FAULTS)


PART = Part("real processes", _run, shares=2)
