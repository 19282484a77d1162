"""From logits to calibrated probabilities and decisions, and to values with intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pacx.errors import UnknownTarget
from pacx.manifest import FindingSpec, HeadSpec, Manifest, ValueSpec
from pacx.results import EstimatedValue, Finding


def read_findings(logits: NDArray[np.float32], manifest: Manifest) -> tuple[Finding, ...]:
    """Turn one row of logits into findings.

    Args:
        logits: float32 ``[C]``, in the order of ``manifest.labels``.
        manifest: Names, temperatures and thresholds.

    Returns:
        One per finding. Those of a multilabel head are independent (sigmoid); those of a
        multiclass head exclude each other (softmax).
    """
    findings: list[Finding] = []
    start = 0
    for head in (head for head in manifest.heads if head.findings):
        stop = start + len(head.findings)
        probabilities = _probabilities(logits[start:stop].astype(np.float64), head)
        findings += map(_decide, head.findings, probabilities)
        start = stop
    return tuple(findings)


def read_values(logits: NDArray[np.float32], manifest: Manifest) -> tuple[EstimatedValue, ...]:
    """Turn one row of logits into estimated values, in the order of ``manifest.values``.

    Args:
        logits: float32 ``[C]``, in the order of ``manifest.labels``.
        manifest: Units, scales and errors.
    """
    estimates = logits[len(manifest.findings) :].astype(np.float64).tolist()
    return tuple(map(_estimate, manifest.values, estimates))


def target_index(manifest: Manifest, label: str) -> int:
    """Column of ``logits`` that belongs to a label.

    Raises:
        UnknownTarget: The bundle has no such finding or value.
    """
    labels = manifest.labels
    if label not in labels:
        raise UnknownTarget(f"There is no such finding. Known ones: {', '.join(labels)}.")
    return labels.index(label)


def _probabilities(logits: NDArray[np.float64], head: HeadSpec) -> NDArray[np.float64]:
    scaled = logits / np.array([finding.temperature for finding in head.findings])
    if head.task == "multiclass":
        exponentials = np.exp(scaled - scaled.max())
        return np.asarray(exponentials / exponentials.sum())
    # tanh keeps the logistic function finite for every logit.
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * scaled)))


def _decide(spec: FindingSpec, probability: float) -> Finding:
    return Finding(
        label=spec.label,
        group=spec.group,
        probability=float(probability),
        threshold=spec.threshold,
        positive=bool(probability >= spec.threshold),
        calibrated=spec.calibrated,
        simulated=spec.simulated,
    )


def _estimate(spec: ValueSpec, logit: float) -> EstimatedValue:
    def decoded(standardised: float) -> float:
        learnt = spec.mean + spec.deviation * standardised
        return float(np.exp(learnt)) if spec.logarithm else learnt

    return EstimatedValue(
        label=spec.label,
        group=spec.group,
        value=decoded(logit),
        low=decoded(logit + spec.residuals[0]),
        high=decoded(logit + spec.residuals[1]),
        unit=spec.unit,
        simulated=spec.simulated,
    )
