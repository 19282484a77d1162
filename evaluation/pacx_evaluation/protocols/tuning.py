"""Encoders that are trained further on a benchmark: the fits behind ``finetune``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.model_selection import GroupShuffleSplit

from pacx.errors import BenchmarkError
from pacx.preprocessing import PreprocessingSpec
from pacx_evaluation.benchmarks import Benchmark, Target
from pacx_evaluation.protocols.design import Round, Rows, rounds
from pacx_evaluation.protocols.requirements import weights_of
from pacx_evaluation.protocols.study import Entrant, Study, TuningPlan
from pacx_evaluation.statistics.bootstrap import Values
from pacx_evaluation.statistics.discrimination import too_few
from pacx_training.cohorts.cache import CachedFilms, FilmCache
from pacx_training.encoder import VisionTransformer
from pacx_training.finetuning import LabelledFilms, fine_tune, predict
from pacx_training.heads import best_threshold, fit_temperature
from pacx_training.runs import RunDirectory

CHOOSING_SHARE = 0.2
"""Of the patients, where a benchmark has no split to choose on."""

Predicted: TypeAlias = tuple[Values, Values]
"""Logits ``[n, C]`` of films to choose on and of reported films."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TunedScores:
    """What fine-tuned encoders say about one finding; ``M`` reported films, ``S`` seeds.

    Attributes:
        target: The finding.
        rows: Places in the cohort ``[M]``.
        labels: Truth ``[M]``.
        patients: One name per patient ``[M]``.
        logits: Uncalibrated ``[S, M]``.
        probabilities: After temperature scaling ``[S, M]``.
        decisions: At the chosen threshold ``[S, M]``.
        reason: Why nothing is reported.
    """

    target: Target
    rows: Rows
    labels: NDArray[np.bool_]
    patients: NDArray[np.str_]
    logits: Values
    probabilities: Values
    decisions: NDArray[np.bool_]
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tuned:
    """One subject, fine-tuned: its scores by finding, and the learning rate of every fit."""

    scores: tuple[TunedScores, ...]
    learning_rates: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Fit:
    """One round with all its seeds: logits ``[S, n, C]`` of what is chosen on and reported."""

    choose: Rows
    report: Rows
    chosen_on: Values
    reported: Values
    learning_rate: float


def network_of(entrant: Entrant, what: str) -> VisionTransformer:
    """A copy of a subject's encoder in torch.

    Raises:
        SubjectError: It has none, as ONNX files and servers.
    """
    return weights_of(entrant.encoder, what).network()


def tune(study: Study, entrant: Entrant, cache: Path) -> Tuned:
    """Fine-tune one subject on all findings together, once per seed.

    Args:
        study: Films and plan.
        entrant: The subject; it stays as it is.
        cache: Folder for prepared films.

    Raises:
        SubjectError: The subject has no weights in torch.
        BenchmarkError: The benchmark has no findings, or too few patients.
    """
    benchmark = study.benchmark
    targets = _targets(benchmark)
    spec = weights_of(entrant.encoder, "fine-tuning").spec
    films = FilmCache(cache, spec).films(benchmark.cohort.paths)
    usable = np.asarray(np.isfinite(targets).any(axis=1))
    fits = [
        _fit_round(study, entrant, (films, targets, spec), r)
        for r in rounds(benchmark, usable, None, study.seed)
    ]
    return Tuned(
        scores=tuple(
            _scores(benchmark, target, targets[:, column], column, fits)
            for column, target in enumerate(benchmark.findings)
        ),
        learning_rates=tuple(fit.learning_rate for fit in fits),
    )


