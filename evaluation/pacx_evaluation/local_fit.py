"""A hospital's own temperatures, thresholds and prevalence, as a new version of a bundle."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from scipy.special import expit, logit

from pacx.bundle import HEADS, Bundle, open_bundle, staging, write_manifest
from pacx.errors import BenchmarkError
from pacx.manifest import FindingSpec, HeadSpec, Manifest, Source
from pacx_evaluation.benchmarks import Benchmark, Target
from pacx_evaluation.measurements import Frozen
from pacx_evaluation.statistics import calibration
from pacx_evaluation.statistics.discrimination import (
    threshold_at_false_positive_rate,
    threshold_at_sensitivity,
    too_few,
)
from pacx_training.heads import best_threshold, fit_temperature
from pacx_training.provenance import extended

Values = NDArray[np.float64]
Labels = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """Where thresholds are put; without either, where sensitivity + specificity is greatest.

    Attributes:
        sensitivity: At least this share of the positive films is called positive.
        false_positive_rate: At most this share of the negative films is.
    """

    sensitivity: float | None = None
    false_positive_rate: float | None = None

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
    corrected_prevalence: float | None
    temperature_before: float
    temperature: float
    threshold_before: float
    threshold: float
    log_odds_shift: float
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
) -> LocalFit:
    """Fit one finding on local films.

    The temperature is fitted on the films as they are. Where their prevalence is not that of the
    patients to come (selected films), log odds are then shifted to the prevalence that is given;
    the threshold moves along, so that the same films stay positive.

    Args:
        spec: The finding as it is.
        logits: Of the bundle's head, ``[N]``.
        labels: Truth, ``[N]``.
        aim: Where to put the threshold.
        prevalence: Among the patients to come, or None to leave probabilities as fitted.
    """
    before = expit(logits / spec.temperature)
    temperature = fit_temperature(logits, labels)
    fitted = expit(logits / temperature)
    local = float(labels.mean())
    shift = 0.0 if prevalence is None else float(logit(prevalence) - logit(local))
    threshold = float(expit(logit(np.clip(aim.threshold(labels, fitted), 1e-9, 1 - 1e-9)) + shift))
    return LocalFit(
        label=spec.label,
        films=len(labels),
        positives=int(labels.sum()),
        local_prevalence=local,
        corrected_prevalence=prevalence,
        temperature_before=spec.temperature,
        temperature=temperature,
        threshold_before=spec.threshold,
        threshold=threshold,
        log_odds_shift=shift,
        ece_before=calibration.expected_calibration_error(labels, before),
        ece=calibration.expected_calibration_error(labels, fitted),
        brier_before=_brier(labels, before),
        brier=_brier(labels, fitted),
    )


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
        BenchmarkError: No finding has enough films, or a prevalence is for no such finding.
    """
    specs = bundle.manifest.findings
    known = {spec.label for spec in specs}
    if not set(prevalences) <= known or not all(0 < p < 1 for p in prevalences.values()):
        raise BenchmarkError(
            f"Prevalences lie between 0 and 1, for one of {', '.join(sorted(known))}."
        )
    targets = {target.label: target for target in benchmark.findings}
    fits = []
    for column, spec in enumerate(specs):
        found = _local(benchmark, targets.get(spec.label), logits[:, column])
        if found is not None:
            fits.append(fit_finding(spec, *found, aim, prevalences.get(spec.label)))
    if not fits:
        raise BenchmarkError("No finding of the bundle has 10 positive and 10 negative films here.")
    return tuple(fits)


def write_calibrated(
    bundle: Bundle, fits: tuple[LocalFit, ...], benchmark: Benchmark, directory: Path, version: str
) -> Bundle:
    """Write the new version beside the old one, in one rename.

    Raises:
        BundleError: ``directory`` exists, or the result is no valid bundle.
    """
    by_label = {fit.label: fit for fit in fits}
    manifest = _calibrated(bundle.manifest, by_label, benchmark, version)
    with staging(directory) as folder:
        shutil.copytree(bundle.directory, folder, dirs_exist_ok=True)
        _shift(folder, bundle.manifest, by_label)
        facts = [fit.model_dump() for fit in fits]
        (folder / "calibration.json").write_text(json.dumps(facts, indent=2) + "\n")
        write_card(folder, manifest, fits)
        write_manifest(folder, manifest)
    return open_bundle(directory)


