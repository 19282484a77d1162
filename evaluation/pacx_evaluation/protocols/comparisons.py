"""Two subjects on the same films."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pacx.manifest import Interval
from pacx_evaluation.measurements import Comparison
from pacx_evaluation.protocols.study import Entrant, Study
from pacx_evaluation.statistics import delong, discrimination
from pacx_evaluation.statistics.bootstrap import Statistic, Values


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """What baseline and subject say about one finding of M films.

    Attributes:
        target: The finding.
        labels: bool ``[M]``.
        patients: str ``[M]``.
        baseline: ``[S, M]``, one row for every seed.
        subject: The same of the subject.
    """

    target: str
    labels: NDArray[np.bool_]
    patients: NDArray[np.str_]
    baseline: Values
    subject: Values


def compare(study: Study, baseline: Entrant, entrant: Entrant) -> list[Comparison]:
    """AUROC of a subject's probes against the baseline's, finding by finding."""
    found = [(study.finding(baseline, score.target), score) for score in study.reported(entrant)]
    pairs = [
        Pair(
            target=b.target.name,
            labels=b.labels,
            patients=b.patients,
            baseline=a.probabilities[np.newaxis],
            subject=b.probabilities[np.newaxis],
        )
        for a, b in found
    ]
    return compare_pairs(study, baseline.name, entrant.name, pairs)


def compare_pairs(
    study: Study, baseline: str, subject: str, pairs: Sequence[Pair]
) -> list[Comparison]:
    """AUROC, averaged over seeds, of a subject against the baseline on the same films."""
    tests = [
        [
            delong.paired_test(pair.labels, pair.baseline, pair.subject, patients)
            for patients in (None, pair.patients)
        ]
        for pair in pairs
    ]
    corrected = delong.holm(np.array([clustered.p for _, clustered in tests]))
    return [
        Comparison(
            baseline=baseline,
            subject=subject,
            target=pair.target,
            metric="auroc",
            difference=plain.difference,
            low=interval.low,
            high=interval.high,
            p=plain.p,
            p_clustered=clustered.p,
            p_holm=float(holm),
        )
        for pair, (plain, clustered), holm in zip(pairs, tests, corrected, strict=True)
        for interval in [_difference(study, pair)]
    ]


def _difference(study: Study, pair: Pair) -> Interval:
    first, second = (_mean_area(pair.labels, s) for s in (pair.baseline, pair.subject))
    return study.bootstrap.interval(
        lambda weights: second(weights) - first(weights), pair.labels, pair.patients
    )


def _mean_area(labels: NDArray[np.bool_], scores: Values) -> Statistic:
    return discrimination.mean_of([discrimination.auroc(labels, row) for row in scores])