def _targets(benchmark: Benchmark) -> NDArray[np.float32]:
    """All findings ``[N, C]``; NaN where a question cannot be asked."""
    if not benchmark.findings:
        raise BenchmarkError(f"{benchmark.title} has no findings to fine-tune on.")
    columns = [
        np.where(benchmark.usable(target), benchmark.values(target), np.nan)
        for target in benchmark.findings
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def _fit_round(
    study: Study,
    entrant: Entrant,
    data: tuple[CachedFilms, NDArray[np.float32], PreprocessingSpec],
    r: Round,
) -> _Fit:
    films, targets, spec = data
    fit, choose = _sides(study.benchmark, r, study.seed)
    source = LabelledFilms(films=films, targets=targets, rows=fit, spec=spec)

    def predictions(learning_rate: float, seed: int) -> Predicted:
        network = network_of(entrant, "fine-tuning")
        with TemporaryDirectory() as folder:
            model = fine_tune(
                network,
                source,
                study.tuning.recipe,
                RunDirectory(Path(folder)),
                learning_rate=learning_rate,
                seed=study.seed + seed,
            )
        return predict(model, source, choose), predict(model, source, r.report)

    best, first = _chosen(predictions, study.tuning, targets[choose])
    found = [first, *(predictions(best, seed) for seed in range(1, study.tuning.seeds))]
    chosen_on, reported = (np.stack(part) for part in zip(*found, strict=True))
    return _Fit(
        choose=choose,
        report=r.report,
        chosen_on=chosen_on,
        reported=reported,
        learning_rate=best,
    )


def _sides(benchmark: Benchmark, r: Round, seed: int) -> tuple[Rows, Rows]:
    """Films to fit on and films to choose on, which share no patient."""
    if r.choose is not None and len(r.choose):
        return r.fit, r.choose
    patients = benchmark.cohort.patients[r.fit]
    if len(np.unique(patients)) < 2:
        raise BenchmarkError(f"{benchmark.title} has too few patients to fine-tune on.")
    split = GroupShuffleSplit(1, test_size=CHOOSING_SHARE, random_state=seed)
    fit, choose = next(split.split(r.fit, groups=patients))
    return r.fit[fit], r.fit[choose]


def _chosen(
    predictions: Callable[[float, int], Predicted],
    plan: TuningPlan,
    targets: NDArray[np.float32],
) -> tuple[float, Predicted]:
    """The learning rate with the least log loss on the films to choose on, with seed 0."""
    tried = [predictions(learning_rate, 0) for learning_rate in plan.learning_rates]
    losses = [_log_loss(logits, targets) for logits, _ in tried]
    best = int(np.argmin(losses))
    return plan.learning_rates[best], tried[best]


def _log_loss(logits: Values, targets: NDArray[np.float32]) -> float:
    """Mean over what is known, in nats; ``[n, C]`` each."""
    losses = np.logaddexp(0, logits) - np.nan_to_num(targets) * logits
    return float(losses[np.isfinite(targets)].mean())


def _scores(
    benchmark: Benchmark,
    target: Target,
    values: NDArray[np.float32],
    column: int,
    fits: Sequence[_Fit],
) -> TunedScores:
    """One finding of all rounds, each calibrated on the films that it was chosen on."""
    parts = [_calibrated(fit, values, column) for fit in fits]
    rows, logits, probabilities, decisions = (
        np.concatenate(part, axis=-1) for part in zip(*parts, strict=True)
    )
    labels, patients = values[rows] > 0, benchmark.cohort.patients[rows]
    return TunedScores(
        target=target,
        rows=rows,
        labels=labels,
        patients=patients,
        logits=logits,
        probabilities=probabilities,
        decisions=decisions,
        reason=too_few(labels, patients),
    )


def _calibrated(
    fit: _Fit, values: NDArray[np.float32], column: int
) -> tuple[Rows, Values, Values, NDArray[np.bool_]]:
    """Rows ``[m]``, and logits, probabilities and decisions ``[S, m]`` of one finding."""
    known = np.isfinite(values[fit.report])
    seen = np.isfinite(values[fit.choose])
    truth = values[fit.choose[seen]] > 0
    logits = fit.reported[:, known, column]
    scaled = [
        _decide(mine, held, truth)
        for mine, held in zip(logits, fit.chosen_on[:, seen, column], strict=True)
    ]
    probabilities, decisions = (np.stack(part) for part in zip(*scaled, strict=True))
    return fit.report[known], logits, probabilities, decisions


def _decide(
    logits: Values, held: Values, truth: NDArray[np.bool_]
) -> tuple[Values, NDArray[np.bool_]]:
    """Calibrate on held-out logits; without both kinds among them there is nothing to choose."""
    if truth.all() or not truth.any():
        return np.asarray(expit(logits)), logits >= 0
    temperature = fit_temperature(held, truth)
    probabilities = np.asarray(expit(logits / temperature))
    return probabilities, probabilities >= best_threshold(expit(held / temperature), truth)
