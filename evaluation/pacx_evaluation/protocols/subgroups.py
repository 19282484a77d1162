"""Sensitivity and false alarms of subgroups at one threshold for all (Glocker et al. 2023)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pacx_evaluation.measurements import Measurement, Section, ends
from pacx_evaluation.protocols.probes import TARGET_FALSE_POSITIVE_RATE, FindingScores
from pacx_evaluation.protocols.study import Drawing, Outcome, Study, patient_count
from pacx_evaluation.report.forest import condition_forest
from pacx_evaluation.statistics.bootstrap import Statistic, Values
from pacx_evaluation.statistics.discrimination import MINIMUM_POSITIVES, rate

NAME = "subgroups"
_LEAD = (
    "One threshold per finding for everybody, set to a false-positive rate of "
    f"{TARGET_FALSE_POSITIVE_RATE:.2f} on films that were not reported. Rates of each subgroup, "
    "and gaps to all other films whose group is known, with intervals over patients."
)
_NOTE = (
    f"A rate is reported where the subgroup has at least {MINIMUM_POSITIVES} films of the kind "
    "that it is a share of. Nothing is corrected for the number of subgroups: read the gaps as "
    "descriptions, not as tests."
)
RATES = (("true_positive_rate", True), ("false_positive_rate", False))


def run(study: Study) -> Outcome:
    """Measure every subject, finding and subgroup."""
    rows = [
        row
        for entrant in study.entrants
        for scores in study.reported(entrant)
        for attribute, values in study.benchmark.attributes.items()
        for row in _measure(study, entrant.name, scores, attribute, values[scores.rows])
    ]
    section = Section(
        name=NAME, title="Subgroups", lead=_LEAD, measurements=tuple(rows), notes=(_NOTE,)
    )
    return Outcome(section=section, drawings=tuple(_drawings(rows)))


def _measure(
    study: Study,
    subject: str,
    scores: FindingScores,
    attribute: str,
    values: NDArray[np.str_],
) -> Iterator[Measurement]:
    known = values != ""
    for group in sorted(set(values[known].tolist())):
        inside = values == group
        for metric, kind in RATES:
            mine, others = (
                inside & (scores.labels == kind),
                known & ~inside & (scores.labels == kind),
            )
            condition = f"{attribute}: {group}"
            yield _row(study, subject, scores, metric, condition, (mine, None))
            yield _row(study, subject, scores, f"{metric}_gap", condition, (mine, others))


def _row(
    study: Study,
    subject: str,
    scores: FindingScores,
    metric: str,
    condition: str,
    films: tuple[NDArray[np.bool_], NDArray[np.bool_] | None],
) -> Measurement:
    mine, others = films
    smallest = min(int(group.sum()) for group in films if group is not None)
    reason = None
    if smallest < MINIMUM_POSITIVES:
        reason = f"{smallest} films, fewer than {MINIMUM_POSITIVES}"
    counted = mine if others is None else mine | others
    found = None
    if reason is None:
        found = study.bootstrap.interval(
            _share(scores.alarms, mine, others), mine.astype(np.int64), scores.patients
        )
    return Measurement(
        subject=subject,
        protocol=NAME,
        target=scores.target.name,
        metric=metric,
        condition=condition,
        **ends(found),
        reason=reason,
        films=int(counted.sum()),
        patients=patient_count(scores.patients[counted]),
    )


def _share(
    alarms: NDArray[np.bool_], mine: NDArray[np.bool_], others: NDArray[np.bool_] | None
) -> Statistic:
    """Share of alarms among one group of films, less that among the others."""
    own = rate(np.ones_like(alarms), alarms, "sensitivity")

    def statistic(weights: Values) -> Values:
        first = own(weights * mine)
        return first if others is None else first - own(weights * others)

    return statistic


def _drawings(rows: list[Measurement]) -> Iterator[Drawing]:
    for metric, title in (
        ("true_positive_rate", "Sensitivity"),
        ("false_positive_rate", "False-positive rate"),
    ):
        frame = pd.DataFrame(
            [r.model_dump() for r in rows if r.metric == metric and r.value is not None]
        )
        if len(frame):
            yield Drawing(
                name=metric.replace("_", "-"),
                caption=f"{title} of subgroups at one threshold, with 95 % intervals.",
                data=frame,
                draw=condition_forest,
            )
