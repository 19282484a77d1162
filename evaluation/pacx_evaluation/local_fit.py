"""A hospital's own temperatures, thresholds and prevalence, fitted on its labelled films."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import expit, logit

from pacx.bundle import Bundle
from pacx.errors import BenchmarkError
from pacx.manifest import FindingSpec, Manifest
from pacx_evaluation.benchmarks import Benchmark, Target
from pacx_evaluation.measurements import Frozen
from pacx_evaluation.statistics import calibration
from pacx_evaluation.statistics.discrimination import (
    MINIMUM_PATIENTS,
    MINIMUM_POSITIVES,
    threshold_at_false_positive_rate,
    threshold_at_sensitivity,
    too_few,
)
from pacx_training.heads import best_threshold, fit_scaling, fit_temperature

Values = NDArray[np.float64]
Labels = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """Where thresholds are put; without either, where sensitivity + specificity is greatest.

    Attributes:
        sensitivity: At least this share of the positive films is called positive.
        false_positive_rate: At most this share of the negative films is.

    Raises:
        BenchmarkError: Both are asked for, which one threshold cannot promise.
    """

    sensitivity: float | None = None
    false_positive_rate: float | None = None

    def __post_init__(self) -> None:
        """Refuse two aims."""
        if self.sensitivity is not None and self.false_positive_rate is not None:
            raise BenchmarkError("Aim at a sensitivity or at a false-positive rate, not at both.")

    def threshold(self, labels: Labels, probabilities: Values) -> float:
        """On the probabilities of the local films."""
        if self.sensitivity is not None:
            return threshold_at_sensitivity(labels, probabilities, self.sensitivity)
        if self.false_positive_rate is not None:
            rate = self.false_positive_rate
            return threshold_at_false_positive_rate(labels, probabilities, rate)
        return best_threshold(probabilities, labels)


class LocalFit(Frozen):
    """What was fitted for one finding, and what it mended on the local films."""

    label: str
    films: int
    positives: int
    local_prevalence: float
    training_positives: int | None = Field(description="Null where the bundle does not say.")
    training_films: int | None
    training_prevalence: float | None
    corrected_prevalence: float | None = Field(description="As stated; null: not corrected.")
    temperature_before: float
    temperature: float
    threshold_before: float
    threshold: float
    intercept: float = Field(description="Fitted log odds; 0 without a stated prevalence.")
    log_odds_shift: float = Field(description="Intercept and correction of the prior together.")
    mean_probability: float = Field(description="Of the local films, before the correction.")
    ece_before: float
    ece: float
    brier_before: float
    brier: float


def fit_finding(
    spec: FindingSpec,
    logits: Values,
    labels: Labels,
    aim: Aim,
    prevalence: float | None = None,
    training_films: int | None = None,
) -> LocalFit:
    """Fit one finding on local films.

    A temperature alone keeps the prior that the head learnt. Where a prevalence is stated, an
    intercept is fitted with it, so that the mean probability is the share of positives among the
    local films; log odds are then shifted from that share to the prevalence, likelihood ratios
    unchanged (Saerens et al. 2002). The threshold moves along: the same films stay positive.

    Args:
        spec: The finding as it is.
        logits: Of the bundle's head, ``[N]``.
        labels: Truth, ``[N]``.
        aim: Where to put the threshold.
        prevalence: Among the patients to come, or None to fit the temperature alone.
        training_films: That the head learnt the finding from, where known.
    """
    before, local = expit(logits / spec.temperature), float(labels.mean())
    if prevalence is None:
        temperature, intercept, prior = fit_temperature(logits, labels), 0.0, 0.0
    else:
        temperature, intercept = fit_scaling(logits, labels)
        prior = float(logit(prevalence) - logit(local))
    fitted = expit(logits / temperature + intercept)
    threshold = np.clip(aim.threshold(labels, fitted), 1e-9, 1 - 1e-9)
    return LocalFit(
        label=spec.label,
        films=len(labels),
        positives=int(labels.sum()),
        local_prevalence=local,
        training_positives=spec.training_positives,
        training_films=training_films,
        training_prevalence=_share(spec.training_positives, training_films),
        corrected_prevalence=prevalence,
        temperature_before=spec.temperature,
        temperature=temperature,
        threshold_before=spec.threshold,
        threshold=float(expit(logit(threshold) + prior)),
        intercept=intercept,
        log_odds_shift=intercept + prior,
        mean_probability=float(fitted.mean()),
        ece_before=calibration.expected_calibration_error(labels, before),
        ece=calibration.expected_calibration_error(labels, fitted),
        brier_before=_brier(labels, before),
        brier=_brier(labels, fitted),
    )


def training_films(manifest: Manifest, spec: FindingSpec) -> int | None:
    """From how many films a head learnt a finding; None where the bundle does not say.

    Bundles from before ``training_films`` was recorded say it of the source of their heads, where
    there is one for findings of that kind.
    """
    if spec.training_films is not None:
        return spec.training_films
    films = [
        source.films
        for source in manifest.provenance.sources
        if source.use.startswith("heads:") and source.simulated == spec.simulated
    ]
    return films[0] if len(films) == 1 else None


def _share(positives: int | None, films: int | None) -> float | None:
    return None if positives is None or films is None else positives / films


def fit_all(
    bundle: Bundle,
    logits: Values,
    benchmark: Benchmark,
    aim: Aim,
    prevalences: Mapping[str, float],
) -> tuple[LocalFit, ...]:
    """Fit every finding of a bundle that the local films have enough labels for.

    Args:
        bundle: To be calibrated.
        logits: Of all films, ``[N, C]``, in the order of the manifest's findings.
        benchmark: The local films.
        aim: Where to put thresholds.
        prevalences: Among the patients to come, by label.

    Raises:
        BenchmarkError: No finding has enough films, or what :func:`check_fittable` refuses.
    """
    check_fittable(bundle, benchmark, prevalences)
    targets = {target.label: target for target in benchmark.findings}
    fits = []
    for column, spec in enumerate(bundle.manifest.findings):
        found = _local(benchmark, targets.get(spec.label), logits[:, column])
        if found is not None:
            learnt = training_films(bundle.manifest, spec)
            fits.append(fit_finding(spec, *found, aim, prevalences.get(spec.label), learnt))
    if not fits:
        raise BenchmarkError(
            f"No finding of the bundle has {MINIMUM_POSITIVES} positive and {MINIMUM_POSITIVES} "
            f"negative films of {MINIMUM_PATIENTS} patients each here."
        )
    return tuple(fits)


def check_fittable(bundle: Bundle, benchmark: Benchmark, prevalences: Mapping[str, float]) -> None:
    """Refuse what can be known to be wrong before a film is read.

    Raises:
        BenchmarkError: No label is a finding of the bundle, films are labelled with classes that
            exclude each other, or a prevalence is none or for no finding.
    """
    known = {spec.label for spec in bundle.manifest.findings}
    labels = {target.label for target in benchmark.findings}
    listed = ", ".join(sorted(known)) or "none"
    if not known & labels:
        raise BenchmarkError(f"No label is a finding of the bundle; its findings are {listed}.")
    exclusive = _exclusive(bundle) & labels
    if exclusive:
        raise BenchmarkError(
            f"{', '.join(sorted(exclusive))} exclude each other and cannot be fitted one by one: "
            "name other labels."
        )
    if not set(prevalences) <= known or not all(0 < p < 1 for p in prevalences.values()):
        raise BenchmarkError(f"Prevalences lie between 0 and 1, for one of {listed}.")


def _exclusive(bundle: Bundle) -> set[str]:
    """Labels of classes of which a film has one, whose probabilities are no sigmoids."""
    heads = (head for head in bundle.manifest.heads if head.task == "multiclass")
    return {finding.label for head in heads for finding in head.findings}


def _local(
    benchmark: Benchmark, target: Target | None, logits: Values
) -> tuple[Values, Labels] | None:
    if target is None:
        return None
    usable = benchmark.usable(target)
    labels = benchmark.values(target)[usable] > 0
    patients = benchmark.cohort.patients[usable]
    return None if too_few(labels, patients) else (logits[usable], labels)


def _brier(labels: Labels, probabilities: Values) -> float:
    return float(np.mean((probabilities - labels) ** 2))
