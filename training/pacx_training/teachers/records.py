"""Electrocardiograms from WFDB files, and the order of leads that our encoders expect."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import wfdb
from numpy.typing import NDArray
from scipy.signal import resample_poly

from pacx.errors import CohortError

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
SAMPLING_RATE_HZ = 500
SAMPLES = 5000
_MILLIVOLTS = {"mv": 1.0, "uv": 1e-3, "v": 1e3}
"""By unit in lower case: published records write mV and mv."""


def read_wfdb(path: Path) -> NDArray[np.float32]:
    """Read one record as twelve leads of ten seconds.

    Args:
        path: Of the header, with or without ``.hea``.

    Returns:
        float32 ``[12, 5000]`` in millivolts at 500 Hz, leads as in :data:`LEADS`; gaps are 0,
        longer records are cut, shorter ones end in zeros.

    Raises:
        CohortError: Not a readable record, a lead is missing, or a unit is unknown; names the file.
    """
    record = path.with_suffix("") if path.suffix == ".hea" else path
    try:
        signals, facts = wfdb.rdsamp(str(record))
    except (OSError, ValueError, IndexError) as error:
        raise CohortError(
            f"The record {path} cannot be read: its header or its signal file is missing or bad."
        ) from error
    units = [unit.lower() for unit in facts["units"]]
    if any(unit not in _MILLIVOLTS for unit in units):
        raise CohortError(f"The record {path} is not in V, mV or uV.")
    scale = np.asarray([_MILLIVOLTS[unit] for unit in units])
    order = lead_order(facts["sig_name"], f"The record {path}")
    return fitted(np.nan_to_num(np.asarray(signals) * scale).T[order], float(facts["fs"]))


def lead_order(names: Sequence[str], record: str = "An electrocardiogram") -> list[int]:
    """Return where each of :data:`LEADS` stands among ``names``, whatever their case.

    Args:
        names: Of a record's leads, in its order.
        record: What errors call it.

    Raises:
        CohortError: One is missing.
    """
    found = {name.lower(): position for position, name in enumerate(names)}
    missing = [lead for lead in LEADS if lead.lower() not in found]
    if missing:
        raise CohortError(f"{record} has no lead {', '.join(missing)}.")
    return [found[lead.lower()] for lead in LEADS]


def fitted(leads: NDArray[np.floating], rate_hz: float) -> NDArray[np.float32]:
    """Resample ``[12, n]`` to 500 Hz and cut or fill it to ten seconds."""
    if rate_hz != SAMPLING_RATE_HZ:
        ratio = Fraction(SAMPLING_RATE_HZ / rate_hz).limit_denominator(1000)
        leads = resample_poly(leads, ratio.numerator, ratio.denominator, axis=-1)
    record = np.zeros((len(LEADS), SAMPLES), dtype=np.float32)
    length = min(SAMPLES, leads.shape[-1])
    record[:, :length] = leads[:, :length]
    return record
