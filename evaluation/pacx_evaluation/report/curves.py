"""ROC, precision-recall and reliability curves, label efficiency."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from pacx_evaluation.report.style import (
    FAINT,
    INK,
    colours,
    grid_of_axes,
    legend_below,
    parts,
)

_DASHED: dict[str, Any] = {"color": INK, "linewidth": 0.7, "linestyle": (0, (4, 3))}
Panel = Callable[[Axes, pd.DataFrame, str, str], None]


def roc_curves(frame: pd.DataFrame) -> Figure:
    """One panel per target; columns ``subject``, ``target``, ``label``, ``probability``."""

    def panel(axes: Axes, rows: pd.DataFrame, subject: str, colour: str) -> None:
        false_rate, true_rate, _ = roc_curve(rows["label"], rows["probability"])
        axes.plot(false_rate, true_rate, color=colour, linewidth=1.4, label=subject)

    def frill(axes: Axes, _: pd.DataFrame) -> None:
        axes.plot([0, 1], [0, 1], **_DASHED)
        _square(axes, "1 - specificity", "sensitivity")

    return _panels(frame, panel, frill)


def precision_recall_curves(frame: pd.DataFrame) -> Figure:
    """One panel per target; columns as for ``roc_curves``."""

    def panel(axes: Axes, rows: pd.DataFrame, subject: str, colour: str) -> None:
        precision, recall, _ = precision_recall_curve(rows["label"], rows["probability"])
        axes.step(recall, precision, where="post", color=colour, linewidth=1.4, label=subject)

    def frill(axes: Axes, rows: pd.DataFrame) -> None:
        axes.axhline(float(rows["label"].mean()), **_DASHED)
        _square(axes, "recall", "precision")

    return _panels(frame, panel, frill)


def reliability_diagrams(frame: pd.DataFrame) -> Figure:
    """One panel per target; columns ``subject``, ``confidence``, ``frequency``, ``films``."""

    def panel(axes: Axes, rows: pd.DataFrame, subject: str, colour: str) -> None:
        axes.plot(
            rows["confidence"], rows["frequency"], "o-", color=colour, markersize=3, label=subject
        )

    def frill(axes: Axes, _: pd.DataFrame) -> None:
        axes.plot([0, 1], [0, 1], **_DASHED)
        _square(axes, "predicted probability", "observed frequency")

    return _panels(frame, panel, frill)


def label_efficiency(frame: pd.DataFrame) -> Figure:
    """AUROC against the share of labels; a line per subject, a band from worst to best seed."""

    def panel(axes: Axes, rows: pd.DataFrame, subject: str, colour: str) -> None:
        share = rows["share"] * 100
        axes.fill_between(share, rows["worst"], rows["best"], color=colour, alpha=0.13, lw=0)
        axes.plot(share, rows["value"], "o-", color=colour, markersize=3.5, label=subject)

    def frill(axes: Axes, rows: pd.DataFrame) -> None:
        axes.axhline(0.5, **_DASHED)
        axes.set_xscale("log")
        shares = sorted(set(rows["share"] * 100))
        axes.set_xticks(shares, [f"{share:g} %" for share in shares])
        axes.minorticks_off()
        axes.set_xlabel("labels")
        axes.set_ylabel("AUROC")
        axes.grid(color=FAINT, linewidth=0.6)

    return _panels(frame, panel, frill)


def _panels(
    frame: pd.DataFrame, panel: Panel, frill: Callable[[Axes, pd.DataFrame], None]
) -> Figure:
    targets, colour = parts(frame, "target"), colours(frame["subject"].tolist())
    figure, all_axes = grid_of_axes(len(targets))
    for axes, (target, rows) in zip(all_axes, targets, strict=True):
        axes.set_title(target)
        frill(axes, rows)
        for subject, own in parts(rows, "subject"):
            panel(axes, own, subject, colour[subject])
    legend_below(figure, all_axes[0])
    return figure


def _square(axes: Axes, across: str, up: str) -> None:
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.03)
    axes.set_xticks(np.linspace(0, 1, 5), ["0", ".25", ".5", ".75", "1"])
    axes.set_yticks(np.linspace(0, 1, 5), ["0", ".25", ".5", ".75", "1"])
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
