"""Means over films of something that is known of every film, with intervals over patients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pacx_evaluation.measurements import Measurement, ends
from pacx_evaluation.protocols.study import Study, patient_count
from pacx_evaluation.statistics.bootstrap import Values
from pacx_evaluation.statistics.calibration import mean


def mean_over_films(
    study: Study,
    values: Sequence[float] | Values,
    patients: NDArray[np.str_],
    *,
    protocol: str,
    subject: str,
    target: str,
    metric: str,
    undefined: str,
) -> Measurement:
    """One row.

    Args:
        study: How intervals are resampled.
        values: One a film, NaN where undefined; those films are left out.
        patients: str, one a film.
        protocol: See :class:`Measurement`, as for the three that follow.
        subject: Whose.
        target: Of what.
        metric: What.
        undefined: The reason where no film has a value.
    """
    defined = np.isfinite(values)
    kept, names = np.asarray(values, dtype=np.float64)[defined], patients[defined]
    found = None
    if len(kept):
        found = study.bootstrap.interval(mean(kept), np.zeros(len(kept), np.bool_), names)
    return Measurement(
        subject=subject,
        protocol=protocol,
        target=target,
        metric=metric,
        **ends(found),
        reason=None if found else undefined,
        films=len(kept),
        patients=patient_count(names),
    )
