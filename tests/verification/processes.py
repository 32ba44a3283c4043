"""Runs real processes under kills, overlaps, database restarts and network faults, and checks the ledger."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from random import Random

from anyio.from_thread import start_blocking_portal

from prebooking.local.function import Function
from tests.verification.harness import GUARD, SCALED, TIMEOUT, Harness, new_harness, ports
from tests.verification.part import Part, Result, Share
from tests.verification.proxy import NetworkFault, Proxy, start_proxy

_KILL_WITHIN = 1.4  # seconds from a trigger: a run with this guard lasts a little over one, if nothing goes wrong
_MEMBERS = 20  # per opening: a second of calls


def _killed(harness: Harness, random: Random, kills: int) -> Iterator[str]:
    """Kill one instance after the other at random instants, while another one runs and classes open."""
    with ThreadPoolExecutor(1) as starter, ExitStack() as running:

        def start() -> Function:
            return running.enter_context(harness.function()).ready()

        one, other, next_one = start(), start(), starter.submit(start)
        for number in range(kills):
            if number % 5 == 0:
                harness.add_opening(_MEMBERS)
            harness.trigger(one)
            if random.random() < 0.5:
                harness.trigger(other)
            threading.Event().wait(random.uniform(0, _KILL_WITHIN))
            one.kill()
            one, other, next_one = other, next_one.result(TIMEOUT), starter.submit(start)
        yield from harness.settle_all(one)


def kills(random: Random, count: int) -> Iterator[Result]:
    """Kill instances with SIGKILL at random instants; per five kills, twenty prebookings become due."""
    with new_harness() as harness:
        found = list(_killed(harness, random, count))
        found += harness.disagreements()
        harness.search_for_canaries()
        yield Result(f"SIGKILLs at random instants ({SCALED})", count, found)
        yield Result("prebookings that became due meanwhile", -(-count // 5) * _MEMBERS)
        yield harness.canaries.result()


def restarts(random: Random, count: int) -> Iterator[Result]:
    """Restart the database immediately, like a crash, during runs."""
    with new_harness() as harness, harness.function() as function:
        function.ready()
        for _ in range(count):
            harness.add_opening(_MEMBERS)
            harness.trigger(function)
            threading.Event().wait(random.uniform(0.3, _KILL_WITHIN))
            harness.stack.postgres.restart()
            harness.reconnect()
            wait([harness.trigger(function)], TIMEOUT)
        found = list(harness.settle_all(function)) + harness.disagreements()
        harness.search_for_canaries()
        yield Result(f"immediate restarts of Postgres ({SCALED})", count, found)
        yield harness.canaries.result()


def overlaps(count: int) -> Iterator[Result]:
    """Send this many POST requests at once to two instances."""
    with new_harness() as harness, harness.function() as one, harness.function() as other:
        functions = [one.ready(), other.ready()]
        for _ in range(5):
            harness.add_opening(_MEMBERS, ahead=0.5)
        posts = [harness.trigger(functions[number % 2]) for number in range(count)]
        found = [
            f"a trigger got HTTP {post.result(TIMEOUT).status_code}"
            for post in posts
            if post.result(TIMEOUT).status_code != 200
        ]
        found += [*harness.settle_all(one), *harness.disagreements()]
        harness.search_for_canaries()
        yield Result("simultaneous POSTs to two instances", count, found)
        yield harness.canaries.result()


_FAULTS = [NetworkFault.REFUSE, NetworkFault.DELAY, NetworkFault.CUT, NetworkFault.SWALLOW]


def _run_with(harness: Harness, function: Function) -> None:
    """Run the function twice with two openings while a fault is active."""
    harness.add_opening(6)
    harness.add_opening(6)
    first = harness.trigger(function)
    threading.Event().wait(GUARD / 2)
    wait([first, harness.trigger(function)], TIMEOUT)


def network(random: Random, faults: list[NetworkFault]) -> Iterator[Result]:
    """Inject each fault between the function and the database, then the venue, and check that all rows settle."""
    with new_harness(1) as harness, start_blocking_portal() as portal, ExitStack() as open_:

        def proxy_for(variable: str) -> Proxy:
            proxy = start_proxy(harness.stack.environment[variable], random)
            return open_.enter_context(portal.wrap_async_context_manager(proxy))

        proxies = {"SUPABASE_URL": proxy_for("SUPABASE_URL"), "BOOKING_WEBHOOK_URL": proxy_for("BOOKING_WEBHOOK_URL")}
        urls = {variable: proxy.url for variable, proxy in proxies.items()}
        urls["AIMHARDER_TWIN_URL"] = f"http://127.0.0.1:{proxies['BOOKING_WEBHOOK_URL'].port}"
        harness.allowed |= set(ports(urls.values()))
        function = open_.enter_context(harness.function(**urls)).ready()
        ineffective = []
        for variable, proxy in proxies.items():
            for fault in faults:
                injected_before = proxy.injected
                harness.end_pauses()
                portal.call(proxy.set_fault, fault)
                _run_with(harness, function)
                portal.call(proxy.set_fault, NetworkFault.NONE)
                ineffective += [] if proxy.injected > injected_before else [f"{fault.name} had no effect on {variable}"]
        found = [*ineffective, *harness.settle_all(function), *harness.disagreements()]
        harness.search_for_canaries()
        injected = sum(proxy.injected for proxy in proxies.values())
        names = ", ".join(fault.name.lower() for fault in faults)
        yield Result(f"network faults: {names} ({SCALED})", injected, found)
        yield harness.canaries.result()


def _sample(random: Random) -> Iterator[Result]:
    """Run a few of each at the same time, because most of it is waiting for leases."""
    few = [
        lambda: kills(random, 3),
        lambda: restarts(random, 1),
        lambda: overlaps(4),
        lambda: network(random, [NetworkFault.CUT]),
    ]
    with ThreadPoolExecutor(len(few)) as threads:
        for results in threads.map(lambda part: list(part()), few):
            yield from results


def _run(share: Share) -> Iterator[Result]:
    random = Random(4 + share.index)  # noqa: S311 - repeatable on purpose
    if share.size.sample:
        yield from _sample(random)
    elif share.index == 0:
        yield from kills(random, 50)
    else:
        yield from restarts(random, 3)
        yield from overlaps(10)
        yield from network(random, _FAULTS)


PART = Part("real processes", _run, shares=2)
