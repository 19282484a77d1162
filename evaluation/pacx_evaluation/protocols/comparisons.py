"""Two subjects on the same films."""

from __future__ import annotations

import numpy as np

from pacx.manifest import Interval
from pacx_evaluation.measurements import Comparison
from pacx_evaluation.protocols.probes import FindingScores
from pacx_evaluation.protocols.study import Entrant, Study
from pacx_evaluation.statistics import delong, discrimination


def compare(study: Study, baseline: Entrant, entrant: Entrant) -> list[Comparison]:
    """AUROC of a subject against the baseline on the same films, finding by finding."""
    pairs = [(study.finding(baseline, score.target), score) for score in study.reported(entrant)]
    tests = [
        [
            delong.paired_test(a.labels, a.probabilities, b.probabilities, patients)
            for patients in (None, a.patients)
        ]
        for a, b in pairs
    ]
    corrected = delong.holm(np.array([clustered.p for _, clustered in tests]))
    return [
        Comparison(
            baseline=baseline.name,
            subject=entrant.name,
            target=b.target.name,
            metric="auroc",
            difference=plain.difference,
            low=interval.low,
            high=interval.high,
            p=plain.p,
            p_clustered=clustered.p,
            p_holm=float(holm),
        )
        for (a, b), (plain, clustered), holm in zip(pairs, tests, corrected, strict=True)
        for interval in [_difference(study, a, b)]
    ]


def _difference(study: Study, a: FindingScores, b: FindingScores) -> Interval:
    first = discrimination.auroc(a.labels, a.probabilities)
    second = discrimination.auroc(b.labels, b.probabilities)
    return study.bootstrap.interval(
        lambda weights: second(weights) - first(weights), a.labels, a.patients
    )
