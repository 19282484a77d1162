"""Two encoders on the same films: before and after stage 2, with intervals over patients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from benchmarks.reproduction.probes import correlations
from benchmarks.shipped.markers import MARKERS, Markers
from benchmarks.shipped.probes import AGE, FINDINGS, READ_OUTS, Answers, nih_train, nih_val
from pacx.manifest import Interval
from pacx_training.cohorts.manifest import Cohort
from pacx_training.intervals import resampled_weights, weighted_auroc

Values = NDArray[np.float64]
Rows = NDArray[np.bool_]
Said = tuple[Mapping[str, Values], ...]
_Answer = TypeVar("_Answer")
REPLICATES = 2000


class Line(BaseModel):
    """One measure of both encoders, and the difference."""

    model_config = ConfigDict(frozen=True)

    measure: str
    films: int
    before: Interval
    after: Interval
    difference: Interval


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Films:
    """Films that both encoders are asked about.

    Attributes:
        patients: str ``[M]``.
        strata: bool ``[M]``; resamples keep the number of patients with and without.
    """

    patients: NDArray[np.str_]
    strata: Rows

    def weights(self) -> Values:
        """``[1 + R, M]``: every film once, then the resamples."""
        drawn = resampled_weights(self.strata, self.patients, REPLICATES, np.random.default_rng(0))
        return np.vstack([np.ones(len(self.patients)), drawn])


def compared(
    measure: str,
    films: Films,
    score: Callable[[_Answer, Values], Values],
    both: tuple[_Answer, ...],
) -> Line:
    """Measure two encoders under the same resamples of patients.

    Args:
        measure: What it is called.
        films: That are asked about.
        score: Of one encoder for weightings ``[R, M]``: ``[R]``.
        both: Before and after.
    """
    weights = films.weights()
    before, after = (score(answers, weights) for answers in both)
    return Line(
        measure=measure,
        films=len(films.patients),
        before=interval(before),
        after=interval(after),
        difference=interval(after - before),
    )


def interval(values: Values) -> Interval:
    """The first of some values, with the middle 95 % of the others."""
    low, high = np.nanquantile(values[1:], [0.025, 0.975])
    return Interval(value=float(values[0]), low=float(low), high=float(high))


def label_lines(films: Cohort, both: tuple[Answers, ...]) -> Iterator[Line]:
    """Findings and read-outs, out of fold within NIH ``train``.

    Stage 2 saw some of these films with physiology drawn from their findings; the lines that say
    *held apart* are of patients that it never saw.
    """
    own = films.select(nih_train(films))
    said = tuple(answers.labels for answers in both)
    for label in (*FINDINGS, *READ_OUTS):
        yield from _label_and_half(label, own, said, "")
        yield _auroc_line(label, own, own.splits == "val", said, ", held apart")
    yield _age_line(own, said, "")


def final_lines(films: Cohort, both: tuple[Answers, ...]) -> Iterator[Line]:
    """The same on NIH ``val``, and pneumonia within each view."""
    own, where = films.select(nih_val(films)), ", NIH val"
    said = tuple(answers.final for answers in both)
    for label in (*FINDINGS, *READ_OUTS):
        yield from _label_and_half(label, own, said, where)
    ap = own.label("view_ap") > 0
    for view, asked in (("AP", ap), ("PA", ~ap)):
        yield _auroc_line("Pneumonia", own, asked, said, f"{where}, {view} films")
    yield _age_line(own, said, where)


def _label_and_half(label: str, films: Cohort, said: Said, where: str) -> Iterator[Line]:
    yield _auroc_line(label, films, np.ones(len(films), dtype=np.bool_), said, where)
    if label not in (*READ_OUTS, "Pneumonia"):
        half = films.label("Pneumonia") > 0
        yield _auroc_line(label, films, half, said, f"{where}, pneumonia half")


def _auroc_line(label: str, films: Cohort, asked: Rows, said: Said, where: str) -> Line:
    truth = films.label(label)[asked] > 0

    def score(logits: Mapping[str, Values], weights: Values) -> Values:
        return weighted_auroc(truth, logits[label][asked], weights)

    chosen = Films(patients=films.patients[asked], strata=truth)
    return compared(f"{label}{where}, AUROC", chosen, score, said)


def _age_line(films: Cohort, said: Said, where: str) -> Line:
    truth = films.label(AGE)

    def score(years: Mapping[str, Values], weights: Values) -> Values:
        misses = np.abs(years[AGE] - truth)
        return np.asarray(weights @ misses / weights.sum(axis=1))

    chosen = Films(patients=films.patients, strata=np.zeros(len(films), np.bool_))
    return compared(f"age{where}, mean absolute error in years", chosen, score, said)


def marker_lines(
    films: Cohort, markers: Markers, asked: Rows, among: Rows, both: tuple[Answers, ...], where: str
) -> Iterator[Line]:
    """Simulated markers of films that stage 2 never saw.

    Args:
        films: All of the manifest.
        markers: Of all films.
        asked: Films that the probes answered for, bool ``[N]``.
        among: Of which these are measured, bool ``[N]``.
        both: Before and after.
        where: What the films are called.
    """
    inside = among[asked]
    truth, values = markers.high[among], markers.learned[among]
    chosen = Films(patients=films.patients[among], strata=np.zeros(len(truth), np.bool_))

    def areas(logits: Values, weights: Values) -> Values:
        columns = [weighted_auroc(t, c, weights) for t, c in zip(truth.T, logits.T, strict=True)]
        return np.stack(columns)

    def every(answers: Answers, weights: Values) -> Values:
        return np.asarray(areas(answers.high[inside], weights).mean(axis=0))

    def few(answers: Answers, weights: Values) -> Values:
        subsets = [areas(logits[inside], weights).mean(axis=0) for logits in answers.high_few]
        return np.asarray(np.mean(subsets, axis=0))

    def regressed(answers: Answers, weights: Values) -> Values:
        found = correlations(values, answers.values[inside], weights)
        return np.asarray(found.mean(axis=1))

    yield compared(f"markers high or low, {where}, AUROC", chosen, every, both)
    yield compared(f"markers high or low, 1 % of labels, {where}, AUROC", chosen, few, both)
    yield compared(f"markers' values, {where}, correlation", chosen, regressed, both)
    for number, marker in enumerate(MARKERS):

        def one(answers: Answers, weights: Values, column: int = number) -> Values:
            logits = answers.high[inside, column]
            return weighted_auroc(truth[:, column], logits, weights)

        yield compared(f"{marker.name}, {where}, AUROC", chosen, one, both)
