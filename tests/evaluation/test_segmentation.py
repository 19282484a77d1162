"""Decoders on frozen tokens find what is drawn, and are measured on patients they never saw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from pacx.bundle import Bundle
from pacx.errors import BenchmarkError, SubjectError
from pacx.preprocessing import PreprocessingSpec
from pacx_evaluation.benchmarks import Benchmark, open_benchmark
from pacx_evaluation.evaluation import prepare, run
from pacx_evaluation.measurements import Measurement
from pacx_evaluation.protocols import Outcome, segmentation
from pacx_evaluation.protocols.masked_films import MaskedFilms, Picture, parts
from pacx_evaluation.protocols.study import decoder_recipe
from pacx_evaluation.statistics.bootstrap import Bootstrap
from pacx_evaluation.statistics.overlap import hausdorff_95, intersection_over_union
from pacx_evaluation.subjects import EmbeddingCache, open_subject
from pacx_training.cohorts.outlines import phantom_films
from pacx_training.cohorts.simulated.cohort import CohortPlan, write_cohort
from pacx_training.segmentation import dice
from tests.evaluation.conftest import DrawnFilms
from tests.onnx_pooling import write_pooling

SIDE = 64


@pytest.fixture(scope="module")
def infected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """QaTa-COV19's layout: bright squares in noise, with their masks."""
    folder = tmp_path_factory.mktemp("qata")
    random = np.random.default_rng(0)
    for part, count in (("Train Set", 60), ("Test Set", 20)):
        for kind in ("Images", "Ground-truths"):
            (folder / part / kind).mkdir(parents=True)
        for number in range(count):
            picture = random.integers(20, 90, (SIDE, SIDE))
            mask = np.zeros((SIDE, SIDE), np.uint8)
            row, column = random.integers(4, SIDE - 32, 2)
            mask[row : row + 28, column : column + 28] = 255
            picture[mask > 0] += 120
            name = f"{part[:4]}{number:03d}.png"
            Image.fromarray(picture.astype(np.uint8)).save(folder / part / "Images" / name)
            Image.fromarray(mask).save(folder / part / "Ground-truths" / f"mask_{name}")
    return folder


def _run(benchmark: Benchmark, cache: EmbeddingCache, *subjects: str, steps: int = 150) -> Outcome:
    study = prepare(
        [open_subject(subject) for subject in subjects],
        benchmark,
        cache,
        bootstrap=Bootstrap(replicates=100),
        decoder=decoder_recipe(steps),
    )
    return segmentation.run(study)


def _by_metric(rows: tuple[Measurement, ...], subject: str) -> dict[tuple[str, str], Measurement]:
    return {(r.target, r.metric): r for r in rows if r.subject == subject}


def test_a_published_set_of_masks_is_segmented_and_subjects_are_compared(
    infected: Path, run_folder: Path, tiny_bundle: Bundle, cache: EmbeddingCache
) -> None:
    benchmark = open_benchmark("qata-cov19", data=infected)
    assert benchmark.metric == "iou"
    subjects = (f"run={run_folder}", f"bundle={tiny_bundle.directory}")
    rows = _run(benchmark, cache, *subjects).section.measurements
    mine = _by_metric(rows, "run")
    overlap, union = mine["infection", "dice"], mine["infection", "iou"]
    assert overlap.value is not None
    assert union.value is not None
    assert overlap.low is not None
    assert overlap.low > 0.6
    assert union.value < overlap.value
    assert overlap.films == overlap.patients == 20
    assert 0 < (mine["infection", "hausdorff_95"].value or 0) < 0.5
    gain = _by_metric(rows, "bundle")["infection", "dice_gain"]
    assert gain.value is not None
    assert abs(gain.value) < 0.1


def test_labels_are_not_asked_for_where_there_are_masks_only(
    infected: Path, run_folder: Path, cache: EmbeddingCache
) -> None:
    benchmark = open_benchmark("qata-cov19", data=infected)
    encoders = [open_subject(str(run_folder))]
    study = prepare(encoders, benchmark, cache, bootstrap=Bootstrap(replicates=100))
    with pytest.raises(BenchmarkError, match="has no labels"):
        run(study, ["linear"])


