"""From a latent state to fifty laboratory values with real marginals and correlations.

Every analyte has a normal score; its value is the real quantile at that score. The scores' total
correlation is the one measured in the MIMIC-IV demo (``laboratory.json``, credited there); the
latent state explains the part that :data:`EFFECTS` names, the rest is drawn at random.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from pacx_training.cohorts.simulated.physiology import STATES, Physiology, State, structure

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Analyte:
    """One laboratory value: MIMIC's item id, name and unit."""

    item_id: int
    name: str
    unit: str


ANALYTES = (
    Analyte(50802, "base excess", "mEq/L"),
    Analyte(50804, "total carbon dioxide, calculated", "mEq/L"),
    Analyte(50813, "lactate", "mmol/L"),
    Analyte(50818, "carbon dioxide pressure", "mmHg"),
    Analyte(50820, "pH", "1"),
    Analyte(50821, "oxygen pressure", "mmHg"),
    Analyte(50861, "alanine aminotransferase", "IU/L"),
    Analyte(50862, "albumin", "g/dL"),
    Analyte(50863, "alkaline phosphatase", "IU/L"),
    Analyte(50868, "anion gap", "mEq/L"),
    Analyte(50878, "aspartate aminotransferase", "IU/L"),
    Analyte(50882, "bicarbonate", "mEq/L"),
    Analyte(50885, "bilirubin", "mg/dL"),
    Analyte(50893, "calcium", "mg/dL"),
    Analyte(50902, "chloride", "mEq/L"),
    Analyte(50910, "creatine kinase", "IU/L"),
    Analyte(50912, "creatinine", "mg/dL"),
    Analyte(50931, "glucose", "mg/dL"),
    Analyte(50954, "lactate dehydrogenase", "IU/L"),
    Analyte(50960, "magnesium", "mg/dL"),
    Analyte(50963, "NT-proBNP", "pg/mL"),
    Analyte(50970, "phosphate", "mg/dL"),
    Analyte(50971, "potassium", "mEq/L"),
    Analyte(50983, "sodium", "mEq/L"),
    Analyte(51003, "troponin T", "ng/mL"),
    Analyte(51006, "urea nitrogen", "mg/dL"),
    Analyte(51133, "lymphocytes, absolute", "K/uL"),
    Analyte(51146, "basophils", "%"),
    Analyte(51200, "eosinophils", "%"),
    Analyte(51221, "haematocrit", "%"),
    Analyte(51222, "haemoglobin", "g/dL"),
    Analyte(51237, "prothrombin ratio (INR)", "1"),
    Analyte(51244, "lymphocytes", "%"),
    Analyte(51248, "mean corpuscular haemoglobin", "pg"),
    Analyte(51249, "mean corpuscular haemoglobin concentration", "g/dL"),
    Analyte(51250, "mean corpuscular volume", "fL"),
    Analyte(51254, "monocytes", "%"),
    Analyte(51256, "neutrophils", "%"),
    Analyte(51265, "platelets", "K/uL"),
    Analyte(51274, "prothrombin time", "s"),
    Analyte(51275, "partial thromboplastin time", "s"),
    Analyte(51277, "red cell distribution width", "%"),
    Analyte(51279, "red cells", "M/uL"),
    Analyte(51301, "white cells", "K/uL"),
    Analyte(52069, "basophils, absolute", "K/uL"),
    Analyte(52073, "eosinophils, absolute", "K/uL"),
    Analyte(52074, "monocytes, absolute", "K/uL"),
    Analyte(52075, "neutrophils, absolute", "K/uL"),
    Analyte(52135, "immature granulocytes", "%"),
    Analyte(52172, "red cell distribution width, standard deviation", "fL"),
)
"""Symile-MIMIC's fifty, but with NT-proBNP, troponin T and lactate dehydrogenase in place of the
three indices of sample quality (haemolysis, lipaemia, icterus), which are not physiology."""

QUANTILE_LEVELS = (
    0.005,
    0.02,
    0.05,
    0.1,
    0.2,
    0.3,
    0.4,
    0.5,
    0.6,
    0.7,
    0.8,
    0.9,
    0.95,
    0.98,
    0.995,
)

