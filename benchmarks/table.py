"""The costs as ratios measured in one run, because the speed of machines varies."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from benchmarks import booking_cpu, claim_cost, client, cold_start, doubles, first_byte, imports, lateness, run
from prebooking.local.stack import local_stack


def print_table(rounds: int) -> None:
    table = Table("what", "ratio", "measured", title="Medians of interleaved runs on this machine")
    for row in figures(rounds):
        table.add_row(*row)
    Console(width=150).print(table)


def figures(rounds: int) -> Iterator[tuple[str, str, str]]:
    yield from lateness.figures(rounds)
    with local_stack() as stack:
        yield from doubles.figures(stack)
        yield from run.figures(stack)
        yield from first_byte.figures(stack)
        yield from booking_cpu.figures(stack)
        yield from client.figures(stack)
        yield from cold_start.figures(stack)
    yield from imports.figures()
    yield from claim_cost.figures()
