"""Alignment with what the teachers of stage 2 say, on a cohort in Symile-MIMIC's layout."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from typer import Typer
from typer.testing import CliRunner

from pacx.errors import BenchmarkError
from pacx_evaluation.benchmarks import open_benchmark
from pacx_evaluation.benchmarks.paired_films import PERCENTILES
from pacx_evaluation.benchmarks.symile import ECG, LABS
from pacx_evaluation.commands import evaluate
from pacx_evaluation.evaluation import prepare
from pacx_evaluation.protocols import alignment
from pacx_evaluation.protocols.requirements import check_requirements
from pacx_evaluation.statistics.bootstrap import Bootstrap
from pacx_evaluation.subjects import EmbeddingCache, open_subject
from pacx_training.cohorts.simulated.cohort import CohortPlan, write_cohort
from pacx_training.cohorts.symile_mimic import read_symile
from pacx_training.teachers.features import ecg_features
from pacx_training.teachers.own import makers


@pytest.fixture(scope="module")
def symile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort without anything that only a simulation has; one tested admission has no ECG."""
    folder = tmp_path_factory.mktemp("symile")
    for _ in write_cohort(CohortPlan(visits=60, size=48, shares=(0.5, 0.1, 0.4)), folder):
        pass
    shutil.rmtree(folder / "truth")
    (folder / "simulation.json").unlink()
    path = folder / "data_npy" / "test" / "ecg_test.npy"
    ecgs = np.load(path)
    ecgs[0] = np.nan
    np.save(path, ecgs)
    return folder


@pytest.fixture(scope="module")
def stage_2(symile: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with the teachers that stage 2 makes where none are named."""
    run = tmp_path_factory.mktemp("stage-2")
    for name, make in makers("smoke", symile).items():
        make(run / name)
    return run


def test_films_are_aligned_with_what_the_teachers_say(
    symile: Path, stage_2: Path, run_folder: Path, cache: EmbeddingCache
) -> None:
    benchmark = open_benchmark("symile", data=symile, teachers=stage_2)
    assert not benchmark.simulated
    assert list(benchmark.paired) == [PERCENTILES, ECG, LABS]
    tested = benchmark.cohort.splits == "test"
    split = read_symile(symile)["test"]
    said = ecg_features(stage_2 / "ecg", split)
    assert not said.present.all()
    found = benchmark.paired[ECG][tested]
    np.testing.assert_array_equal(np.isfinite(found).all(axis=1), said.present)
    np.testing.assert_array_equal(found[said.present], said.embeddings[said.present])

    study = prepare(
        [open_subject(str(run_folder))], benchmark, cache, bootstrap=Bootstrap(replicates=100)
    )
    outcome = alignment.run(study)
    films = {r.target: r.films for r in outcome.section.measurements}
    assert films[ECG] == said.present.sum() < films[PERCENTILES] == tested.sum()
    assert all(r.value is not None for r in outcome.section.measurements)
    assert len(outcome.drawings) == 1


def test_the_command_reports_it(
    symile: Path, stage_2: Path, run_folder: Path, tmp_path: Path
) -> None:
    app = Typer()
    app.command()(evaluate)
    named = {
        "benchmark": "symile", "data": symile, "teachers": stage_2, "protocol": "alignment",
        "output": tmp_path / "report", "cache": tmp_path / "cache.sqlite", "replicates": 100,
    }  # fmt: skip
    words = [str(word) for name, value in named.items() for word in (f"--{name}", value)]
    result = CliRunner().invoke(app, [f"tiny={run_folder}", *words])
    assert result.exit_code == 0, result.output
    page = (tmp_path / "report" / "report.html").read_text()
    assert "ECG teacher&#39;s embedding" in page
    assert 'class="big"' in page


def test_what_too_few_films_have_is_not_reported(
    symile: Path, stage_2: Path, run_folder: Path, cache: EmbeddingCache
) -> None:
    benchmark = open_benchmark("symile", data=symile, teachers=stage_2)
    benchmark.paired[ECG][benchmark.cohort.splits == "test"] = np.nan
    study = prepare(
        [open_subject(str(run_folder))], benchmark, cache, bootstrap=Bootstrap(replicates=100)
    )
    rows = [r for r in alignment.run(study).section.measurements if r.target == ECG]
    assert [(r.value, r.films) for r in rows] == [(None, 0)]
    assert "0 reported films" in (rows[0].reason or "")


def test_without_teachers_there_are_the_values_themselves(symile: Path, run_folder: Path) -> None:
    benchmark = open_benchmark("symile", data=symile)
    assert list(benchmark.paired) == [PERCENTILES]
    with pytest.raises(BenchmarkError, match="--protocol alignment"):
        check_requirements(["linear"], [open_subject(str(run_folder))], benchmark)


def test_a_run_without_teachers_is_told_so(symile: Path, run_folder: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"--teachers: .* neither ecg nor labs"):
        open_benchmark("symile", data=symile, teachers=run_folder)
