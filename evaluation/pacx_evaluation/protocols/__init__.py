"""The protocols: each takes a study and answers with a section of the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pacx_evaluation.protocols import calibration, few_label, linear, subgroups
from pacx_evaluation.protocols.study import Drawing, Entrant, Outcome, Study

__all__ = ["PROTOCOLS", "Drawing", "Entrant", "Outcome", "Study"]

PROTOCOLS: Mapping[str, Callable[[Study], Outcome]] = {
    protocol.NAME: protocol.run for protocol in (linear, few_label, calibration, subgroups)
}
