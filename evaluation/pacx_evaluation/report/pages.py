"""``report.html``, ``report.md`` and ``model_card.md``."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pacx_evaluation.measurements import Measurement, Section
from pacx_evaluation.report.metrics import METRICS, target_name
from pacx_evaluation.report.records import DataFacts, EnvironmentFacts, Figure, Report
from pacx_evaluation.report.style import colours
from pacx_evaluation.report.tables import Cell, Table, cell, comparison_table, tables
from pacx_evaluation.subjects import Identity

DISCLAIMER = "Research demonstration, not for clinical use."
HEADLINES = {
    "auroc": ("auroc", "spearman", "iou", "ece", "films_per_second"),
    "f1": ("f1_at_one_half", "auroc", "spearman", "iou", "ece", "films_per_second"),
    "iou": ("iou", "auroc", "spearman", "ece", "films_per_second"),
}
"""By what a benchmark's authors report: which metric stands first, where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """A section as the templates want it."""

    section: Section
    figures: tuple[Figure, ...]
    tables: tuple[Table, ...]
    comparison: Table | None
    csv: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The first number that a reader sees of a subject."""

    identity: Identity
    colour: str
    metric: str
    cell: Cell


def html(
    report: Report,
    data: DataFacts,
    environment: EnvironmentFacts,
    pictures: Mapping[str, str],
    csv: Mapping[str, str],
) -> str:
    """The report as one file.

    Args:
        report: All numbers.
        data: About the films.
        environment: About the process.
        pictures: SVG of every figure by name.
        csv: Content of every CSV by its path within the report.
    """
    return _render(
        "report.html",
        report,
        data=data,
        environment=environment,
        pictures={name: Markup(_inline(svg)) for name, svg in pictures.items()},  # noqa: S704 (ours)
        downloads={path: _data_uri(content) for path, content in csv.items()},
    )


def markdown(report: Report, data: DataFacts) -> str:
    """The report for terminals and pull requests."""
    return _render("report.md", report, data=data)


def model_card(report: Report, data: DataFacts) -> str:
    """The card of the last subject, with results as model hubs read them."""
    identity = report.subjects[-1]
    return _render(
        "model_card.md",
        report,
        data=data,
        identity=identity,
        front_matter=_front_matter(report, identity),
    )


def _render(template: str, report: Report, **context: object) -> str:
    environment = Environment(
        loader=PackageLoader("pacx_evaluation", "report/templates"),
        autoescape=template.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(
        report=report,
        chapters=[_chapter(report, section) for section in report.sections],
        headlines=headlines(report),
        disclaimer=DISCLAIMER,
        **context,
    )


def _chapter(report: Report, section: Section) -> Chapter:
    return Chapter(
        section=section,
        figures=tuple(f for f in report.figures if f.section == section.name),
        tables=tables(section),
        comparison=comparison_table(section.comparisons) if section.comparisons else None,
        csv=f"tables/{section.name}.csv",
    )


def headlines(report: Report) -> tuple[Headline, ...]:
    """One number for each subject: the first mean, or else the first number, of the report."""
    names = [identity.name for identity in report.subjects]
    colour = colours(names)
    measured = [m for s in report.sections for m in s.measurements if m.value is not None]
    ranked = sorted(measured, key=partial(_rank, HEADLINES[report.primary_metric]))
    found = []
    for identity in report.subjects:
        mine = [m for m in ranked if m.subject == identity.name]
        if mine:
            best = mine[0]
            metric = f"{METRICS.get(best.metric, best.metric)}, {target_name(best.target)}"
            found.append(
                Headline(
                    identity=identity,
                    colour=colour[identity.name],
                    metric=metric,
                    cell=cell(best),
                )
            )
    return tuple(found)


def _rank(order: Sequence[str], measured: Measurement) -> tuple[int, bool]:
    known = measured.metric in order
    place = order.index(measured.metric) if known else len(order)
    return place, measured.target != "macro"


def _front_matter(report: Report, identity: Identity) -> str:
    results = [
        {"type": m.metric, "value": round(m.value, 4), "name": f"{m.metric} {m.target}"}
        for section in report.sections
        for m in section.measurements
        if m.subject == identity.name and m.value is not None and not m.condition
    ]
    entry = {
        "task": {"type": "image-classification"},
        "dataset": {"type": report.benchmark, "name": report.title},
        "metrics": results,
    }
    fields = {
        "license": identity.licence.lower() or "other",
        "pipeline_tag": "image-feature-extraction",
        "tags": ["chest-x-ray", "radiology", "pacx"],
        "model-index": [{"name": identity.name, "results": [entry]}],
    }
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)


def _inline(svg: str) -> str:
    """Without the declarations that only files of their own may have."""
    return svg[svg.index("<svg") :]


def _data_uri(content: str) -> str:
    return "data:text/csv;base64," + base64.b64encode(content.encode()).decode()
