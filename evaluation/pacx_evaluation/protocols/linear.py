"""Linear probes on frozen embeddings: discrimination, decisions and paired comparisons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pacx.manifest import Interval
from pacx_evaluation.measurements import Measurement, Section, ends
from pacx_evaluation.protocols.comparisons import compare
from pacx_evaluation.protocols.probes import FindingScores, QuantityScores, Scored
from pacx_evaluation.protocols.study import Drawing, Entrant, Outcome, Study, patient_count
from pacx_evaluation.report.curves import precision_recall_curves, roc_curves
from pacx_evaluation.report.forest import difference_forest, forest
from pacx_evaluation.statistics import agreement, delong, discrimination
from pacx_evaluation.statistics.bootstrap import Statistic, Values

NAME = "linear"
_LEAD = (
    "The encoder is frozen; one logistic regression per finding is fitted on its embeddings. "
    "Regularisation, temperature and thresholds are chosen without the reported films. Intervals "
    "come from {replicates:,} bootstrap samples of patients, the same for every encoder."
)
_QUANTITIES = " Quantities are predicted by ridge regression, chosen in the same way."
_DELONG_Z = 1.959963984540054


def run(study: Study) -> Outcome:
    """Measure every subject on every target."""
    rows = [row for entrant in study.entrants for row in _measure(study, entrant)]
    comparisons = tuple(
        comparison
        for entrant in study.entrants[1:]
        for comparison in compare(study, study.entrants[0], entrant)
    )
    lead = _LEAD.format(replicates=study.bootstrap.replicates)
    section = Section(
        name=NAME,
        title="Linear probe",
        lead=lead + (_QUANTITIES if study.benchmark.quantities else ""),
        measurements=tuple(rows),
        comparisons=comparisons,
        notes=study.benchmark.caveats,
    )
    return Outcome(section=section, drawings=tuple(_drawings(study, section)))


def _measure(study: Study, entrant: Entrant) -> Iterator[Measurement]:
    yield from _macro(study, entrant)
    for target in study.benchmark.findings:
        yield from _finding(study, entrant.name, study.finding(entrant, target))
    for target in study.benchmark.quantities:
        yield from _quantity(study, entrant.name, study.quantity(entrant, target))


def _finding(study: Study, subject: str, scores: FindingScores) -> Iterator[Measurement]:
    labels, logits, decisions = scores.labels, scores.logits, scores.decisions
    if scores.reason is not None:
        yield measurement(subject, scores, "auroc", None)
        return
    statistics: dict[str, Statistic] = {
        "auroc": discrimination.auroc(labels, scores.probabilities),
        "average_precision": discrimination.average_precision(labels, scores.probabilities),
        "sensitivity": discrimination.rate(labels, decisions, "sensitivity"),
        "specificity": discrimination.rate(labels, decisions, "specificity"),
        "f1": discrimination.rate(labels, decisions, "f1"),
        "f1_at_one_half": discrimination.rate(labels, logits >= 0, "f1"),
    }
    for metric, statistic in statistics.items():
        interval = study.bootstrap.interval(statistic, labels, scores.patients)
        yield measurement(subject, scores, metric, interval)
    prevalence = discrimination.prevalence(labels)
    exact = Interval(value=prevalence, low=prevalence, high=prevalence)
    yield measurement(subject, scores, "prevalence", exact)
    yield measurement(subject, scores, "auroc_delong", _delong(scores))


def _delong(scores: FindingScores) -> Interval:
    areas, spread = delong.covariance(
        scores.labels, scores.probabilities[np.newaxis], scores.patients
    )
    half = _DELONG_Z * float(np.sqrt(spread[0, 0]))
    area = float(areas[0])
    return Interval(value=area, low=max(0.0, area - half), high=min(1.0, area + half))


def _quantity(study: Study, subject: str, scores: QuantityScores) -> Iterator[Measurement]:
    shared = {"subject": subject, "protocol": NAME, "target": scores.target.name}
    counts = {"films": len(scores.rows), "patients": patient_count(scores.patients)}
    if scores.reason is not None:
        yield Measurement(**shared, metric="r_squared", value=None, reason=scores.reason, **counts)
        return
    strata = np.zeros(len(scores.rows), dtype=np.bool_)
    for metric, build in (
        ("r_squared", agreement.r_squared),
        ("spearman", agreement.rank_correlation),
    ):
        statistic = build(scores.truth, scores.predicted)
        found = study.bootstrap.interval(statistic, strata, scores.patients)
        yield Measurement(**shared, metric=metric, **ends(found), **counts)


def _macro(study: Study, entrant: Entrant) -> Iterator[Measurement]:
    """Mean AUROC, average precision and F1 over the findings that are reported."""
    scores = study.reported(entrant)
    statistics: dict[str, list[Statistic]] = {
        "auroc": [discrimination.auroc(s.labels, s.probabilities) for s in scores],
        "average_precision": [
            discrimination.average_precision(s.labels, s.probabilities) for s in scores
        ],
        "f1_at_one_half": [discrimination.rate(s.labels, s.logits >= 0, "f1") for s in scores],
    }
    yield from macro(study, entrant.name, scores, statistics)


def macro(
    study: Study,
    subject: str,
    scores: Sequence[Scored],
    statistics: Mapping[str, Sequence[Statistic]],
    *,
    protocol: str = NAME,
) -> Iterator[Measurement]:
    """Means over findings; nothing where fewer than two are reported.

    Args:
        study: How intervals are resampled.
        subject: Its name.
        scores: One a finding.
        statistics: By metric, one a finding.
        protocol: That they belong to.
    """
    if len(scores) < 2:
        return
    rows = np.unique(np.concatenate([score.rows for score in scores]))
    patients = study.benchmark.cohort.patients[rows]
    positive = np.unique(np.concatenate([score.rows[score.labels] for score in scores]))
    places = [np.searchsorted(rows, score.rows) for score in scores]
    for metric, builds in statistics.items():
        found = study.bootstrap.interval(
            partial(_mean_over, list(zip(places, builds, strict=True))),
            np.isin(rows, positive),
            patients,
        )
        yield Measurement(
            subject=subject,
            protocol=protocol,
            target="macro",
            metric=metric,
            **ends(found),
            films=len(rows),
            patients=patient_count(patients),
        )


def _mean_over(parts: list[tuple[NDArray[np.intp], Statistic]], weights: Values) -> Values:
    return np.asarray(np.mean([build(weights[:, rows]) for rows, build in parts], axis=0))


def measurement(
    subject: str,
    scores: Scored,
    metric: str,
    interval: Interval | None,
    *,
    protocol: str = NAME,
    condition: str = "",
) -> Measurement:
    """One row about a finding; without an interval it says why."""
    return Measurement(
        subject=subject,
        protocol=protocol,
        target=scores.target.name,
        metric=metric,
        condition=condition,
        **ends(interval),
        reason=None if interval else scores.reason,
        films=len(scores.rows),
        patients=patient_count(scores.patients),
        positives=int(scores.labels.sum()),
    )


def _drawings(study: Study, section: Section) -> Iterator[Drawing]:
    frame = pd.DataFrame([m.model_dump() for m in section.measurements])
    areas = frame[(frame["metric"] == "auroc") & frame["value"].notna()]
    if len(areas):
        yield Drawing(
            name="auroc",
            caption="AUROC with 95 % intervals over patients; the dashed line is chance.",
            data=areas,
            draw=forest,
        )
        points = pd.concat([_points(study, entrant) for entrant in study.entrants])
        yield Drawing(
            name="roc", caption="ROC curves on the reported films.", data=points, draw=roc_curves
        )
        yield Drawing(
            name="precision-recall",
            caption="Precision and recall; the dashed line is the prevalence.",
            data=points,
            draw=precision_recall_curves,
        )
    correlations = frame[(frame["metric"] == "spearman") & frame["value"].notna()]
    if len(correlations):
        yield Drawing(
            name="correlation",
            caption="Rank correlation of predicted and measured values, with 95 % intervals.",
            data=correlations,
            draw=forest,
        )
    if section.comparisons:
        differences = pd.DataFrame([c.model_dump() for c in section.comparisons])
        yield Drawing(
            name="differences",
            caption=f"Difference of AUROC from {section.comparisons[0].baseline}.",
            data=differences,
            draw=difference_forest,
        )


def _points(study: Study, entrant: Entrant) -> pd.DataFrame:
    """Label and probability of every reported film, without saying which film."""
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "subject": entrant.name,
                    "target": score.target.name,
                    "label": score.labels,
                    "probability": score.probabilities,
                }
            )
            for score in study.reported(entrant)
        ]
    )
