"""Simulated physiology: patients whose film, electrocardiogram and laboratory values share a cause.

Everything made from it is marked ``simulated``. It makes the pipeline runnable and its claims
testable where credentialed data is not at hand; it says nothing about real patients.
"""

from pacx_training.cohorts.simulated.patients import (
    SimulatedPatient,
    patient_given,
    simulated_patient,
)
from pacx_training.cohorts.simulated.physiology import STATES, Physiology, RadiographFacts

__all__ = [
    "STATES",
    "Physiology",
    "RadiographFacts",
    "SimulatedPatient",
    "patient_given",
    "simulated_patient",
]
