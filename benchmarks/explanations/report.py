"""The table, the figure, and which methods pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.explanations.maps import METHODS, RANDOMISED
from benchmarks.explanations.measures import MEASURES
from pacx_evaluation.protocols.maps import GAUSSIAN, UNIFORM
from pacx_evaluation.report.style import BASELINE, INK, PALETTE, WIDTH_IN, styled

REPLICATES = 2000
LIKENESS = 0.5
"""A map whose likeness to that of random weights may be this does not depend on what was learnt."""
PANELS = ("deletion", "insertion", "infidelity", "outside")
CHANCE = {"deletion": 0.0, "insertion": 0.0, "infidelity": 1.0, "outside": 1.0}
Values = NDArray[np.float64]
DRAWN, FOUND = "drawn", "found"
"""Whose outlines focus and pointing go by: a person's, or the model's own."""
Line = Mapping[str, object]


def interval(values: Values) -> tuple[float, float, float]:
    """Mean with a 95 % bootstrap interval over films; films without a value are left out."""
    known = values[np.isfinite(values)]
    if not len(known):
        return (float("nan"),) * 3
    means = np.random.default_rng(0).choice(known, (REPLICATES, len(known))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(known.mean()), float(low), float(high)


def table(rows: pd.DataFrame) -> str:
    """A Markdown table of all measures by map."""
    lines = [f"| map | {' | '.join(MEASURES)} |", "|---" * (len(MEASURES) + 1) + "|"]
    for name, found in rows.groupby("method", sort=False):
        cells = [_cell(found[measure].to_numpy(np.float64)) for measure in MEASURES]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(values: Values) -> str:
    mean, low, high = interval(values)
    return f"{mean:.2f} ({low:.2f} to {high:.2f})" if np.isfinite(mean) else "-"


def verdicts(rows: pd.DataFrame) -> str:
    """A line for each method: whether it passes, and what it fails."""
    lines = []
    for name in [name for name in METHODS if name in set(rows["method"])]:
        failed = failures(rows, name)
        lines.append(f"- `{name}` {'**passes**' if not failed else 'fails ' + ', '.join(failed)}")
    return "\n".join(lines)


def failures(rows: pd.DataFrame, name: str) -> list[str]:
    """The tests that a method fails.

    Deletion and insertion must gain more than the centred Gaussian does on the same films,
    infidelity must be below the uniform map's, which knows how much was masked, and the likeness
    to random weights below ``LIKENESS``, each with the whole interval.
    """
    failed = [
        measure
        for measure in ("deletion", "insertion")
        if interval(_values(rows, name, measure) - _values(rows, GAUSSIAN, measure))[1] <= 0
    ]
    if interval(_values(rows, name, "infidelity") - _values(rows, UNIFORM, "infidelity"))[2] >= 0:
        failed.append("infidelity")
    if name in RANDOMISED:
        likeness = np.abs(_values(rows, name, "randomised"))
        failed += ["randomisation"] if interval(likeness)[2] >= LIKENESS else []
    return failed


def _values(rows: pd.DataFrame, name: str, measure: str) -> Values:
    """A measure of a map on every film, films in the order of their names."""
    found = rows[rows["method"] == name].sort_values("film")
    return found[measure].to_numpy(np.float64)


def draw(rows: pd.DataFrame, path: Path) -> None:
    """A figure with a panel for each of the main measures."""
    names = list(dict.fromkeys(rows["method"]))
    with styled("explanations"):
        figure = Figure(figsize=(WIDTH_IN * 1.5, 0.26 * len(names) * 2 + 1.2), layout="constrained")
        for place, measure in enumerate(PANELS):
            axes = figure.add_subplot(2, 2, place + 1)
            axes.axvline(CHANCE[measure], color=INK, linewidth=0.7, linestyle=(0, (4, 3)))
            for height, name in enumerate(names):
                values = rows.loc[rows["method"] == name, measure].to_numpy(np.float64)
                mean, low, high = interval(values)
                colour = PALETTE[0] if name in METHODS else BASELINE
                axes.plot([low, high], [height, height], color=colour, linewidth=1.4)
                axes.plot(mean, height, "o", color=colour, markersize=4)
            axes.set_yticks(range(len(names)), names if place % 2 == 0 else [""] * len(names))
            axes.invert_yaxis()
            axes.set_title(measure)
            axes.set_xlabel(MEASURES[measure])
        figure.savefig(path, dpi=110)


def masks_in(line: Line) -> str:
    """Whose outlines a line of the log goes by; older lines know the model's alone."""
    return str(line.get("masks", FOUND))


def latest(lines: Sequence[Line]) -> list[Line]:
    """One line for each film: by drawn outlines where there is one, and else the last."""
    ordered = sorted(lines, key=lambda line: masks_in(line) == DRAWN)
    return list({line["film"]: line for line in ordered}.values())


def masks_used(lines: Sequence[Line]) -> str:
    """A sentence that says whose outlines focus and pointing go by."""
    drawn = sum(masks_in(line) == DRAWN for line in lines)
    if drawn == len(lines):
        return "Focus and pointing go by outlines that were drawn by eye."
    if not drawn:
        return "Focus and pointing go by the outlines that the model itself finds."
    return (
        f"Focus and pointing go by outlines that were drawn by eye on {drawn} of the films, and "
        f"on the other {len(lines) - drawn} by those that the model itself finds."
    )


def frame(films: Sequence[Line]) -> pd.DataFrame:
    """The log's films as one row per film and map."""
    rows = [{"film": film["film"], **row} for film in films for row in film["rows"]]  # type: ignore[attr-defined]
    return pd.DataFrame(rows).reindex(columns=["film", "method", *MEASURES])
