"""The latent state of a simulated patient: fourteen correlated scores, each standard normal.

The scores follow a linear structural model, ``x = sum(effect * cause) + noise``, whose noise is
chosen so that every score keeps unit variance. Directions of the effects are textbook physiology
(Guyton & Hall, Medical Physiology; ESC guideline on heart failure 2021; KDIGO guideline on chronic
kidney disease 2024); their sizes are assumptions, set so that an illness explains a moderate share
of its consequences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
State = Literal[
    "age",
    "hypertension",
    "coronary_disease",
    "inflammation",
    "emphysema",
    "renal_dysfunction",
    "heart_failure",
    "atrial_fibrillation",
    "anaemia",
    "congestion",
    "effusion",
    "conduction_delay",
    "potassium",
    "liver_dysfunction",
]
STATES: tuple[State, ...] = get_args(State)

EFFECTS: Mapping[State, Mapping[State, float]] = MappingProxyType(
    {
        "age": {},
        "hypertension": {"age": 0.40},
        "coronary_disease": {"age": 0.35, "hypertension": 0.25},
        "inflammation": {},
        "emphysema": {"age": 0.25},
        "renal_dysfunction": {"age": 0.25, "hypertension": 0.30},
        "heart_failure": {"age": 0.20, "hypertension": 0.30, "coronary_disease": 0.35},
        "atrial_fibrillation": {"age": 0.25, "heart_failure": 0.45},
        "anaemia": {"renal_dysfunction": 0.45, "inflammation": 0.20},
        "congestion": {"heart_failure": 0.60, "renal_dysfunction": 0.30},
        "effusion": {"congestion": 0.45, "inflammation": 0.25},
        "conduction_delay": {"heart_failure": 0.45, "coronary_disease": 0.20},
        "potassium": {"renal_dysfunction": 0.60},
        "liver_dysfunction": {"inflammation": 0.25, "congestion": 0.20},
    }
)
"""Causes of every score and the size of their effect; causes come before their consequences."""

MEAN_AGE_YEARS = 60.0
"""Of adult inpatients, where the score ``age`` is 0 (assumption)."""
AGE_DEVIATION_YEARS = 17.0
"""Of one score (assumption)."""
AGE_NOISE_YEARS = 4.0
"""How far a body may be older or younger than its years (assumption)."""


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """The structural model in matrix form.

    Attributes:
        covariance: ``[states, states]``, with ones on the diagonal.
        noise: ``[states]``, standard deviation of each score's own part.
    """

    covariance: Vector
    noise: Vector


@cache
def structure() -> Structure:
    """Return covariance and noise that follow from :data:`EFFECTS`."""
    count = len(STATES)
    covariance, noise = np.zeros((count, count)), np.zeros(count)
    for row, state in enumerate(STATES):
        effects = effects_on(state)
        shared = covariance @ effects
        noise[row] = np.sqrt(1 - effects @ shared)
        covariance[row, :], covariance[:, row] = shared, shared
        covariance[row, row] = 1.0
    return Structure(covariance, noise)


def effects_on(state: State) -> Vector:
    """Return the direct effects ``[states]`` on one score."""
    return np.asarray([EFFECTS[state].get(cause, 0.0) for cause in STATES])


@dataclass(frozen=True, slots=True)
class Physiology:
    """One simulated patient.

    Attributes:
        scores: In the order of :data:`STATES`; 0 is an average inpatient, 2 is very ill.
    """

    scores: tuple[float, ...]

    def score(self, state: State) -> float:
        """Return one latent score."""
        return self.scores[STATES.index(state)]

    def severity(self, state: State, *, onset: float = 0.5, span: float = 2.0) -> float:
        """Return how ill somebody is: 0 below ``onset``, 1 from ``onset + span`` on."""
        return float(np.clip((self.score(state) - onset) / span, 0.0, 1.0))


def draw_physiology(generator: np.random.Generator) -> Physiology:
    """Draw one patient from the structural model."""
    return Physiology(tuple(map(float, draw_scores(generator, 1)[0])))


def draw_scores(generator: np.random.Generator, count: int) -> Vector:
    """Draw ``[count, states]`` scores from the structural model."""
    scores = generator.standard_normal((count, len(STATES))) * structure().noise
    for row, state in enumerate(STATES):
        scores[:, row] += scores @ effects_on(state)
    return scores


@dataclass(frozen=True, slots=True, kw_only=True)
class RadiographFacts:
    """What is known from a real radiograph; None where it is not.

    Attributes:
        cardiothoracic_ratio: Measured width of heart over chest.
        heart_share: Area of the heart over that of heart and lungs, in standard deviations from
            the cohort's median.
        age_years: Age of the patient.
        congestion: Whether oedema or congestion was labelled.
        effusion: Whether a pleural effusion was labelled.
        consolidation: Whether pneumonia, infiltration or consolidation was labelled.
        emphysema: Whether emphysema was labelled.
    """

    cardiothoracic_ratio: float | None = None
    heart_share: float | None = None
    age_years: float | None = None
    congestion: bool | None = None
    effusion: bool | None = None
    consolidation: bool | None = None
    emphysema: bool | None = None


def physiology_given(
    facts: RadiographFacts, generator: np.random.Generator, *, candidates: int = 4096
) -> Physiology:
    """Draw a patient who would have such a film, by importance sampling from the prior.

    Heart size is read as in :mod:`pacx_training.cohorts.simulated.films`; a labelled finding means
    a score beyond the onset of its visible sign, softened over half a score.
    """
    scores = draw_scores(generator, candidates)
    log_weight = _log_likelihood_of_findings(facts, scores)
    log_weight += _log_likelihood_of_measures(facts, scores)
    weight = np.exp(log_weight - log_weight.max())
    chosen = int(generator.choice(candidates, p=weight / weight.sum()))
    return Physiology(tuple(map(float, scores[chosen])))


def _log_likelihood_of_findings(facts: RadiographFacts, scores: Vector) -> Vector:
    log_likelihood = np.zeros(len(scores))
    for state, labelled in _labels(facts).items():
        direction = 1.0 if labelled else -1.0
        distance = direction * (scores[:, STATES.index(state)] - 0.5) / 0.25
        log_likelihood -= np.logaddexp(0.0, -distance)
    return log_likelihood


def _log_likelihood_of_measures(facts: RadiographFacts, scores: Vector) -> Vector:
    from pacx_training.cohorts.simulated.films import (
        HEART_SHARE_NOISE,
        RATIO_NOISE,
        expected_cardiothoracic_ratio,
        expected_heart_share,
    )

    age = scores[:, STATES.index("age")]
    # Each with what it would be for a score, and how far it may be off.
    measures = (
        (facts.cardiothoracic_ratio, expected_cardiothoracic_ratio(scores), RATIO_NOISE),
        (facts.heart_share, expected_heart_share(scores), HEART_SHARE_NOISE),
        (facts.age_years, MEAN_AGE_YEARS + AGE_DEVIATION_YEARS * age, AGE_NOISE_YEARS),
    )
    log_likelihood = np.zeros(len(scores))
    for measured, expected, noise in measures:
        if measured is not None:
            log_likelihood -= 0.5 * ((expected - measured) / noise) ** 2
    return log_likelihood


def _labels(facts: RadiographFacts) -> dict[State, bool]:
    known: dict[State, bool | None] = {
        "congestion": facts.congestion,
        "effusion": facts.effusion,
        "inflammation": facts.consolidation,
        "emphysema": facts.emphysema,
    }
    return {state: label for state, label in known.items() if label is not None}