def write_card(folder: Path, manifest: Manifest, fits: tuple[LocalFit, ...]) -> None:
    """Replace ``README.md`` by a card that states the local fit."""
    from pacx_export.card import model_card

    lines = [f"- {_sentence(fit)}" for fit in fits]
    text = model_card(manifest) + "\n## Calibrated on local films\n\n" + "\n".join(lines) + "\n"
    (folder / "README.md").write_text(text, encoding="utf-8")


def _sentence(fit: LocalFit) -> str:
    prior = ""
    if fit.corrected_prevalence is not None:
        prior = f"; probabilities are for a prevalence of {fit.corrected_prevalence:.3f}"
    return (
        f"{fit.label}: {fit.positives} of {fit.films} films positive ({fit.local_prevalence:.3f}); "
        f"ECE {fit.ece_before:.3f} before, {fit.ece:.3f} after, on the same films{prior}."
    )


def _local(
    benchmark: Benchmark, target: Target | None, logits: Values
) -> tuple[Values, Labels] | None:
    if target is None:
        return None
    usable = benchmark.usable(target)
    labels = benchmark.values(target)[usable] > 0
    return None if too_few(labels) else (logits[usable], labels)


def _calibrated(
    manifest: Manifest, fits: Mapping[str, LocalFit], benchmark: Benchmark, version: str
) -> Manifest:
    heads = tuple(
        HeadSpec.model_validate(
            {**head.model_dump(), "findings": [_finding(f, fits) for f in head.findings]}
        )
        for head in manifest.heads
    )
    source = Source(
        name=benchmark.title,
        use="temperatures and thresholds",
        films=len(benchmark.cohort),
        patients=len(set(benchmark.cohort.patients.tolist())),
        licence="not stated",
        citation=benchmark.credit or "local films",
    )
    return manifest.model_copy(
        update={
            "version": version,
            "created": datetime.now(UTC).date().isoformat(),
            "heads": heads,
            "provenance": extended(manifest.provenance, "pacx calibrate", (source,)),
        }
    )


def _finding(spec: FindingSpec, fits: Mapping[str, LocalFit]) -> FindingSpec:
    fit = fits.get(spec.label)
    if fit is None:
        return spec
    fitted = {"temperature": fit.temperature, "threshold": fit.threshold, "calibrated": True}
    return spec.model_copy(update=fitted)


def _shift(folder: Path, manifest: Manifest, fits: Mapping[str, LocalFit]) -> None:
    """Move the biases of the heads, and the reference outputs that depend on them.

    A shift s of the log odds after division by the temperature T is a shift of s T of the logit.
    """
    shifts = [
        fits[f.label].log_odds_shift * fits[f.label].temperature if f.label in fits else 0.0
        for f in manifest.findings
    ]
    if not any(shifts):
        return
    _edit(folder / HEADS, _moved_biases(folder, manifest, shifts))
    reference = folder / manifest.reference.file
    tensors = load_file(reference)
    moved = {
        key: (value + np.array(shifts, np.float32)).astype(np.float32)
        for key, value in tensors.items()
        if key.endswith(".output.logits")
    }
    _edit(reference, moved)


def _moved_biases(
    folder: Path, manifest: Manifest, shifts: list[float]
) -> dict[str, NDArray[np.float32]]:
    tensors, moved, start = load_file(folder / HEADS), {}, 0
    for head in manifest.heads:
        key, stop = f"heads.{head.name}.bias", start + len(head.findings)
        moved[key] = tensors[key] + np.array(shifts[start:stop], dtype=np.float32)
        start = stop
    return moved


def _edit(path: Path, tensors: Mapping[str, NDArray[np.float32]]) -> None:
    """Replace tensors by others of the same shape; graphs that point into the file stay right."""
    size = path.stat().st_size
    with safe_open(path, framework="numpy") as opened:
        metadata = opened.metadata()
    save_file({**load_file(path), **tensors}, path, metadata=metadata)
    if path.stat().st_size != size:
        raise BenchmarkError(f"{path.name} was not written by safetensors and cannot be edited.")


def _brier(labels: Labels, probabilities: Values) -> float:
    return float(np.mean((probabilities - labels) ** 2))
