"""How far two answers are apart, and how far they may be: one table for everybody.

Every measure is a distance per image: 0 means the same, and a larger number is worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pacx.engines.protocol import Precision, Tensor
from pacx.findings import read_findings
from pacx.manifest import Manifest

Measure = Literal["cosine", "probability", "correlation", "scale", "overlap"]
Distances = NDArray[np.float64]

MEASURES: Mapping[str, tuple[Measure, ...]] = {
    "embedding": ("cosine", "scale"),
    "tokens": ("cosine", "scale"),
    "logits": ("probability",),
    "rollout": ("correlation", "scale"),
    "last_layer": ("correlation", "scale"),
    "relevance": ("correlation", "scale"),
    "input_gradient": ("correlation", "scale"),
    "masks": ("overlap",),
}
"""Which measures apply to which output."""

CONSTANT_SPREAD = 1e-6
"""A map is constant when its range is below this share of its largest absolute value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The largest distance at which an engine may still be offered.

    Attributes:
        cosine: 1 - cosine of embeddings and tokens.
        probability: Largest difference of a probability, or of a value in standard deviations.
        rollout: 1 - correlation of the rollout.
        last_layer: 1 - correlation of the last block's attention.
        relevance: 1 - correlation of class-specific relevance.
        input_gradient: 1 - correlation of the input gradient.
        overlap: 1 - intersection over union of the pixels where a mask's logit is positive.
        scale: Relative difference of the Euclidean norms of any output but logits.
        decisions: Share of decisions (image x finding) that may differ.
    """

    cosine: float
    probability: float
    rollout: float
    last_layer: float
    relevance: float
    input_gradient: float
    overlap: float
    scale: float
    decisions: float

    def of(self, output: str, measure: Measure) -> float:
        """The limit of one measure of one output."""
        return float(getattr(self, output if measure == "correlation" else measure))


LIMITS: Mapping[Precision, Limits] = {
    "f32": Limits(
        cosine=1e-6,
        probability=1e-5,
        rollout=1e-6,
        last_layer=1e-6,
        relevance=1e-5,
        input_gradient=1e-5,
        overlap=0.005,
        scale=1e-4,
        decisions=0.005,
    ),
    "bf16": Limits(
        cosine=1e-4,
        probability=0.02,
        rollout=0.02,
        last_layer=0.005,
        relevance=0.02,
        input_gradient=0.02,
        overlap=0.05,
        scale=0.02,
        decisions=0.01,
    ),
    "f16": Limits(
        cosine=1e-5,
        probability=0.005,
        rollout=1e-3,
        last_layer=1e-3,
        relevance=5e-3,
        input_gradient=5e-3,
        overlap=0.03,
        scale=0.005,
        decisions=0.005,
    ),
    "int8": Limits(
        cosine=5e-3,
        probability=0.05,
        rollout=0.02,
        last_layer=0.02,
        relevance=0.02,
        input_gradient=0.02,
        overlap=0.05,
        scale=0.02,
        decisions=0.005,
    ),
}
"""Tolerances per precision."""


def distances(
    output: str, actual: Tensor, expected: Tensor, manifest: Manifest
) -> dict[Measure, Distances]:
    """Compare one output of a graph, image by image.

    Args:
        output: Its name, one of ``MEASURES``.
        actual: float32 ``[N, ...]``, what an engine answers.
        expected: The same shape, what torch answered in float32.
        manifest: For the temperatures that turn logits into probabilities.

    Returns:
        A distance per image, float64 ``[N]``, for every measure of that output.
    """
    functions = {
        "cosine": _cosine,
        "correlation": _correlation,
        "scale": _scale,
        "overlap": _overlap,
    }
    left, right = (array.reshape(len(array), -1).astype(np.float64) for array in (actual, expected))
    if output == "logits":
        difference = _readings(actual, manifest) - _readings(expected, manifest)
        return {"probability": np.abs(difference).max(axis=1)}
    return {measure: functions[measure](left, right) for measure in MEASURES[output]}


def _readings(logits: Tensor, manifest: Manifest) -> Distances:
    """Probabilities, then values in standard deviations: float64 ``[N, C]``."""
    values = logits[:, len(manifest.findings) :].astype(np.float64)
    return np.concatenate([probabilities(logits, manifest), values], axis=1)


def probabilities(logits: Tensor, manifest: Manifest) -> Distances:
    """Turn logits ``[N, C]`` into calibrated probabilities of the findings, float64 ``[N, F]``."""
    rows = [read_findings(row, manifest) for row in logits]
    return np.array([[finding.probability for finding in row] for row in rows])


def decisions(logits: Tensor, manifest: Manifest) -> NDArray[np.bool_]:
    """Turn logits ``[N, C]`` into the answers positive or not, ``[N, F]``."""
    rows = [read_findings(row, manifest) for row in logits]
    return np.array([[finding.positive for finding in row] for row in rows])


def _cosine(left: Distances, right: Distances) -> Distances:
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    products = (left * right).sum(axis=1)
    same = (left == right).all(axis=1)
    cosines = np.divide(products, norms, out=np.zeros(len(left)), where=norms > 0)
    return np.asarray(1 - np.where(same, 1, cosines))


def _correlation(left: Distances, right: Distances) -> Distances:
    """1 - Pearson's correlation; of two constant maps it is 0, of one constant map 1."""
    constant = _constant(left).astype(int) + _constant(right)
    centred = [array - array.mean(axis=1, keepdims=True) for array in (left, right)]
    return np.select([constant == 2, constant == 1], [0.0, 1.0], _cosine(*centred))


def _constant(maps: Distances) -> NDArray[np.bool_]:
    spread = maps.max(axis=1) - maps.min(axis=1)
    return np.asarray(spread <= CONSTANT_SPREAD * np.abs(maps).max(axis=1))


def _overlap(left: Distances, right: Distances) -> Distances:
    """1 - intersection over union of what is positive; 0 where nothing is, 1 of no numbers."""
    union = ((left > 0) | (right > 0)).sum(axis=1)
    common = ((left > 0) & (right > 0)).sum(axis=1)
    distance = np.where(union == 0, 0, 1 - common / np.maximum(union, 1))
    return np.asarray(np.where(np.isfinite(left).all(axis=1), distance, 1))


def _scale(left: Distances, right: Distances) -> Distances:
    norms = np.linalg.norm(left, axis=1), np.linalg.norm(right, axis=1)
    difference = np.abs(norms[0] - norms[1])
    relative = np.divide(difference, norms[1], out=np.full(len(left), np.inf), where=norms[1] > 0)
    return np.asarray(np.where(difference == 0, 0, relative))
