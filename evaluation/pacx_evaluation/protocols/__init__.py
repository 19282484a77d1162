"""The protocols: each takes a study and answers with a section of the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pacx_evaluation.protocols import (
    alignment,
    calibration,
    explanations,
    export_parity,
    few_label,
    finetune,
    linear,
    robustness,
    segmentation,
    speed,
    subgroups,
)
from pacx_evaluation.protocols.study import Drawing, Entrant, Outcome, Study

__all__ = ["PROTOCOLS", "Drawing", "Entrant", "Outcome", "Study"]

PROTOCOLS: Mapping[str, Callable[[Study], Outcome]] = {
    linear.NAME: linear.run,
    few_label.NAME: few_label.run,
    finetune.NAME: finetune.run,
    segmentation.NAME: segmentation.run,
    calibration.NAME: calibration.run,
    subgroups.NAME: subgroups.run,
    alignment.NAME: alignment.run,
    robustness.NAME: robustness.run,
    export_parity.NAME: export_parity.run,
    explanations.NAME: explanations.run,
    speed.NAME: speed.run,
}
