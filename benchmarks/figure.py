"""The figure in docs/measured.md: the lateness of the first request of an opening, one line per system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

OURS, OTHERS = "#0b6e4f", "#8a8f98"
LEAST = 0.5  # ms: an axis of powers of ten has no zero


def draw(late: Mapping[str, Sequence[float]], *, title: str, path: Path) -> None:
    """Write ``path`` as PNG and as SVG: a dot per opening, in ms, and a bar for the median."""
    mpl.rcParams |= {"svg.hashsalt": "prebooking", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    figure = Figure(figsize=(8, 0.34 * len(late) + 1.1), layout="constrained")
    axes = figure.subplots()
    for line, (name, values) in enumerate(late.items()):
        colour = OURS if name.startswith("us") else OTHERS
        shown = sorted(max(value, LEAST) for value in values)
        axes.plot(shown, [line] * len(shown), "o", color=colour, alpha=0.35, markersize=5, markeredgewidth=0)
        axes.plot(shown[len(shown) // 2 :][:1], [line], "|", color=colour, markersize=14, markeredgewidth=2.5)
    axes.set_yticks(range(len(late)), list(late))
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("milliseconds from the opening to the first byte at the venue")
    axes.set_title(title, loc="left")
    axes.grid(visible=True, axis="x", alpha=0.25)
    for ending in (".png", ".svg"):
        figure.savefig(path.with_suffix(ending), dpi=160, metadata={"Date": None} if ending == ".svg" else None)
