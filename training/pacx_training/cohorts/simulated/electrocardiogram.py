"""From a latent state to twelve leads, 10 s at 500 Hz, through neurokit2's ECGSYN.

ECGSYN (McSharry et al., IEEE TBME 2003) is linear in the amplitudes of its five waves, but
``ecg_simulate(method="multileads")`` rescales every lead to the same range, so that voltage and
axis are lost. The waves are therefore simulated one by one, once for each heart rate (cached), and
summed into leads with amplitudes in millivolts. The limb leads are projections
of one frontal heart vector, so that Einthoven's and Goldberger's laws hold exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pacx_training.cohorts.simulated.films import is_paced
from pacx_training.cohorts.simulated.physiology import Physiology

Vector = NDArray[np.float64]
Rhythm = Literal["sinus", "atrial_fibrillation", "paced"]

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
SAMPLING_RATE_HZ = 500
DURATION_S = 10
WAVES = ("P", "Q", "R", "S", "T")
ECGSYN_QRS_WIDTH_MS = 90.0
"""Of the complex that ECGSYN's published defaults draw at 60 beats per minute."""
R_POSITION = 0.45
"""Where the R peak lies within a cycle that starts before P."""

CHEST_MV = np.array(
    # P     Q      R     S      T     in V1-V6; R grows and S shrinks towards the left (Macfarlane,
    [  #                               Comprehensive Electrocardiology: normal limits, rounded)
        [0.05, 0.0, 0.25, -0.95, 0.05],
        [0.07, 0.0, 0.50, -1.35, 0.45],
        [0.07, 0.0, 0.85, -0.95, 0.45],
        [0.07, -0.03, 1.45, -0.55, 0.40],
        [0.07, -0.06, 1.50, -0.25, 0.35],
        [0.07, -0.06, 1.20, -0.10, 0.25],
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartBeat:
    """What determines one simulated electrocardiogram.

    Attributes:
        rhythm: Sinus, atrial fibrillation (irregular, no P) or ventricular pacing.
        rate_bpm: Mean rate in beats per minute.
        axis_degrees: Frontal axis of the QRS complex.
        voltage: Amplitude of the QRS complex relative to normal.
        qrs_width_ms: Duration of the QRS complex.
        p_mv: Amplitude of the P wave in lead II.
        t_gain: Height of the T wave relative to normal; negative where inverted.
    """

    rhythm: Rhythm
    rate_bpm: float
    axis_degrees: float
    voltage: float
    qrs_width_ms: float
    p_mv: float
    t_gain: float


def draw_heart_beat(physiology: Physiology, generator: np.random.Generator) -> HeartBeat:
    """Tie the electrocardiogram to the latent state.

    Hypertension raises voltage and turns the axis to the left; emphysema, fluid and a stiff old
    heart do the opposite; failing and scarred hearts conduct slowly; ischaemia flattens and
    inverts T, potassium makes it tall (Surawicz & Knilans, Chou's Electrocardiography). Sizes are
    assumptions.
    """
    score, noise = physiology.score, generator.normal
    paced = is_paced(physiology)
    fibrillating = score("atrial_fibrillation") > 1.0
    rate = 78 + 8 * score("inflammation") + 5 * score("anaemia") + 4 * score("heart_failure")
    rate += 14 if fibrillating else 0
    width = 94 + 14 * score("conduction_delay") + 4 * score("potassium") + noise(0, 4)
    voltage = 0.18 * score("hypertension") - 0.10 * score("effusion") - 0.12 * score("emphysema")
    axis = 35 - 18 * score("hypertension") + 22 * score("emphysema") - 10 * score("age")
    t_gain = 1 - 0.55 * max(score("coronary_disease"), 0) + 0.45 * max(score("potassium"), 0)
    return HeartBeat(
        rhythm="paced" if paced else "atrial_fibrillation" if fibrillating else "sinus",
        rate_bpm=70.0 if paced else float(np.clip(rate + noise(0, 6), 45, 160)),
        axis_degrees=-70.0 if paced else float(np.clip(axis + noise(0, 12), -85, 130)),
        voltage=float(np.exp(np.clip(voltage + noise(0, 0.08), -0.9, 0.9))),
        qrs_width_ms=160.0 if paced else float(np.clip(width, 76, 170)),
        p_mv=float(np.clip(0.12 + 0.03 * score("emphysema"), 0.06, 0.25)),
        t_gain=float(np.clip(t_gain + noise(0, 0.1), -0.8, 2.2)),
    )


def draw_electrocardiogram(beat: HeartBeat, generator: np.random.Generator) -> NDArray[np.float32]:
    """Record ten seconds.

    Returns:
        float32 ``[12, 5000]`` in millivolts, leads as in :data:`LEADS`.
    """
    waves = _train(beat, generator)
    frontal = _frontal_mv(beat) @ waves + _disturbance(generator, 2)
    if beat.rhythm == "atrial_fibrillation":
        frontal += np.array([[0.02], [0.05]]) * _fibrillation(generator)
    lead_one, foot = frontal
    two, three = foot + lead_one / 2, foot - lead_one / 2
    chest = _chest_mv(beat) @ waves + _disturbance(generator, 6)
    limb = [lead_one, two, three, -(lead_one + two) / 2, (lead_one - three) / 2, foot]
    return np.vstack([*limb, chest]).astype(np.float32)


def _frontal_mv(beat: HeartBeat) -> Vector:
    """Amplitudes ``[I and aVF, waves]`` of the frontal heart vector."""
    amplitude = np.array([beat.p_mv, -0.08, 1.05 * beat.voltage, -0.18, 0.27 * beat.t_gain])
    amplitude[[1, 3]] *= beat.voltage
    if beat.rhythm != "sinus":
        amplitude[0] = 0.0
    angle = np.deg2rad([60.0, beat.axis_degrees, beat.axis_degrees, beat.axis_degrees, 40.0])
    return np.vstack([amplitude * np.cos(angle), amplitude * np.sin(angle)])


def _chest_mv(beat: HeartBeat) -> Vector:
    amplitude = CHEST_MV.copy()
    amplitude[:, 1:4] *= beat.voltage
    amplitude[:, 4] *= beat.t_gain
    amplitude[:, 0] *= beat.p_mv / 0.12 if beat.rhythm == "sinus" else 0.0
    return amplitude


def _train(beat: HeartBeat, generator: np.random.Generator) -> Vector:
    """Lay the five waves of every beat on the time axis: ``[waves, samples]``, peaks of 1."""
    samples = SAMPLING_RATE_HZ * DURATION_S
    template = beat_template(beat)
    before, length = int(R_POSITION * template.shape[1]), template.shape[1]
    train = np.zeros((len(WAVES), samples + 2 * length))
    for r_peak in _r_peaks(beat, generator):
        start = r_peak - before + length
        train[:, start : start + length] += template
    return train[:, length : length + samples]


def _r_peaks(beat: HeartBeat, generator: np.random.Generator) -> list[int]:
    """Draw the samples of the R peaks: breathing in sinus rhythm, no order in fibrillation."""
    spread = {"sinus": 0.03, "atrial_fibrillation": 0.20, "paced": 0.002}[beat.rhythm]
    mean = 60 / beat.rate_bpm * SAMPLING_RATE_HZ
    peaks, at = [], float(generator.uniform(0, mean))
    while at < SAMPLING_RATE_HZ * DURATION_S:
        peaks.append(round(at))
        at += mean * float(np.clip(generator.normal(1, spread), 0.6, 1.6))
    return peaks


def beat_template(beat: HeartBeat) -> Vector:
    """Return one cycle ``[waves, samples]`` with Q, R and S as wide as the beat's QRS complex.

    In ECGSYN the place and width of a wave are angles, so that stretching the time around R is
    the same as simulating with wider waves.
    """
    template = wave_templates(5 * round(beat.rate_bpm / 5)).copy()
    stretch = beat.qrs_width_ms / ECGSYN_QRS_WIDTH_MS
    time = np.arange(template.shape[1]) - int(R_POSITION * template.shape[1])
    for wave in range(1, 4):
        template[wave] = np.interp(time / stretch, time, template[wave])
    return template


@lru_cache(maxsize=64)
def wave_templates(rate_bpm: int) -> Vector:
    """Simulate one beat, wave by wave, with neurokit2.

    Returns:
        ``[waves, samples]`` of one cycle, each wave from 0 to 1, R at :data:`R_POSITION`.
    """
    cycle = round(60 / rate_bpm * SAMPLING_RATE_HZ)
    trains = [_ecgsyn(wave, rate_bpm) for wave in range(len(WAVES))]
    r_peak = 2 * cycle + int(np.argmax(trains[2][2 * cycle : 3 * cycle]))
    start = r_peak - int(R_POSITION * cycle)
    return np.vstack([_isolated(train[start : start + cycle]) for train in trains])


def _ecgsyn(wave: int, rate_bpm: int) -> Vector:
    import neurokit2

    amplitudes = np.zeros(len(WAVES))
    # Only proportions count: neurokit2 scales the result, and _isolated undoes that.
    amplitudes[wave] = 100.0
    signal = neurokit2.ecg_simulate(
        duration=DURATION_S,
        sampling_rate=SAMPLING_RATE_HZ,
        heart_rate=rate_bpm,
        heart_rate_std=0.01,
        noise=0,
        ai=amplitudes,
        random_state=0,
    )
    return np.asarray(signal, dtype=np.float64)


def _isolated(cycle: Vector) -> Vector:
    """Take away ECGSYN's slow drift and scale the wave to a peak of 1."""
    lifted = np.clip(cycle - np.linspace(cycle[0], cycle[-1], len(cycle)), 0, None)
    return np.asarray(lifted / lifted.max())


def _disturbance(generator: np.random.Generator, leads: int) -> Vector:
    """Muscle noise of 10 microvolts and a baseline that wanders with the breath."""
    time_s = np.arange(SAMPLING_RATE_HZ * DURATION_S) / SAMPLING_RATE_HZ
    rate_hz, phase = generator.uniform(0.15, 0.35), generator.uniform(0, 2 * np.pi, (leads, 1))
    depth = generator.uniform(0, 0.08, (leads, 1))
    wander = depth * np.sin(2 * np.pi * rate_hz * time_s + phase)
    return np.asarray(wander + 0.01 * generator.standard_normal((leads, len(time_s))))


def _fibrillation(generator: np.random.Generator) -> Vector:
    """Fibrillatory waves of 4-9 Hz with an amplitude of 1."""
    time_s = np.arange(SAMPLING_RATE_HZ * DURATION_S) / SAMPLING_RATE_HZ
    rates_hz, phases = generator.uniform(4, 9, (4, 1)), generator.uniform(0, 2 * np.pi, (4, 1))
    return np.asarray(np.sin(2 * np.pi * rates_hz * time_s + phases).sum(axis=0) / 2)
