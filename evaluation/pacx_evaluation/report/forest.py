"""Values with intervals, one line each."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pacx_evaluation.report.metrics import METRICS, target_name
from pacx_evaluation.report.style import FAINT, INK, colours, legend_below, parts

_CHANCE = {"auroc": 0.5, "spearman": 0.0, "focus_heart": 1.0, "deletion_gain": 0.0}
LINE_IN = 0.19
FOREST_WIDTH_IN = 4.6
"""Words beside the lines can still be read where a phone shows the whole of it."""
_MARGIN = 0.9
"""Lines between an axis and the line next to it."""


def forest(frame: pd.DataFrame) -> Figure:
    """One block per target, one line per subject; columns of ``Measurement``."""
    metric = str(frame["metric"].iloc[0])
    return _draw(frame, "target", METRICS.get(metric, metric), _CHANCE.get(metric))


def condition_forest(frame: pd.DataFrame) -> Figure:
    """One block per condition, one line per subject."""
    metric = str(frame["metric"].iloc[0])
    labelled = frame.assign(block=frame["target"] + " · " + frame["condition"])
    return _draw(labelled, "block", METRICS.get(metric, metric), _CHANCE.get(metric))


def difference_forest(frame: pd.DataFrame) -> Figure:
    """Differences from the baseline; columns of ``Comparison``."""
    title = f"difference of AUROC from {frame['baseline'].iloc[0]}"
    return _draw(frame.rename(columns={"difference": "value"}), "target", title, 0.0)


def _draw(frame: pd.DataFrame, block: str, title: str, chance: float | None) -> Figure:
    subjects = list(dict.fromkeys(frame["subject"]))
    # The baseline of a comparison has no line of its own, but keeps its colour for itself.
    baseline = frame["baseline"].tolist()[:1] if "baseline" in frame else []
    colour, blocks = colours([*baseline, *subjects]), parts(frame, block)
    lines = len(blocks) * (len(subjects) + 1)
    figure = Figure(figsize=(FOREST_WIDTH_IN, LINE_IN * lines + 0.9), layout="constrained")
    axes = figure.add_subplot()
    if chance is not None:
        axes.axvline(chance, color=INK, linewidth=0.7, linestyle=(0, (4, 3)))
    ticks = []
    for place, (_, rows) in enumerate(blocks):
        top = place * (len(subjects) + 1)
        ticks.append(top + (len(subjects) - 1) / 2)
        for row in rows.itertuples():
            _line(axes, row, top + subjects.index(str(row.subject)), colour)
    axes.set_ylim(-_MARGIN, lines - 2 + _MARGIN)
    _finish(axes, ticks, [target_name(name) for name, _ in blocks], title)
    if len(colour) > 1:
        legend_below(figure, axes)
    return figure


def _line(axes: Axes, row: object, height: float, colour: dict[str, str]) -> None:
    value, low, high = (float(getattr(row, name)) for name in ("value", "low", "high"))
    subject = str(getattr(row, "subject"))  # noqa: B009 (a row of pandas is typed as an object)
    seen = axes.get_legend_handles_labels()[1]
    axes.plot([low, high], [height, height], color=colour[subject], linewidth=1.6, alpha=0.55)
    axes.plot(
        value,
        height,
        "o",
        color=colour[subject],
        markersize=4.5,
        label=subject if subject not in seen else None,
    )


def _finish(axes: Axes, ticks: list[float], names: list[str], title: str) -> None:
    axes.set_yticks(ticks, names)
    axes.invert_yaxis()
    axes.set_xlabel(title)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def bars(frame: pd.DataFrame) -> Figure:
    """One block per condition, a bar per subject; for distances that start at zero."""
    subjects = list(dict.fromkeys(frame["subject"]))
    colour, blocks = colours(subjects), parts(frame, "condition")
    lines = len(blocks) * (len(subjects) + 1)
    figure = Figure(figsize=(FOREST_WIDTH_IN, LINE_IN * lines + 0.9), layout="constrained")
    axes = figure.add_subplot()
    ticks = []
    for place, (_, rows) in enumerate(blocks):
        top = place * (len(subjects) + 1)
        ticks.append(top + (len(subjects) - 1) / 2)
        heights = [top + subjects.index(name) for name in rows["subject"]]
        axes.barh(heights, rows["value"], color=[colour[name] for name in rows["subject"]])
    for name in subjects:
        axes.barh(0, 0, color=colour[name], label=name)
    metric = str(frame["metric"].iloc[0])
    _finish(axes, ticks, [name for name, _ in blocks], METRICS.get(metric, metric))
    if len(subjects) > 1:
        legend_below(figure, axes)
    return figure
