"""Writes a report: everything is ready before the first file of it appears."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pacx_evaluation.measurements import Section
from pacx_evaluation.protocols.study import Outcome, Study
from pacx_evaluation.report import pages
from pacx_evaluation.report.predictions import predictions
from pacx_evaluation.report.records import (
    Figure,
    Report,
    Settings,
    data_facts,
    environment_facts,
)
from pacx_evaluation.report.style import styled, svg
from pacx_training.atomic import write_atomically


def write_report(study: Study, outcomes: Sequence[Outcome], folder: Path) -> Report:
    """Write all files of a report into a folder; files of an older report are replaced.

    Returns:
        What ``metrics.json`` holds.
    """
    report = _report(study, outcomes)
    data, environment = data_facts(study.benchmark), environment_facts(study)
    pictures = {d.name: _picture(d.name, outcome) for outcome in outcomes for d in outcome.drawings}
    csv = {f"figures/{d.name}.csv": _csv(d.data) for o in outcomes for d in o.drawings}
    for section in report.sections:
        csv |= _tables(section)
    texts = {
        "report.html": pages.html(report, data, environment, pictures, csv),
        "report.md": pages.markdown(report, data),
        "model_card.md": pages.model_card(report, data),
        "metrics.json": report.model_dump_json(indent=1) + "\n",
        "data.json": data.model_dump_json(indent=1) + "\n",
        "environment.json": environment.model_dump_json(indent=1) + "\n",
        **{f"figures/{name}.svg": content for name, content in pictures.items()},
        **csv,
    }
    for name, content in texts.items():
        write_atomically(folder / name, content.encode())
    buffer = io.BytesIO()
    predictions(study).to_parquet(buffer, index=False)
    write_atomically(folder / "predictions.parquet", buffer.getvalue())
    return report


def _report(study: Study, outcomes: Sequence[Outcome]) -> Report:
    benchmark = study.benchmark
    return Report(
        benchmark=benchmark.name,
        title=benchmark.title,
        primary_metric=benchmark.metric,
        simulated=benchmark.simulated,
        credit=benchmark.credit,
        films_sha256=benchmark.sha256,
        settings=Settings(
            replicates=study.bootstrap.replicates,
            level=study.bootstrap.level,
            seed=study.seed,
            subsets=study.subsets,
        ),
        subjects=tuple(entrant.encoder.identity for entrant in study.entrants),
        sections=tuple(outcome.section for outcome in outcomes),
        figures=tuple(
            Figure(name=d.name, section=outcome.section.name, caption=d.caption)
            for outcome in outcomes
            for d in outcome.drawings
        ),
    )


def _picture(name: str, outcome: Outcome) -> str:
    drawing = next(d for d in outcome.drawings if d.name == name)
    with styled(name):
        return svg(drawing.draw(drawing.data))


def _tables(section: Section) -> dict[str, str]:
    found = {f"tables/{section.name}.csv": [m.model_dump() for m in section.measurements]}
    if section.comparisons:
        rows = [c.model_dump() for c in section.comparisons]
        found[f"tables/{section.name}-comparisons.csv"] = rows
    return {path: _csv(pd.DataFrame(rows)) for path, rows in found.items()}


def _csv(frame: pd.DataFrame) -> str:
    return frame.to_csv(index=False, lineterminator="\n")
