"""A plot for a terminal: one column a value, in the order of their coming."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

HEIGHT = 6  # lines
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_PLAIN = " .#"  # where a terminal cannot show those: nothing, up to half a line, more


def columns(values: Sequence[int], *, unit: str, blocks: bool = True) -> Iterator[str]:
    """Yield the lines of a plot, the highest first; its left edge says what its top and its bottom stand for.

    A value above zero is never invisible, and values below zero count as zero.
    """
    shades = _EIGHTHS if blocks else _PLAIN
    top = max(1, *values)
    heights = [max(value > 0, round(max(0, value) / top * HEIGHT * (len(shades) - 1))) for value in values]
    edge = len(f"{top} {unit}")
    for line in reversed(range(HEIGHT)):
        label = f"{top} {unit}" if line == HEIGHT - 1 else f"0 {unit}" if line == 0 else ""
        filled = (min(max(height - line * (len(shades) - 1), 0), len(shades) - 1) for height in heights)
        yield f"{label:>{edge}} |{''.join(shades[one] for one in filled)}".rstrip()
