"""How figures look: narrow enough for a phone, calm enough for print."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH_IN = 5.8
BASELINE = "#8b95a1"
PALETTE = ("#1f6fb2", "#d1495b", "#2f8f5b", "#e08e2b", "#6d4fa3", "#17808a")
INK, FAINT = "#22303c", "#d9dee4"
_STYLE: dict[str, Any] = {
    "font.size": 9,
    "font.family": "DejaVu Sans",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "path",
}


@contextmanager
def styled(name: str = "pacx") -> Iterator[None]:
    """Draw and save inside; the name makes the identifiers in the SVG its own."""
    with style.context(_STYLE | {"svg.hashsalt": name}):
        yield


def colours(subjects: Sequence[str]) -> dict[str, str]:
    """Grey for the first, a colour for each of the others."""
    names = list(dict.fromkeys(subjects))
    if len(names) == 1:
        return {names[0]: PALETTE[0]}
    return {n: PALETTE[(i - 1) % len(PALETTE)] if i else BASELINE for i, n in enumerate(names)}


def parts(frame: pd.DataFrame, column: str) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each value of a column, in the order in which the values first occur."""
    return [(str(v), frame[frame[column] == v]) for v in dict.fromkeys(frame[column])]


def grid_of_axes(count: int, *, height_in: float = 2.6) -> tuple[Figure, list[Axes]]:
    """Small square panels, two in a row."""
    columns = min(2, count)
    rows = -(-count // columns)
    width_in = WIDTH_IN if columns > 1 else 0.65 * WIDTH_IN
    figure = Figure(figsize=(width_in, height_in * rows + 0.5), layout="constrained")
    axes = [figure.add_subplot(rows, columns, place + 1) for place in range(count)]
    return figure, axes


def legend_below(figure: Figure, axes: Axes) -> None:
    """One legend for all panels, under them."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(3, len(labels)))


def svg(figure: Figure) -> str:
    """The figure as SVG without the time of its making."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, bbox_inches="tight")
    return buffer.getvalue()
