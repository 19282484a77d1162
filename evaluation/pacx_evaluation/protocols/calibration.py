"""Whether probabilities mean what they say, before and after temperature scaling."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.special import expit

from pacx.manifest import Interval
from pacx_evaluation.measurements import Measurement, Section
from pacx_evaluation.protocols.linear import measurement
from pacx_evaluation.protocols.probes import FindingScores
from pacx_evaluation.protocols.study import Drawing, Outcome, Study
from pacx_evaluation.report.curves import reliability_diagrams
from pacx_evaluation.statistics import calibration

NAME = "calibration"
BEFORE, AFTER = "before scaling", "after scaling"
_LEAD = (
    "Probabilities of the linear probe on the reported films, as fitted and after temperature "
    "scaling on films that the weights had not seen. ECE over {bins} bins of equal numbers "
    "(its expectation is above zero even for perfect probabilities, the more so the fewer films), "
    "Brier score and negative log likelihood; smaller is better."
)


def run(study: Study) -> Outcome:
    """Measure calibration of every subject and finding."""
    rows = [
        row
        for entrant in study.entrants
        for scores in study.reported(entrant)
        for row in _measure(study, entrant.name, scores)
    ]
    section = Section(
        name=NAME,
        title="Calibration",
        lead=_LEAD.format(bins=calibration.BINS),
        measurements=tuple(rows),
    )
    bins = [
        _bins(entrant.name, scores)
        for entrant in study.entrants
        for scores in study.reported(entrant)
    ]
    drawing = Drawing(
        name="reliability",
        caption="Reliability after scaling; on the dashed line probabilities are right.",
        data=pd.concat(bins) if bins else pd.DataFrame(),
        draw=reliability_diagrams,
    )
    return Outcome(section=section, drawings=(drawing,) if bins else ())


def _measure(study: Study, subject: str, scores: FindingScores) -> Iterator[Measurement]:
    for condition, probabilities in ((BEFORE, expit(scores.logits)), (AFTER, scores.probabilities)):
        found = {
            "brier": calibration.brier(scores.labels, probabilities),
            "negative_log_likelihood": calibration.negative_log_likelihood(
                scores.labels, probabilities
            ),
        }
        error = _error_interval(study, scores, np.asarray(probabilities))
        yield measurement(subject, scores, "ece", error, protocol=NAME, condition=condition)
        for metric, statistic in found.items():
            interval = study.bootstrap.interval(statistic, scores.labels, scores.patients)
            yield measurement(subject, scores, metric, interval, protocol=NAME, condition=condition)


def _error_interval(study: Study, scores: FindingScores, probabilities: np.ndarray) -> Interval:
    """ECE with a bootstrap interval; bins follow every sample.

    Resampling inflates the error, so the interval is the basic one: replicates are mirrored at
    the value (Davison and Hinkley 1997, section 5.2), and cut at zero.
    """

    def statistic(weights: np.ndarray) -> np.ndarray:
        counts = weights.astype(np.int64)
        errors = [
            calibration.expected_calibration_error(
                np.repeat(scores.labels, row), np.repeat(probabilities, row)
            )
            for row in counts
        ]
        return np.array(errors)

    found = study.bootstrap.interval(statistic, scores.labels, scores.patients)
    low, high = 2 * found.value - found.high, 2 * found.value - found.low
    return Interval(value=found.value, low=max(0.0, low), high=max(found.value, high))


def _bins(subject: str, scores: FindingScores) -> pd.DataFrame:
    bins = min(calibration.BINS, max(2, len(scores.labels) // 10))
    found = calibration.reliability(scores.labels, scores.probabilities, bins)
    return pd.DataFrame(
        {
            "subject": subject,
            "target": scores.target.name,
            "confidence": found.confidence,
            "frequency": found.frequency,
            "films": found.films,
        }
    )
