"""The named benchmarks: which films, which questions, which metric."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pacx.errors import CohortError
from pacx_evaluation.benchmarks import benchmark_names, open_benchmark
from pacx_evaluation.benchmarks.paper import PAPER
from pacx_evaluation.evaluation import prepare
from pacx_evaluation.protocols import linear
from pacx_evaluation.statistics.bootstrap import Bootstrap
from pacx_evaluation.subjects import EmbeddingCache, open_subject
from pacx_training.cohorts import tb
from pacx_training.cohorts.chestx6 import CLASSES
from pacx_training.cohorts.simulated.cohort import CohortPlan, write_cohort
from tests.training.cohorts import miniatures

LAYOUTS: dict[str, Callable[[Path], object]] = {
    "medmod": miniatures.medmod,
    "vindr-cxr": miniatures.vindr,
    "chexchonet": miniatures.chexchonet,
    "nih14": miniatures.chestxray14,
    "covid-qu-ex": miniatures.covid_qu_ex,
}
MASKS: dict[str, Callable[[Path], Path | tuple[Path, Path]]] = {
    "qata-cov19": miniatures.qata,
    "cxl-seg": miniatures.cxl_seg,
    "covid-qu-ex": miniatures.covid_qu_ex,
}
NINE = {
    "medmod", "vindr-cxr", "chexchonet", "tb", "chestx6", "nih14", "qata-cov19", "cxl-seg",
    "covid-qu-ex",
}  # fmt: skip


def test_the_paper_s_benchmarks_can_be_named() -> None:
    assert set(PAPER) == NINE
    assert NINE | {"nih", "hannover", "simulated", "symile"} == set(benchmark_names())


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_published_layout_is_read_with_the_paper_s_labels(name: str, tmp_path: Path) -> None:
    LAYOUTS[name](tmp_path)
    benchmark = open_benchmark(name, data=tmp_path)
    assert benchmark.metric == PAPER[name].metric
    assert benchmark.credit
    wanted = PAPER[name].labels or benchmark.cohort.label_names
    assert tuple(target.label for target in benchmark.findings) == wanted


def test_six_classes_are_six_questions_and_unknown_patients_are_stated(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        miniatures.classes(tmp_path / split, CLASSES)
    benchmark = open_benchmark("chestx6", data=tmp_path)
    assert len(benchmark.findings) == 6
    assert any("counts as its own" in caveat for caveat in benchmark.caveats)


def test_tuberculosis_is_one_question_of_three_splits(tmp_path: Path) -> None:
    benchmark = open_benchmark("tb", data=miniatures.classes(tmp_path, tb.CLASSES, films=40))
    assert [target.label for target in benchmark.findings] == ["Tuberculosis"]
    assert set(benchmark.cohort.splits.tolist()) == {"train", "val", "test"}
    assert benchmark.cohort.label("Tuberculosis").sum() == 40
    assert benchmark.metric == "auroc"


@pytest.mark.parametrize(
    ("name", "structure"),
    [("qata-cov19", "infection"), ("cxl-seg", "lungs"), ("covid-qu-ex", "lung")],
)
def test_benchmarks_with_masks_are_measured_by_their_overlap(
    name: str, structure: str, tmp_path: Path
) -> None:
    written = MASKS[name](tmp_path)
    data, images = written if isinstance(written, tuple) else (written, None)
    benchmark = open_benchmark(name, data=data, images=images)
    assert benchmark.metric == "iou"
    assert benchmark.masks is not None
    assert benchmark.masks.structures == (structure,)
    assert benchmark.masks.known.all()
    last = benchmark.masks.read(len(benchmark.cohort) - 1)
    assert last.shape[0] == 1
    assert 0 < last.mean() < 1
    assert {"train", "test"} <= set(benchmark.cohort.splits.tolist())


def test_stays_and_films_may_lie_apart(tmp_path: Path) -> None:
    stays, files = miniatures.medmod(tmp_path / "stays")
    films = tmp_path / "mimic" / "files"
    films.parent.mkdir()
    files.rename(films)
    benchmark = open_benchmark("medmod", data=stays.parent, images=films.parent)
    assert len(benchmark.findings) == 25
    with pytest.raises(CohortError, match="missing"):
        open_benchmark("medmod", data=stays.parent)


def test_the_simulated_cohort_says_so_and_is_measured(
    tmp_path: Path, run_folder: Path, cache: EmbeddingCache
) -> None:
    for _ in write_cohort(CohortPlan(visits=60, size=48, shares=(0.5, 0.1, 0.4)), tmp_path):
        pass
    benchmark = open_benchmark("simulated", data=tmp_path)
    assert benchmark.simulated
    study = prepare(
        [open_subject(str(run_folder))], benchmark, cache, bootstrap=Bootstrap(replicates=100)
    )
    rows = {(r.target, r.metric): r for r in linear.run(study).section.measurements}
    ratio = rows["cardiothoracic ratio", "spearman"]
    assert ratio.value is not None
    assert -1 <= ratio.value <= 1
    assert ratio.films == (benchmark.cohort.splits == "test").sum()


def test_nih_findings_are_asked_within_pneumonia_and_of_adults(data_dir: Path) -> None:
    benchmark = open_benchmark("nih", data=data_dir / "radiographs" / "nih")
    edema = next(target for target in benchmark.findings if target.label == "Edema")
    pneumonia = benchmark.cohort.label("Pneumonia") > 0
    np.testing.assert_array_equal(benchmark.usable(edema), pneumonia)
    assert benchmark.cohort.label("age_years").min() >= 18
    assert [e.films for e in benchmark.exclusions] == [75]


def test_hannover_pairs_films_with_values_of_those_days(data_dir: Path) -> None:
    benchmark = open_benchmark("hannover", data=data_dir / "radiographs" / "hannover_labs")
    counts = {target.name: int(benchmark.usable(target).sum()) for target in benchmark.targets}
    assert counts["crp"] == counts["crp >= 41.2 mg/l"] == 168
    for target in benchmark.quantities:
        values = benchmark.values(target)[benchmark.usable(target)]
        assert np.isfinite(values).all()
    assert set(benchmark.cohort.splits.tolist()) == {"train"}
