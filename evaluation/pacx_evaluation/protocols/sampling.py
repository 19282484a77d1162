"""A bounded number of reported films for protocols that encode films again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pacx.manifest import Interval
from pacx_evaluation.protocols.probes import FindingScores
from pacx_evaluation.protocols.study import Study
from pacx_evaluation.statistics import discrimination
from pacx_evaluation.statistics.bootstrap import Values
from pacx_evaluation.subjects.encoder import Embeddings

Rows = NDArray[np.int64]


def reported_films(study: Study) -> Rows:
    """Places of the films that are reported, sorted; at most ``study.films``, drawn by the seed.

    Without any finding that can be reported these are the films outside ``train``, or all.
    """
    scores = study.reported(study.entrants[0])
    splits = study.benchmark.cohort.splits
    outside = np.flatnonzero(splits != "train") if (splits != "train").any() else None
    fallback = outside if outside is not None else np.arange(len(splits))
    rows = np.unique(np.concatenate([s.rows for s in scores])) if scores else fallback
    if len(rows) <= study.films:
        return np.asarray(rows)
    random = np.random.default_rng(study.seed)
    return np.sort(random.choice(rows, study.films, replace=False))


def rescored(
    scores: FindingScores, films: Rows, embeddings: Embeddings
) -> tuple[Rows, Values, NDArray[np.bool_]]:
    """Apply fitted probes to other embeddings of some of the films that they predicted.

    Args:
        scores: Of one finding.
        films: Sorted places in the cohort.
        embeddings: float32 ``[len(films), D]``.

    Returns:
        Places within ``films``, probabilities and decisions of those that were reported.
    """
    places, probabilities, decisions = [], [], []
    for decision, report in scores.fits:
        own = np.flatnonzero(np.isin(films, report))
        found = decision.probabilities(embeddings[own])
        places.append(own)
        probabilities.append(found)
        decisions.append(found >= decision.threshold)
    return np.concatenate(places), np.concatenate(probabilities), np.concatenate(decisions)


def auroc_change(
    study: Study,
    labels: NDArray[np.bool_],
    patients: NDArray[np.str_],
    before: Values,
    after: Values,
) -> tuple[Interval | None, str | None]:
    """Change of the AUROC on the same films with its interval, or the reason for none."""
    reason = discrimination.too_few(labels, patients)
    if reason is not None:
        return None, reason
    first, second = (discrimination.auroc(labels, values) for values in (before, after))
    found = study.bootstrap.interval(lambda w: second(w) - first(w), labels, patients)
    return found, None


def cosine_distances(left: Embeddings, right: Embeddings) -> Values:
    """1 - cosine of each pair of rows, float64 ``[N]``."""
    a, b = left.astype(np.float64), right.astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray(1 - (a * b).sum(axis=1) / np.maximum(norms, np.finfo(np.float64).tiny))
