"""Any CSV or Parquet table of films with labels as a benchmark.

Columns: ``path`` (relative to the table), optionally ``patient``, ``split`` (``train``, ``val``,
``test``), and for subgroups ``sex``, ``age``, ``view``, ``site``. All other columns are labels:
0 and 1 make a finding (-1 and empty cells are unknown), other numbers a quantity.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pacx.errors import CohortError
from pacx_evaluation.benchmarks.attributes import ATTRIBUTES, read_attributes
from pacx_evaluation.benchmarks.benchmark import Benchmark, Exclusion, Kind, Target
from pacx_training.cohorts.manifest import (
    FIRST_ROW,
    RESERVED,
    Cohort,
    check_columns,
    existing,
    numbers,
    patients_and_splits,
    read_table,
    words,
)

_ALONE = "The manifest names no patients, so that every film counts as a patient of its own."
_UNCERTAIN = -1.0


def manifest_benchmark(
    path: Path, labels: Sequence[str] = (), within: Path | None = None
) -> Benchmark:
    """Read a manifest.

    Args:
        path: CSV or Parquet.
        labels: Columns to ask about; none means all that are neither paths nor attributes.
        within: The folder that all films must lie in, None for anywhere.

    Raises:
        CohortError: A file is missing or elsewhere, a label is no number, an unknown split, no
            film, or two splits share a patient.
        BenchmarkError: No labels.
    """
    table = read_table(path)
    check_columns(table, ["path", *labels], path.name)
    if within is not None:
        _check_place(table, path, within)
    names = tuple(dict.fromkeys(labels)) or _label_columns(table, path.name)
    columns = [_known(numbers(table, name, path.name)) for name in names]
    exclusions = tuple(
        Exclusion(reason=f"{name}: no label", films=int(np.isnan(column).sum()))
        for name, column in zip(names, columns, strict=True)
        if np.isnan(column).any()
    )
    return Benchmark(
        name=path.stem,
        title=f"Manifest {path.name}",
        cohort=_cohort(table, path, names, columns),
        targets=tuple(
            Target(label=name, kind=_kind(column))
            for name, column in zip(names, columns, strict=True)
        ),
        attributes=read_attributes(table),
        exclusions=exclusions,
        caveats=() if "patient" in table else (_ALONE,),
    )


def _cohort(
    table: pd.DataFrame, path: Path, names: tuple[str, ...], columns: list[NDArray[np.float32]]
) -> Cohort:
    patients, splits = patients_and_splits(table, path.name)
    return Cohort(
        name=path.stem,
        paths=existing(path.parent, words(table, "path", path.name), path.name),
        patients=patients,
        splits=splits,
        label_names=names,
        labels=np.stack(columns, axis=1) if columns else np.empty((len(table), 0), np.float32),
        weights=np.ones(len(table)),
    )


def _check_place(table: pd.DataFrame, path: Path, within: Path) -> None:
    """Refuse films outside a folder before anyone looks whether they exist."""
    folder = within.resolve()
    for row, name in enumerate(words(table, "path", path.name)):
        if not (path.parent / name).resolve().is_relative_to(folder):
            raise CohortError(
                f"{path.name}, row {row + FIRST_ROW}: the image lies outside the folder."
            )


def _label_columns(table: pd.DataFrame, name: str) -> tuple[str, ...]:
    for place, column in enumerate(table.columns, start=1):
        if re.fullmatch(r"(Unnamed: \d+)?", column):  # pandas' name for one without a name
            raise CohortError(
                f"{name}: column {place} has no name. Name it, leave it out, or choose columns "
                "with --label."
            )
    return tuple(c for c in table.columns if c not in (*RESERVED, *ATTRIBUTES))


def _known(column: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without CheXpert's mark for uncertain labels, where the column has only such marks."""
    if set(np.unique(column[~np.isnan(column)]).tolist()) <= {_UNCERTAIN, 0.0, 1.0}:
        return np.where(column == _UNCERTAIN, np.nan, column).astype(np.float32)
    return column


def _kind(column: NDArray[np.float32]) -> Kind:
    values = set(np.unique(column[~np.isnan(column)]).tolist())
    return "finding" if values <= {0.0, 1.0} else "quantity"
