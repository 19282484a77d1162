"""The simulated markers as a manifest that ``pacx train heads`` reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.shipped.markers import MARKERS, SHARE, read_markers
from benchmarks.shipped.probes import AGE
from pacx_training.cohorts.catalogue import Terms
from pacx_training.cohorts.manifest import Cohort, read_manifest
from pacx_training.cohorts.paired import SIMULATED

NIH = "nih"
"""1 for films of NIH's selection, 0 for the normals, whose source alone tells of their state."""
OUTER = "outer quarter"
"""After a marker's name: whether its value is as high, or as low, as that."""


def write_marker_table(films_path: Path, cohort: Path, path: Path) -> None:
    """Write every film's markers as CSV, and their terms beside it.

    Stage 2 saw the split ``train``; ``val`` was held apart from it, ``test`` is NIH ``val``.

    Args:
        films_path: Manifest that ``films`` wrote.
        cohort: What ``pacx simulate --given`` made of it.
        path: CSV to write.
    """
    films = read_manifest(films_path)
    _table(films, cohort).to_csv(path, index=False)
    given = Terms.model_validate_json(films_path.with_suffix(".json").read_bytes())
    content = _terms(given, int((films.splits == "train").sum())).model_dump(mode="json")
    path.with_suffix(".json").write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def _table(films: Cohort, cohort: Path) -> pd.DataFrame:
    markers = read_markers(cohort, films.splits)
    columns: dict[str, object] = {
        "path": [str(path) for path in films.paths],
        "patient": films.patients,
        "split": films.splits,
        NIH: np.isfinite(films.label(AGE)).astype(int),
    }
    for number, marker in enumerate(MARKERS):
        learned = markers.learned[:, number]
        columns[marker.name] = np.exp(learned) if marker.logarithmic else learned
        columns[f"{marker.name} {OUTER}"] = markers.high[:, number].astype(int)
    return pd.DataFrame(columns)


def _terms(films: Terms, seen: int) -> Terms:
    return Terms(
        name=f"Simulated markers of films: {films.name}",
        licence=f"{SIMULATED.licence}; films: {films.licence}",
        citation=f"{SIMULATED.citation} Films: {films.citation}",
        simulated=True,
        limitations=(
            "Markers of the group physiology were drawn for films by a simulation, from what is "
            "labelled and measured on them; no patient's blood or ECG was ever compared. High, "
            f"low and wide mean the outer {SHARE:.0%} of {seen} films as simulated, not a limit "
            "of any laboratory.",
            "Markers were learnt from films of two sources, selected for pneumonia or normal, and "
            "the source alone tells something of the simulated state; their findings are "
            "validated on films of the first source that stage 2 never saw.",
        ),
    )