def test_phantoms_of_a_simulated_cohort_have_exact_masks(
    run_folder: Path, cache: EmbeddingCache, tmp_path: Path
) -> None:
    plan = CohortPlan(visits=30, size=64, shares=(0.6, 0.1, 0.3))
    for _ in write_cohort(plan, tmp_path):
        pass
    benchmark = open_benchmark("simulated", data=tmp_path)
    rows = _by_metric(_run(benchmark, cache, f"run={run_folder}").section.measurements, "run")
    assert {target for target, _ in rows} == {
        segmentation.ALL,
        "heart",
        "right lung",
        "left lung",
    }
    assert rows["heart", "dice"].films == (benchmark.cohort.splits == "test").sum()
    assert rows["heart", "cardiothoracic_error"].metric == "cardiothoracic_error"


def test_outlines_are_segmented_by_folds_of_patients(
    films: DrawnFilms, run_folder: Path, cache: EmbeddingCache
) -> None:
    study = prepare(
        [open_subject(f"run={run_folder}")],
        open_benchmark(str(films.manifest), labels=["opacity"]),
        cache,
        bootstrap=Bootstrap(replicates=100),
        outlined=tuple(phantom_films(range(6))),
        decoder=decoder_recipe(40),
    )
    rows = _by_metric(segmentation.run(study).section.measurements, "run")
    assert rows[segmentation.ALL, "iou"].films == 6
    study.outlined = ()
    with pytest.raises(BenchmarkError, match="no masks"):
        segmentation.run(study)


def test_what_has_no_weights_in_torch_is_refused(
    infected: Path, cache: EmbeddingCache, tmp_path: Path
) -> None:
    graph = write_pooling(tmp_path / "pooling.onnx")
    with pytest.raises(SubjectError, match="segmentation needs a bundle"):
        _run(open_benchmark("qata-cov19", data=infected), cache, str(graph))


def _unread(place: int, spec: PreprocessingSpec) -> tuple[Picture, Picture]:
    """Which films are fitted depends on no film."""
    raise AssertionError(place, spec)


@given(st.lists(st.integers(0, 6), min_size=2, max_size=40), st.booleans(), st.integers(0, 9))
@example([1, 3], True, 0)
@settings(max_examples=50, deadline=None)
def test_no_patient_is_fitted_and_reported(owners: list[int], split: bool, seed: int) -> None:
    patients = np.array([f"p{owner}" for owner in owners])
    splits = np.array(["test" if split and owner % 2 else "train" for owner in owners])
    films = MaskedFilms(
        structures=("heart",),
        patients=patients,
        splits=splits,
        read=_unread,
    )
    if len(set(patients)) < 2:
        with pytest.raises(BenchmarkError):
            list(parts(films, seed))
        return
    reported: list[int] = []
    for fit, report in parts(films, seed):
        assert not set(patients[fit]) & set(patients[report])
        reported += report.tolist()
    held = splits == "test" if len(set(splits)) > 1 else np.ones(len(splits), np.bool_)
    assert sorted(reported) == np.flatnonzero(held).tolist()


@given(st.integers(0, 2**16))
@settings(max_examples=30, deadline=None)
def test_both_overlaps_say_the_same_on_different_scales(seed: int) -> None:
    random = np.random.default_rng(seed)
    masks, truth = random.random((2, 5, 3, 8, 8)) < random.random((2, 5, 3, 1, 1))
    both = dice(masks, truth)
    np.testing.assert_allclose(intersection_over_union(masks, truth), both / (2 - both))


@pytest.mark.parametrize("shift", [0, 3, 10])
def test_a_shifted_mask_is_as_far_away_as_it_was_shifted(shift: int) -> None:
    truth = np.zeros((64, 64), np.bool_)
    truth[20:40, 20] = True
    distance = hausdorff_95(np.roll(truth, shift, axis=1), truth)
    assert distance == pytest.approx(shift / 64)
    assert np.isnan(hausdorff_95(truth, np.zeros_like(truth)))
