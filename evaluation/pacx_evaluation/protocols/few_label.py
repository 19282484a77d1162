"""Label efficiency: the same small subsets of patients for every subject."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from pacx_evaluation.benchmarks import Target
from pacx_evaluation.measurements import Measurement, Section
from pacx_evaluation.protocols.design import FOLDS, Round, rounds
from pacx_evaluation.protocols.probes import FEW_STRENGTH, fit_round, fold_count
from pacx_evaluation.protocols.study import Drawing, Entrant, Outcome, Study, patient_count
from pacx_evaluation.report.curves import label_efficiency
from pacx_evaluation.statistics import discrimination
from pacx_training.heads import fit_logistic

NAME = "few-label"
SHARES = (0.01, 0.1, 1.0)
_LEAD = (
    "The probe is fitted on 1, 10 and 100 % of the labels. {subsets} subsets of patients are drawn "
    "for each share, stratified by finding and the same for every encoder. Bands span the worst "
    "and the best subset; intervals in the table are 1.96 standard errors over subsets."
)
_NOTE = (
    "A share that leaves fewer than one patient with and one without the finding cannot be fitted. "
    "Without a validation split, regularisation is fixed where a subset has fewer than five "
    f"patients of a kind, at {FEW_STRENGTH:g}; all else is as in the linear probe."
)
Rows = NDArray[np.int64]


def run(study: Study) -> Outcome:
    """Measure AUROC against the number of labels."""
    rows = [row for entrant in study.entrants for row in _measure(study, entrant)]
    section = Section(
        name=NAME,
        title="Label efficiency",
        lead=_LEAD.format(subsets=study.subsets),
        measurements=tuple(row for row, _ in rows),
        notes=(_NOTE,),
    )
    frame = pd.DataFrame([extra for _, extra in rows if extra])
    drawing = Drawing(
        name="label-efficiency",
        caption="AUROC against the share of labels; bands from the worst to the best subset.",
        data=frame,
        draw=label_efficiency,
    )
    return Outcome(section=section, drawings=(drawing,) if len(frame) else ())


def subset(
    rows: Rows, labels: NDArray[np.bool_], patients: NDArray[np.str_], share: float, seed: int
) -> Rows | None:
    """Films of a share of the patients with and of those without a finding.

    Args:
        rows: Places of the films to draw from.
        labels: bool ``[N]`` of the whole cohort.
        patients: str ``[N]`` of the whole cohort.
        share: Of the patients of each kind, rounded.
        seed: Of the draw; it does not depend on the subject.

    Returns:
        Places, or None where a kind would be left without a patient.
    """
    random = np.random.default_rng((seed, round(share * 1e6)))
    with_finding = np.unique(patients[rows[labels[rows]]])
    without = np.setdiff1d(np.unique(patients[rows]), with_finding)
    drawn = []
    for names in (with_finding, without):
        count = round(share * len(names))
        if count < 1:
            return None
        drawn.append(random.permutation(names)[:count])
    chosen = rows[np.isin(patients[rows], np.concatenate(drawn))]
    kinds = labels[chosen]
    return chosen if kinds.any() and not kinds.all() else None


def _measure(study: Study, entrant: Entrant) -> Iterator[tuple[Measurement, dict[str, object]]]:
    for target in study.benchmark.findings:
        if study.finding(entrant, target).reason is not None:
            continue
        for share in SHARES:
            areas = _areas(study, entrant, target, share)
            yield _row(study, entrant, target, share, areas)


def _areas(study: Study, entrant: Entrant, target: Target, share: float) -> list[float]:
    benchmark = study.benchmark
    labels, usable = benchmark.values(target) > 0, benchmark.usable(target)
    plan = rounds(benchmark, usable, labels, study.seed)
    seeds = range(study.subsets) if share < 1 else range(1)
    areas = [_area(study, entrant, labels, plan, share, study.seed + seed) for seed in seeds]
    return [area for area in areas if area is not None]


def _area(
    study: Study,
    entrant: Entrant,
    labels: NDArray[np.bool_],
    plan: tuple[Round, ...],
    share: float,
    seed: int,
) -> float | None:
    patients, scores, truth = study.benchmark.cohort.patients, [], []
    for r in plan:
        chosen = subset(r.fit, labels, patients, share, seed)
        if chosen is None:
            return None
        small = Round(fit=chosen, choose=r.choose, report=r.report)
        scores.append(_predict(study, entrant, labels, small))
        truth.append(labels[r.report])
    statistic = discrimination.auroc(np.concatenate(truth), np.concatenate(scores))
    return float(statistic(np.ones((1, sum(map(len, truth)))))[0])


def _predict(
    study: Study, entrant: Entrant, labels: NDArray[np.bool_], r: Round
) -> NDArray[np.float64]:
    """Probabilities of the reported films."""
    patients = study.benchmark.cohort.patients[r.fit]
    if r.choose is None and fold_count(labels[r.fit], patients) < FOLDS:
        weight, bias = fit_logistic(entrant.embeddings[r.fit], labels[r.fit], FEW_STRENGTH)
        return np.asarray(expit(entrant.embeddings[r.report].astype(np.float64) @ weight + bias))
    decision = fit_round(study.benchmark, entrant.embeddings, labels, r, study.seed)
    return decision.probabilities(entrant.embeddings[r.report])


def _row(
    study: Study, entrant: Entrant, target: Target, share: float, areas: list[float]
) -> tuple[Measurement, dict[str, object]]:
    scores = study.finding(entrant, target)
    value = float(np.mean(areas)) if areas else None
    half = 1.96 * float(np.std(areas, ddof=1)) / np.sqrt(len(areas)) if len(areas) > 1 else None
    row = Measurement(
        subject=entrant.name,
        protocol=NAME,
        target=target.name,
        metric="auroc",
        condition=f"{share:.0%} of labels",
        value=value,
        low=max(0.0, value - half) if value is not None and half is not None else None,
        high=min(1.0, value + half) if value is not None and half is not None else None,
        reason=None if areas else "no subset has patients of both kinds",
        films=len(scores.rows),
        patients=patient_count(scores.patients),
        positives=int(scores.labels.sum()),
    )
    facts: dict[str, object] = {
        "subject": entrant.name,
        "target": target.name,
        "share": share,
        "value": value,
        "worst": min(areas, default=None),
        "best": max(areas, default=None),
        "subsets": len(areas),
    }
    return row, facts if areas else {}
