"""Simulated physiology: the structure holds, and what is measured follows from it."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pacx.errors import CohortError
from pacx_training.cohorts.catalogue import read_cohort
from pacx_training.cohorts.simulated import (
    STATES,
    RadiographFacts,
    patient_given,
    simulated_patient,
)
from pacx_training.cohorts.simulated.cohort import CohortPlan, planned_visits, write_cohort
from pacx_training.cohorts.simulated.electrocardiogram import (
    LEADS,
    HeartBeat,
    Rhythm,
    draw_electrocardiogram,
)
from pacx_training.cohorts.simulated.laboratory import (
    ANALYTES,
    draw_laboratory,
    laboratory_model,
)
from pacx_training.cohorts.simulated.physiology import (
    Physiology,
    State,
    draw_physiology,
    draw_scores,
    physiology_given,
    structure,
)
from pacx_training.cohorts.symile_mimic import read_symile

CALM = HeartBeat(
    rhythm="sinus",
    rate_bpm=60,
    axis_degrees=30,
    voltage=1,
    qrs_width_ms=90,
    p_mv=0.12,
    t_gain=1,
)


def beats_per_minute(ecg: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> float:
    return 6.0 * len(r_peaks(ecg))


def r_peaks(ecg: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> list[int]:
    lead = ecg[LEADS.index("V4")]
    high = lead > 0.6 * lead.max()
    return [int(i) for i in np.flatnonzero(high[1:] & ~high[:-1])]


def recorded(beat: HeartBeat, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return draw_electrocardiogram(beat, np.random.default_rng(seed))


def test_scores_have_the_covariance_that_the_effects_imply() -> None:
    scores = draw_scores(np.random.default_rng(0), 40_000)
    np.testing.assert_allclose(np.cov(scores.T), structure().covariance, atol=0.04)
    np.testing.assert_allclose(np.diag(structure().covariance), 1.0)


@settings(max_examples=8, deadline=None)
@given(patient=st.integers(0, 10**6))
def test_a_visit_repeats_bit_for_bit(patient: int) -> None:
    first, again = (simulated_patient(3, patient=patient, size=48) for _ in range(2))
    assert first.film.pixels.tobytes() == again.film.pixels.tobytes()
    assert first.ecg_mv.tobytes() == again.ecg_mv.tobytes()
    assert first.laboratory.values.tobytes() == again.laboratory.values.tobytes()
    assert first.physiology == again.physiology


def test_visits_of_one_patient_resemble_each_other() -> None:
    pairs = [
        [simulated_patient(1, patient=p, visit=v, size=32).physiology.scores for v in (0, 1)]
        for p in range(60)
    ]
    first, second = np.array(pairs).transpose(1, 0, 2).reshape(2, -1)
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(0.9, abs=0.04)


@given(
    axis=st.floats(-80, 120),
    rhythm=st.sampled_from(get_args(Rhythm)),
    seed=st.integers(0, 100),
)
@settings(max_examples=10, deadline=None)
def test_einthovens_and_goldbergers_laws_hold(axis: float, rhythm: Rhythm, seed: int) -> None:
    beat = HeartBeat(
        rhythm=rhythm,
        rate_bpm=80,
        axis_degrees=axis,
        voltage=1,
        qrs_width_ms=100,
        p_mv=0.1,
        t_gain=1,
    )
    one, two, three, right, left, foot = recorded(beat, seed)[:6]
    np.testing.assert_allclose(one + three, two, atol=1e-5)
    np.testing.assert_allclose(right + left + foot, 0, atol=1e-5)


def test_rate_axis_voltage_and_width_are_what_was_asked_for() -> None:
    slow, fast = recorded(CALM), recorded(replace(CALM, rate_bpm=120.0))
    assert beats_per_minute(slow) == pytest.approx(60, abs=7)
    assert beats_per_minute(fast) == pytest.approx(120, abs=13)
    tall = recorded(replace(CALM, voltage=2.0))
    assert np.ptp(tall[LEADS.index("V5")]) > 1.5 * np.ptp(slow[LEADS.index("V5")])
    downwards = recorded(replace(CALM, axis_degrees=90.0))
    assert np.ptp(downwards[LEADS.index("aVF")]) > 2 * np.ptp(downwards[0])
    wide = recorded(replace(CALM, qrs_width_ms=150.0))
    assert width(wide) > 1.4 * width(slow)


def width(ecg: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> float:
    """Mean number of samples for which V4 stands above half of its R peak."""
    lead = ecg[LEADS.index("V4")]
    return float((lead > 0.5 * lead.max()).sum() / len(r_peaks(ecg)))


def test_fibrillation_is_irregular_and_has_no_p_wave() -> None:
    fibrillation = replace(CALM, rhythm="atrial_fibrillation")
    irregular, regular = (np.diff(r_peaks(recorded(beat, 4))) for beat in (fibrillation, CALM))
    assert irregular.std() / irregular.mean() > 3 * regular.std() / regular.mean()


def test_laboratory_correlations_are_the_measured_ones() -> None:
    text = files("pacx_training.cohorts.simulated").joinpath("laboratory.json").read_text("utf-8")
    measured = np.array(json.loads(text)["correlation"])
    difference = np.abs(laboratory_model().correlation - measured)
    assert difference.mean() < 0.04
    assert difference.max() < 0.25


def test_laboratory_marginals_and_missingness_are_the_measured_ones() -> None:
    generator = np.random.default_rng(2)
    records = [draw_laboratory(draw_physiology(generator), generator) for _ in range(1500)]
    model = laboratory_model()
    medians = np.median([record.values for record in records], axis=0)
    low, high = model.quantiles[:, 5], model.quantiles[:, 9]
    assert ((low <= medians) & (medians <= high)).all()
    shares = np.mean([record.observed for record in records], axis=0)
    np.testing.assert_allclose(shares, model.observed_share, atol=0.06)


@pytest.mark.parametrize(
    ("state", "analyte", "rises"),
    [
        ("renal_dysfunction", "creatinine", True),
        ("anaemia", "haemoglobin", False),
        ("heart_failure", "NT-proBNP", True),
        ("coronary_disease", "troponin T", True),
        ("potassium", "potassium", True),
    ],
)
def test_illness_moves_its_own_values(state: State, analyte: str, rises: bool) -> None:
    column = [a.name for a in ANALYTES].index(analyte)
    medians = []
    for level in (-2.0, 2.0):
        ill = Physiology(tuple(level if name == state else 0.0 for name in STATES))
        generator = np.random.default_rng(0)
        values = [draw_laboratory(ill, generator).values[column] for _ in range(60)]
        medians.append(np.median(values))
    assert bool(medians[1] > medians[0]) is rises


def test_patients_for_a_real_film_fit_what_is_known_of_it() -> None:
    ill = RadiographFacts(cardiothoracic_ratio=0.60, congestion=True, effusion=True)
    well = RadiographFacts(cardiothoracic_ratio=0.44, congestion=False, effusion=False)
    scores = [
        [physiology_given(facts, np.random.default_rng(seed)).score("heart_failure") for seed in r]
        for facts, r in ((ill, range(30)), (well, range(30)))
    ]
    assert np.mean(scores[0]) > np.mean(scores[1]) + 1.0
    film = patient_given(ill, seed=1, size=64).film
    assert film.truth.cardiothoracic_ratio > 0.52
    assert film.truth.right_effusion + film.truth.left_effusion > 0


def test_a_cohort_has_symiles_files_and_its_truth(cohort: Path, plan: CohortPlan) -> None:
    truth = pd.read_parquet(cohort / "truth" / "train.parquet")
    films = np.load(cohort / "data_npy" / "train" / "cxr_train.npy")
    masks = np.load(cohort / "truth" / "masks_train.npy")
    assert films.shape == (len(truth), 3, plan.size, plan.size)
    assert truth["simulated"].all()
    assert set(STATES) <= set(truth.columns)
    # Heart width is measured in the masks and written in the truth: they must agree.
    spans = [np.ptp(np.nonzero(mask == 1)[1]) + 1 for mask in masks]
    assert np.corrcoef(spans, truth["film_cardiothoracic_ratio"])[0, 1] > 0.8


def test_its_films_are_a_manifest_too(cohort: Path, plan: CohortPlan) -> None:
    films, terms = read_cohort(cohort / "films.csv")
    assert terms.simulated
    assert len(films) == plan.visits
    assert films.label_names == STATES
    split = read_symile(cohort)["val"]
    mine = films.split("val")
    np.testing.assert_array_equal(mine.patients, split.patients.astype(np.str_))
    with Image.open(mine.paths[0]) as picture:
        pixels = np.asarray(picture) / 255
    np.testing.assert_allclose(pixels, split.film(0)[0] * 0.229 + 0.485, atol=0.01)


def test_a_cohort_does_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    plan = CohortPlan(visits=10, seed=1, size=32)
    for workers in (1, 2):
        assert list(write_cohort(plan, tmp_path / str(workers), workers=workers))
    for file in sorted((tmp_path / "1").rglob("*.npy")):
        other = tmp_path / "2" / file.relative_to(tmp_path / "1")
        assert file.read_bytes() == other.read_bytes()


def test_visits_of_a_patient_share_a_split() -> None:
    visits = planned_visits(CohortPlan(visits=400, second_visits=0.5))
    splits: dict[int, set[str]] = {}
    for visit in visits:
        splits.setdefault(visit.patient, set()).add(visit.split)
    assert all(len(found) == 1 for found in splits.values())
    assert len(splits) < 350


def test_a_cohort_that_was_half_replaced_is_not_read_as_the_older_one(tmp_path: Path) -> None:
    plan = CohortPlan(visits=10, size=32)
    list(write_cohort(plan, tmp_path))
    next(iter(write_cohort(plan, tmp_path)))
    with pytest.raises(CohortError, match=r"hadm_id_train\.npy is missing"):
        read_symile(tmp_path)