EFFECTS: Mapping[int, Mapping[State, float]] = MappingProxyType(
    {
        50912: {"renal_dysfunction": 0.85},
        51006: {"renal_dysfunction": 0.75, "heart_failure": 0.15},
        50970: {"renal_dysfunction": 0.50},
        50971: {"potassium": 0.85},
        50882: {"renal_dysfunction": -0.35, "emphysema": 0.40},
        50868: {"renal_dysfunction": 0.40, "inflammation": 0.20},
        50893: {"renal_dysfunction": -0.25},
        50963: {"heart_failure": 0.70, "renal_dysfunction": 0.20, "atrial_fibrillation": 0.15},
        51003: {"coronary_disease": 0.60, "renal_dysfunction": 0.25, "heart_failure": 0.15},
        50910: {"coronary_disease": 0.40},
        51222: {"anaemia": -0.85},
        51221: {"anaemia": -0.82},
        51279: {"anaemia": -0.75},
        51277: {"anaemia": 0.50, "heart_failure": 0.15},
        51301: {"inflammation": 0.65},
        52075: {"inflammation": 0.65},
        51256: {"inflammation": 0.45},
        51244: {"inflammation": -0.45},
        52135: {"inflammation": 0.40},
        50813: {"inflammation": 0.35, "heart_failure": 0.20},
        50818: {"emphysema": 0.60},
        50804: {"emphysema": 0.45, "renal_dysfunction": -0.25},
        50821: {"emphysema": -0.35, "congestion": -0.30, "inflammation": -0.20},
        50820: {"emphysema": -0.30, "renal_dysfunction": -0.20},
        50861: {"liver_dysfunction": 0.65},
        50878: {"liver_dysfunction": 0.65, "coronary_disease": 0.15},
        50885: {"liver_dysfunction": 0.65},
        50863: {"liver_dysfunction": 0.45},
        50862: {"liver_dysfunction": -0.35, "inflammation": -0.40},
        51237: {"liver_dysfunction": 0.40, "atrial_fibrillation": 0.30},
        51274: {"liver_dysfunction": 0.40, "atrial_fibrillation": 0.30},
        50983: {"heart_failure": -0.25, "congestion": -0.15},
        50954: {"liver_dysfunction": 0.40, "inflammation": 0.25},
    }
)
"""Effect of a latent score on an analyte's score, by item id. Directions are those of clinical
chemistry textbooks (Tietz); INR rises in fibrillation because it is anticoagulated; sizes are
assumptions."""


@dataclass(frozen=True, slots=True, eq=False)
class LaboratoryModel:
    """Constants of the generator.

    Attributes:
        quantiles: ``[analytes, levels]`` in the analytes' units.
        observed_share: ``[analytes]``, how often each is measured.
        effects: ``[analytes, states]``.
        residual: ``[analytes, analytes]``, a root of the covariance that the state leaves open.
        scale: ``[analytes]``, brings every score back to unit variance.
        missingness: ``[analytes, analytes]``, a root of the correlation of being measured.
    """

    quantiles: Vector
    observed_share: Vector
    effects: Vector
    residual: Vector
    scale: Vector
    missingness: Vector

    @property
    def correlation(self) -> Vector:
        """Correlation of the analytes' scores that this model draws, ``[analytes, analytes]``."""
        explained = self.effects @ structure().covariance @ self.effects.T
        total = explained + self.residual @ self.residual.T
        return np.asarray(total * np.outer(self.scale, self.scale))


@cache
def laboratory_model() -> LaboratoryModel:
    """Read the measured statistics and split them into explained and residual parts."""
    text = files(__package__).joinpath("laboratory.json").read_text(encoding="utf-8")
    measured = json.loads(text)
    effects = np.array(
        [[EFFECTS.get(a.item_id, {}).get(state, 0.0) for state in STATES] for a in ANALYTES]
    )
    explained = effects @ structure().covariance @ effects.T
    residual = _root(np.asarray(measured["correlation"]) - explained)
    total = np.diag(explained + residual @ residual.T)
    return LaboratoryModel(
        quantiles=np.array([entry["quantiles"] for entry in measured["analytes"]]),
        observed_share=np.array([entry["observed_share"] for entry in measured["analytes"]]),
        effects=effects,
        residual=residual,
        scale=1 / np.sqrt(total),
        missingness=_root(np.asarray(measured["missingness_correlation"])),
    )


@dataclass(frozen=True, slots=True, eq=False)
class LaboratoryRecord:
    """One patient's values.

    Attributes:
        values: ``[50]`` in the units of :data:`ANALYTES`; also where not observed.
        observed: bool ``[50]``, whether each was measured.
    """

    values: Vector
    observed: NDArray[np.bool_]


def draw_laboratory(physiology: Physiology, generator: np.random.Generator) -> LaboratoryRecord:
    """Draw one patient's laboratory values."""
    model, count = laboratory_model(), len(ANALYTES)
    scores = model.effects @ np.asarray(physiology.scores)
    scores = (scores + model.residual @ generator.standard_normal(count)) * model.scale
    propensity = norm.cdf(model.missingness @ generator.standard_normal(count))
    levels = norm.cdf(scores)
    values = [
        np.interp(level, QUANTILE_LEVELS, row)
        for level, row in zip(levels, model.quantiles, strict=True)
    ]
    return LaboratoryRecord(np.asarray(values), np.asarray(propensity < model.observed_share))


def _root(covariance: Vector) -> Vector:
    """Return ``A`` with ``A A^T`` the nearest positive semi-definite matrix."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0)))
