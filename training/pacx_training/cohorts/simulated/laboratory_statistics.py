"""Derive ``laboratory.json`` from the MIMIC-IV demo: summary statistics, no rows of anybody.

Run ``python -m pacx_training.cohorts.simulated.laboratory_statistics EVENTS.parquet OUT.json`` on
the laboratory events of the MIMIC-IV demo in MEDS form (columns ``subject_id``, ``time``,
``code`` = ``LAB//itemid//unit`` and ``value``). One record is one patient on one day, with the
day's first value of each analyte. Patients count equally however often they were sampled.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from pacx_training.cohorts.simulated.laboratory import ANALYTES, QUANTILE_LEVELS

Matrix = NDArray[np.float64]

CREDIT = (
    "Summary statistics (quantiles, rank correlations, missingness) of laboratory values in the "
    "MIMIC-IV demo in MEDS form: van de Water et al. (2025), MIMIC-IV demo data in the Medical "
    "Event Data Standard, PhysioNet, https://doi.org/10.13026/t2y8-ea41. The data is offered under "
    "the Open Database License 1.0, and so are these statistics."
)
MINIMUM_ANALYTES = 8
"""A day with fewer of the 50 is no admission panel."""
SHRINKAGE = 0.15
"""Towards independence, because a hundred patients leave correlations noisy."""


def daily_records(events: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each patient and day, one column for each analyte (its item id)."""
    parts = events["code"].str.split("//")
    events = events.assign(item=pd.to_numeric(parts.str[1], errors="coerce"))
    events = events[events["item"].isin([a.item_id for a in ANALYTES]) & events["value"].notna()]
    events = events.assign(day=events["time"].dt.floor("D")).sort_values("time", kind="stable")
    table = events.pivot_table(
        index=["subject_id", "day"], columns="item", values="value", aggfunc="first"
    )
    table = table.reindex(columns=[a.item_id for a in ANALYTES])
    return table[table.notna().sum(axis=1) >= MINIMUM_ANALYTES]


def patient_weights(table: pd.DataFrame) -> Matrix:
    """Return a weight for each record such that every patient's weights sum to one."""
    subjects = table.index.get_level_values("subject_id")
    counts = pd.Series(subjects).map(pd.Series(subjects).value_counts())
    return np.asarray(1.0 / counts, dtype=np.float64)


def weighted_ranks(values: Matrix, weights: Matrix) -> Matrix:
    """Return the weighted percentile of every value, in (0, 1), ties sharing their middle."""
    order = np.argsort(values, kind="stable")
    unique, inverse = np.unique(values[order], return_inverse=True)
    mass = np.bincount(inverse, weights[order], minlength=len(unique))
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    ranks = np.empty_like(values)
    ranks[order] = middle[inverse]
    return ranks


def normal_scores(table: pd.DataFrame, weights: Matrix) -> Matrix:
    """Return van der Waerden scores ``[records, analytes]``, NaN where missing."""
    scores = np.full(table.shape, np.nan)
    for column in range(table.shape[1]):
        values = table.iloc[:, column].to_numpy(dtype=np.float64)
        seen = np.isfinite(values)
        scores[seen, column] = norm.ppf(weighted_ranks(values[seen], weights[seen]))
    return scores


def pairwise_correlation(scores: Matrix, weights: Matrix) -> Matrix:
    """Correlate columns over the records where both are there; shrunk and positive definite."""
    count = scores.shape[1]
    correlation = np.eye(count)
    for i in range(count):
        for j in range(i):
            both = np.isfinite(scores[:, i]) & np.isfinite(scores[:, j])
            if both.sum() >= 20:
                covariance = np.cov(scores[both, i], scores[both, j], aweights=weights[both])
                scale = np.sqrt(covariance[0, 0] * covariance[1, 1])
                correlation[i, j] = correlation[j, i] = covariance[0, 1] / max(scale, 1e-9)
    return positive_definite((1 - SHRINKAGE) * correlation + SHRINKAGE * np.eye(count))


def positive_definite(correlation: Matrix, smallest: float = 0.01) -> Matrix:
    """Lift eigenvalues to ``smallest`` and scale the diagonal back to one."""
    values, vectors = np.linalg.eigh(correlation)
    lifted = (vectors * np.maximum(values, smallest)) @ vectors.T
    scale = np.sqrt(np.diag(lifted))
    return np.asarray(lifted / np.outer(scale, scale))


def statistics(table: pd.DataFrame) -> dict[str, Any]:
    """Summarise daily records as the file's content."""
    weights = patient_weights(table)
    observed = table.notna().to_numpy(dtype=np.float64)
    # The tetrachoric correlation of two indicators, by its value for even odds.
    with np.errstate(invalid="ignore", divide="ignore"):
        phi = np.nan_to_num(np.corrcoef(observed, rowvar=False))
    return {
        "credit": CREDIT,
        "records": len(table),
        "patients": int(table.index.get_level_values("subject_id").nunique()),
        "quantile_levels": list(QUANTILE_LEVELS),
        "analytes": [
            {
                "item_id": analyte.item_id,
                "observed_share": round(float(np.average(observed[:, i], weights=weights)), 4),
                "quantiles": _quantiles(table.iloc[:, i].to_numpy(dtype=np.float64), weights),
            }
            for i, analyte in enumerate(ANALYTES)
        ],
        "correlation": pairwise_correlation(normal_scores(table, weights), weights)
        .round(4)
        .tolist(),
        "missingness_correlation": positive_definite(np.sin(np.pi / 2 * phi)).round(4).tolist(),
    }


def _quantiles(values: Matrix, weights: Matrix) -> list[float]:
    seen = np.isfinite(values)
    order = np.argsort(values[seen], kind="stable")
    ranks = weighted_ranks(values[seen], weights[seen])[order]
    levels = np.asarray(QUANTILE_LEVELS)
    return [float(f"{x:.4g}") for x in np.interp(levels, ranks, values[seen][order])]


if __name__ == "__main__":
    records = daily_records(pd.read_parquet(sys.argv[1]))
    Path(sys.argv[2]).write_text(json.dumps(statistics(records)) + "\n", encoding="utf-8")
