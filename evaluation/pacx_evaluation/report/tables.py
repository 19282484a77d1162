"""From tidy rows to tables that people read."""

from __future__ import annotations

from dataclasses import dataclass

from pacx.numerals import number
from pacx_evaluation.measurements import Comparison, Measurement, Section
from pacx_evaluation.report.metrics import METRICS, target_name

DASH = "\N{EN DASH}"
__all__ = [
    "DASH",
    "Cell",
    "Row",
    "Table",
    "cell",
    "comparison_table",
    "tables",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A number as text, and what stands behind it.

    Attributes:
        value: Such as ``0.712``; a dash where nothing is reported.
        interval: Such as ``0.65 to 0.77``, or empty.
        title: Films, patients and positives, or the reason for the dash.
    """

    value: str
    interval: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a table."""

    name: str
    condition: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One metric: a column for each subject.

    Attributes:
        title: The metric.
        columns: The subjects.
        rows: Targets and conditions that have a value.
        left_out: Targets without a value, with the reason.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    left_out: tuple[str, ...]


def tables(section: Section) -> tuple[Table, ...]:
    """A table for every metric of a section, in the order in which they occur."""
    metrics = dict.fromkeys(m.metric for m in section.measurements)
    made = [_table(section, metric) for metric in metrics]
    return tuple(table for table in made if table.rows or table.left_out)


def _table(section: Section, metric: str) -> Table:
    mine = [m for m in section.measurements if m.metric == metric]
    columns = tuple(dict.fromkeys(m.subject for m in section.measurements))
    keys = dict.fromkeys((m.target, m.condition) for m in mine)
    found = {(m.subject, m.target, m.condition): m for m in mine}
    rows, left_out = [], []
    for target, condition in keys:
        measured = [found.get((subject, target, condition)) for subject in columns]
        if any(m is not None and m.value is not None for m in measured):
            cells = tuple(cell(m) for m in measured)
            rows.append(Row(name=target_name(target), condition=condition, cells=cells))
        else:
            reason = next(m.reason for m in measured if m is not None)
            left_out.append(
                f"{' · '.join(filter(None, (target_name(target), condition)))}: {reason}"
            )
    return Table(
        title=METRICS.get(metric, metric),
        columns=columns,
        rows=tuple(rows),
        left_out=tuple(left_out),
    )


def cell(measured: Measurement | None) -> Cell:
    """A measurement as text; a dash where there is none or nothing is reported."""
    if measured is None or measured.value is None:
        return Cell(value=DASH, title=(measured and measured.reason) or "")
    interval = ""
    if measured.low is not None and measured.high is not None and measured.low < measured.high:
        interval = f"{number(measured.low)} to {number(measured.high)}"
    return Cell(value=number(measured.value), interval=interval, title=_behind(measured))


def _behind(measured: Measurement) -> str:
    facts = (
        (measured.films, "films"),
        (measured.patients, "patients"),
        (measured.positives, "positive films"),
    )
    return ", ".join(f"{count} {what}" for count, what in facts if count is not None)


def comparison_table(comparisons: tuple[Comparison, ...]) -> Table:
    """Differences from the baseline with their intervals, then p after Holm's correction."""
    rows = tuple(
        Row(
            name=item.target,
            condition=item.subject,
            cells=(
                Cell(
                    value=number(item.difference),
                    interval=f"{number(item.low)} to {number(item.high)}",
                ),
                Cell(value=_p(item.p_holm), title=f"uncorrected {_p(item.p_clustered)}"),
                Cell(value=_p(item.p), title="films as if independent, uncorrected"),
            ),
        )
        for item in comparisons
    )
    return Table(
        title=f"Difference of AUROC from {comparisons[0].baseline}",
        columns=("difference", "p (Holm, by patient)", "p (DeLong, by film)"),
        rows=rows,
        left_out=(),
    )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
