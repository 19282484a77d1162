"""From logits to calibrated probabilities and decisions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pacx.errors import UnknownTarget
from pacx.manifest import FindingSpec, HeadSpec, Manifest
from pacx.results import Finding


def read_findings(logits: NDArray[np.float32], manifest: Manifest) -> tuple[Finding, ...]:
    """Turn one row of logits into findings.

    Args:
        logits: float32 ``[C]``, in the order of ``manifest.findings``.
        manifest: Names, temperatures and thresholds.

    Returns:
        One finding per logit. Labels of a multilabel head are independent (sigmoid); those of
        a multiclass head exclude each other (softmax).
    """
    findings: list[Finding] = []
    start = 0
    for head in manifest.heads:
        stop = start + len(head.findings)
        probabilities = _probabilities(logits[start:stop].astype(np.float64), head)
        findings += map(_decide, head.findings, probabilities)
        start = stop
    return tuple(findings)


def target_index(manifest: Manifest, label: str) -> int:
    """Column of ``logits`` that belongs to a label.

    Raises:
        UnknownTarget: The bundle has no such finding.
    """
    labels = [finding.label for finding in manifest.findings]
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
