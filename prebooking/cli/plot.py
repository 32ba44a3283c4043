"""A column chart for a terminal, with one column per value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

HEIGHT = 6  # lines
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_PLAIN = " .#"  # for terminals without block characters: empty, up to half, more than half


def columns(values: Sequence[int], *, unit: str, blocks: bool = True) -> Iterator[str]:
    """Yield the lines of a chart from top to bottom; the left edge labels the highest value and zero.

    Every value above zero is visible. Negative values are shown as zero.
    """
    shades = _EIGHTHS if blocks else _PLAIN
    top = max(1, *values)
    heights = [max(value > 0, round(max(0, value) / top * HEIGHT * (len(shades) - 1))) for value in values]
    edge = len(f"{top} {unit}")
    for line in reversed(range(HEIGHT)):
        label = f"{top} {unit}" if line == HEIGHT - 1 else f"0 {unit}" if line == 0 else ""
        filled = (min(max(height - line * (len(shades) - 1), 0), len(shades) - 1) for height in heights)
        yield f"{label:>{edge}} |{''.join(shades[one] for one in filled)}".rstrip()
