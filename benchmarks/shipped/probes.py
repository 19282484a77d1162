"""Linear probes of one frozen encoder: findings, read-outs and simulated markers, film by film."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from benchmarks.reproduction.probes import predictions
from benchmarks.shipped.markers import MARKERS, Markers
from pacx_training.cohorts.manifest import Cohort
from pacx_training.heads import fit_logistic, fit_probe
from pacx_training.tasks import HeadsRecipe

Values = NDArray[np.float64]
Embeddings = NDArray[np.float32]
_Number = TypeVar("_Number", bound=np.generic)

FINDINGS = ("Pneumonia", "Infiltration", "Atelectasis", "Edema", "Effusion")
READ_OUTS = ("view_ap", "sex_male")
AGE = "age_years"
FEW_LABELS = 0.01
SUBSETS = 20
FOLDS = 5
FEW_STRENGTH = 1e-2
"""Inverse regularisation of the few-label probe, whose films are too few to choose one."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What probes on one encoder say.

    Attributes:
        labels: For each label its out-of-fold logits (of the age, years) for all films of NIH
            ``train``, float64 ``[N]``.
        final: The same for NIH ``val``, by probes of all of NIH ``train``.
        values: Regressed markers of the films asked about, ``[M, markers]``.
        high: Logits that a marker is high, all labels, ``[M, markers]``.
        high_few: The same with one label in a hundred, ``[subsets, M, markers]``.
    """

    labels: dict[str, Values]
    final: dict[str, Values]
    values: Values
    high: Values
    high_few: Values


def kept(path: Path, measure: Callable[[], NDArray[_Number]]) -> NDArray[_Number]:
    """What took long to measure, from its file where it was measured before."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, measure())
    found: NDArray[_Number] = np.load(path, allow_pickle=False)
    return found


def answers(
    embeddings: Embeddings, films: Cohort, markers: Markers, asked: NDArray[np.bool_]
) -> Answers:
    """Fit every probe.

    Args:
        embeddings: Of all films, ``[N, D]``.
        films: With labels; ``train`` is what stage 2 saw.
        markers: Of all films.
        asked: Films that the probes of markers answer for, bool ``[N]``, none of ``train``.
    """
    seen = films.splits == "train"
    labels, final = _labels(embeddings, films)
    return Answers(
        labels=labels,
        final=final,
        values=predictions(embeddings, markers.learned, embeddings[asked], np.flatnonzero(seen)),
        high=_high(embeddings[seen], markers.high[seen], embeddings[asked], FOLDS),
        high_few=_few(embeddings[seen], markers.high[seen], embeddings[asked]),
    )


def nih_train(films: Cohort) -> NDArray[np.bool_]:
    """Films of NIH ``train``, which alone have all labels, bool ``[N]``."""
    return np.asarray(np.isfinite(films.label(AGE)) & (films.splits != "test"))


def nih_val(films: Cohort) -> NDArray[np.bool_]:
    """Films of NIH ``val``, bool ``[N]``; they choose nothing."""
    return np.asarray(films.splits == "test")


def _labels(embeddings: Embeddings, films: Cohort) -> tuple[dict[str, Values], dict[str, Values]]:
    rows = nih_train(films)
    inputs, patients, last = embeddings[rows], films.patients[rows], embeddings[nih_val(films)]
    recipe = HeadsRecipe(findings=FINDINGS, folds=FOLDS)
    probes = {
        label: fit_probe(inputs, films.label(label)[rows] > 0, patients, recipe)
        for label in (*FINDINGS, *READ_OUTS)
    }
    ages = films.label(AGE)[rows].astype(np.float64)
    held_out = {label: probe.held_out for label, probe in probes.items()}
    final = {label: last @ probe.weight + probe.bias for label, probe in probes.items()}
    years = predictions(inputs, ages, last, np.arange(len(inputs)))
    return held_out | {AGE: _ages(inputs, ages, patients)}, final | {AGE: years}


def _ages(inputs: Embeddings, ages: Values, patients: NDArray[np.str_]) -> Values:
    predicted = np.empty(len(ages))
    for fitted, held in GroupKFold(FOLDS).split(inputs, groups=patients):
        predicted[held] = predictions(inputs, ages, inputs[held], fitted)
    return predicted


def _high(inputs: Embeddings, high: NDArray[np.bool_], asked: Embeddings, folds: int) -> Values:
    recipe = HeadsRecipe(findings=("high",), folds=folds)
    own = np.arange(len(inputs)).astype(np.str_)
    probes = [fit_probe(inputs, column, own, recipe) for column in high.T]
    return np.stack([asked @ probe.weight + probe.bias for probe in probes], axis=1)


def _few(inputs: Embeddings, high: NDArray[np.bool_], asked: Embeddings) -> Values:
    """Logits of probes that saw few films, half of them high: ``[subsets, M, markers]``."""
    generator = np.random.default_rng(1)
    each = max(2, round(FEW_LABELS * len(inputs) / 2))
    found = np.empty((SUBSETS, len(asked), len(MARKERS)))
    for subset in range(SUBSETS):
        for number, column in enumerate(high.T):
            rows = np.concatenate(
                [
                    generator.choice(np.flatnonzero(k), each, replace=False)
                    for k in (column, ~column)
                ]
            )
            weight, bias = fit_logistic(inputs[rows], column[rows], FEW_STRENGTH)
            found[subset, :, number] = asked @ weight + bias
    return found
