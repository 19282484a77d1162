"""The reproduction on simulated patients: its measures are right, and its quick form runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.reproduction.comparison import Results, compare
from benchmarks.reproduction.pipeline import teachers, train_encoders
from benchmarks.reproduction.plan import DISTILLED, ECG_BORNE, LAB_BORNE, quick_plan
from benchmarks.reproduction.probes import (
    Encoded,
    correlations,
    heart_overlap,
    predictions,
    resampled,
)
from benchmarks.reproduction.report import write_report
from pacx_training.cohorts.simulated.electrocardiogram import draw_heart_beat
from pacx_training.cohorts.simulated.laboratory import ANALYTES, EFFECTS
from pacx_training.cohorts.simulated.physiology import STATES, Physiology, State
from pacx_training.retention import Retention


def test_correlations_are_weighted_pearson_correlations() -> None:
    generator = np.random.default_rng(0)
    truth, predicted = generator.standard_normal((2, 40, 3))
    counts = generator.integers(0, 4, 40)
    weights = np.stack([np.ones(40), counts])
    found = correlations(truth, predicted, weights)
    repeated = np.repeat(np.arange(40), counts)
    for column in range(3):
        for row, films in enumerate((np.arange(40), repeated)):
            pair = truth[films, column], predicted[films, column]
            assert found[row, column] == pytest.approx(np.corrcoef(*pair)[0, 1])


def test_probes_find_what_is_there_from_few_films() -> None:
    generator = np.random.default_rng(0)
    embeddings = generator.standard_normal((300, 10)).astype(np.float32)
    scores = embeddings @ generator.standard_normal((10, 2))
    answer = predictions(embeddings[:200], scores[:200], embeddings[200:], np.arange(30))
    assert (correlations(scores[200:], answer, np.ones((1, 100))) > 0.95).all()


def test_the_heart_is_read_out_of_its_own_patches() -> None:
    generator = np.random.default_rng(0)
    masks = np.zeros((20, 16, 16), np.uint8)
    for mask in masks:
        row, column = generator.integers(0, 10, 2)
        mask[row : row + 6, column : column + 6] = 1
    cut = masks.reshape(20, 4, 4, 4, 4).transpose(0, 1, 3, 2, 4).reshape(20, 16, 16)
    knowing = Encoded(np.zeros((20, 1), np.float32), cut.astype(np.float32))
    ignorant = Encoded(knowing.embeddings, np.ones((20, 16, 2), np.float32))
    assert heart_overlap(knowing, knowing, masks, masks).min() > 0.99
    assert heart_overlap(ignorant, ignorant, masks, masks).mean() < 0.3
    np.testing.assert_array_equal(resampled(resampled(masks, 32), 16), masks)


def test_borne_scores_are_those_of_the_simulators_equations() -> None:
    named = {state for analyte in ANALYTES for state in EFFECTS.get(analyte.item_id, {})}
    assert named >= set(LAB_BORNE)
    assert not named & set(ECG_BORNE)
    for state in STATES:
        assert not (changes_the_ecg(state) and state in LAB_BORNE)
        assert changes_the_ecg(state) or state not in ECG_BORNE


def changes_the_ecg(state: State) -> bool:
    """Whether a score moves the heart beat, everything else being equal."""
    beats = [
        draw_heart_beat(
            Physiology(tuple(level if name == state else 0.0 for name in STATES)),
            np.random.default_rng(0),
        )
        for level in (0.0, 1.5)
    ]
    return beats[0] != beats[1]


@pytest.mark.filterwarnings("ignore::scipy.linalg.LinAlgWarning")
def test_the_quick_form_goes_all_the_way(tmp_path: Path) -> None:
    plan = quick_plan(seed=1)
    runs = train_encoders(plan, tmp_path)
    assert list(runs) == ["stage 1", *DISTILLED]
    results = compare(plan, tmp_path / "cohort", runs, teachers(tmp_path))
    write_report(results, plan, "abc123", tmp_path / "report")
    kept = Results.model_validate_json((tmp_path / "report" / "results.json").read_bytes())
    assert kept == results
    assert len(kept.claims) == 10
    assert {name: len(scores) for name, scores in kept.by_teacher.items()} == {
        "ecg": 14,
        "labs": 14,
    }
    for name, iou in kept.heart_iou.items():
        assert 0.2 < iou < 1, name
    page = (tmp_path / "report" / "README.md").read_text("utf-8")
    assert "seed 1" in page
    assert "abc123" in page
    assert "| anaemia |" in page
    assert (tmp_path / "report" / "states.png").stat().st_size > 10_000
    moved = Retention.model_validate_json((runs["stage 2"].path / "retention.json").read_bytes())
    assert moved.reconstruction_before is not None
