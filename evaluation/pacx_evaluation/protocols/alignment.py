"""Whether a film's embedding tells about the physiology that was measured with it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pacx.manifest import Interval
from pacx_evaluation.measurements import Measurement, Section, ends
from pacx_evaluation.protocols.requirements import check_pairs
from pacx_evaluation.protocols.study import Drawing, Entrant, Outcome, Study, patient_count
from pacx_evaluation.report.forest import condition_forest
from pacx_evaluation.statistics import alignment
from pacx_evaluation.statistics.bootstrap import Statistic, Values
from pacx_evaluation.statistics.calibration import mean

NAME = "alignment"
ALPHA = 10.0
NEIGHBOURS = (1, 5, 10)
FEWEST = 10
"""Films that are fitted, and reported, at least."""
MATCHED, SHUFFLED = "matched pairs", "shuffled pairs"
_LEAD = (
    "Ridge regression (alpha 10) from the standardised embedding of a film to what was measured "
    "with it, fitted outside the reported films. The same is done with pairs shuffled among the "
    "fitted films: what remains there is chance. Retrieval looks for the true row among all "
    "reported films."
)
Rows = NDArray[np.int64]


def run(study: Study) -> Outcome:
    """Measure every subject against every paired set of vectors.

    Raises:
        BenchmarkError: The benchmark pairs its films with nothing, or has no reported split.
    """
    splits = study.benchmark.cohort.splits
    held_out = "test" if (splits == "test").any() else "val"
    check_pairs(study.benchmark)
    fitted, reported = np.flatnonzero(splits != held_out), np.flatnonzero(splits == held_out)
    rows = [row for entrant in study.entrants for row in _measure(study, entrant, fitted, reported)]
    section = Section(name=NAME, title="Alignment", lead=_LEAD, measurements=tuple(rows))
    drawn = [row.model_dump() for row in rows if row.metric == "centred_cosine"]
    frame = pd.DataFrame(drawn)
    drawing = Drawing(
        name="alignment",
        caption="Cosine of predicted and measured vectors about their mean.",
        data=frame,
        draw=condition_forest,
    )
    return Outcome(section=section, drawings=(drawing,) if drawn else ())


def _measure(study: Study, entrant: Entrant, fitted: Rows, reported: Rows) -> Iterator[Measurement]:
    for name, vectors in study.benchmark.paired.items():
        known: NDArray[np.bool_] = np.asarray(np.isfinite(vectors).all(axis=1))
        fit, report = fitted[known[fitted]], reported[known[reported]]
        if min(len(fit), len(report)) < FEWEST:
            yield _too_few(entrant.name, name, len(fit), len(report))
            continue
        shuffled = np.random.default_rng(study.seed).permutation(fit)
        for condition, order in ((MATCHED, fit), (SHUFFLED, shuffled)):
            targets = vectors.astype(np.float64).copy()
            truth = alignment.standardised(targets, fit)[report]
            targets[fit] = targets[order]
            embeddings = entrant.embeddings.astype(np.float64)
            found = alignment.ridge_predictions(embeddings, targets, fit, ALPHA)[report]
            yield from _rows(study, entrant.name, (name, condition), truth, found, report)


def _too_few(subject: str, target: str, fitted: int, reported: int) -> Measurement:
    return Measurement(
        subject=subject,
        protocol=NAME,
        target=target,
        condition=MATCHED,
        metric="explained_variance",
        value=None,
        reason=f"{fitted} fitted and {reported} reported films have it, fewer than {FEWEST}",
        films=reported,
    )


def _rows(
    study: Study,
    subject: str,
    what: tuple[str, str],
    truth: Values,
    found: Values,
    reported: Rows,
) -> Iterator[Measurement]:
    patients = study.benchmark.cohort.patients[reported]
    centre = truth.mean(axis=0)
    statistics: dict[str, Statistic] = {
        "explained_variance": _variance(truth, found),
        "cosine": mean(alignment.cosines(truth, found)),
        "centred_cosine": mean(alignment.cosines(truth - centre, found - centre)),
    }
    for k in NEIGHBOURS:
        hits = alignment.found_among(truth, found, k)
        statistics[f"recall_at_{k}"] = mean(hits.astype(np.float64))
    strata = np.zeros(len(reported), dtype=np.bool_)
    for metric, statistic in statistics.items():
        interval: Interval = study.bootstrap.interval(statistic, strata, patients)
        yield Measurement(
            subject=subject,
            protocol=NAME,
            target=what[0],
            condition=what[1],
            metric=metric,
            **ends(interval),
            films=len(reported),
            patients=patient_count(patients),
        )


def _variance(truth: Values, found: Values) -> Statistic:
    """R2 over all columns together, under weights ``[R, N]``."""
    left = ((truth - found) ** 2).sum(axis=1)
    squares = (truth**2).sum(axis=1)

    def statistic(weights: Values) -> Values:
        total = weights.sum(axis=1)
        centres = weights @ truth / total[:, np.newaxis]
        spread = weights @ squares - total * (centres**2).sum(axis=1)
        return np.asarray(1 - weights @ left / np.where(spread > 0, spread, np.nan))

    return statistic
