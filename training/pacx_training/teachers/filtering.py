"""ECGFounder's filtering: mains notch, band-pass, median baseline, then one z-score a record."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, filtfilt, iirnotch, medfilt

NOTCH_HZ = 50.0
NOTCH_QUALITY = 30.0
BAND_HZ = (0.67, 40.0)
BAND_ORDER = 4
BASELINE_S = 0.4
"""Window of the median that is taken for the baseline."""


def filter_ecg(ecg: NDArray[np.floating], sampling_rate_hz: float = 500.0) -> NDArray[np.float32]:
    """Filter and standardise one record.

    Args:
        ecg: ``[leads, samples]`` in any unit.
        sampling_rate_hz: Above 100 Hz, so that the notch exists.

    Returns:
        float32 of the same shape; mean 0 and standard deviation 1 over all leads together, so
        that the leads keep their proportions.
    """
    clean = np.asarray(ecg, dtype=np.float64)
    notch = iirnotch(NOTCH_HZ, NOTCH_QUALITY, fs=sampling_rate_hz)
    band = butter(BAND_ORDER, BAND_HZ, btype="bandpass", fs=sampling_rate_hz)
    for numerator, denominator in (notch, band):
        clean = filtfilt(numerator, denominator, clean, axis=-1)
    clean = clean - baseline(clean, sampling_rate_hz)
    return np.asarray((clean - clean.mean()) / (clean.std() + 1e-8), dtype=np.float32)


def baseline(ecg: NDArray[np.float64], sampling_rate_hz: float) -> NDArray[np.float64]:
    """Return the running median of each lead, with zeros beyond the ends."""
    window = int(BASELINE_S * sampling_rate_hz) + 1
    window += 1 - window % 2
    return np.stack([medfilt(lead, window) for lead in ecg])
