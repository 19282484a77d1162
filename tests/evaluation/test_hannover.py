"""Films that are paired with laboratory values: predicted for patients that were never seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pacx.errors import CohortError
from pacx_evaluation.benchmarks import Benchmark, open_benchmark
from pacx_evaluation.benchmarks.hannover import ANALYTES
from pacx_evaluation.evaluation import prepare
from pacx_evaluation.protocols import linear
from pacx_evaluation.protocols.design import rounds
from pacx_evaluation.statistics.bootstrap import Bootstrap
from pacx_evaluation.subjects import EmbeddingCache, open_subject

PATIENTS, FILMS = 30, 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published layout: CRP whitens a lung, pO2 falls with it, the others are noise."""
    made = tmp_path_factory.mktemp("hannover")
    (made / "images").mkdir()
    random = np.random.default_rng(0)
    rows = []
    for patient in range(PATIENTS):
        severity = patient / PATIENTS
        for number in range(FILMS):
            picture = random.integers(40, 80, (48, 48))
            picture[10:38, 6:22] += round(140 * severity)
            name = f"{patient:02d}{number}"
            Image.fromarray(picture.astype(np.uint8)).save(made / "images" / f"{name}.jpg")
            known = {
                "crp_val": 200 * severity + 1,
                "po2_val": 110 - 90 * severity,
                "ldh_val": random.uniform(100, 700),
                "d-dimer_val": random.uniform(0, 5),
            }
            offsets = {f"{analyte}_offset": number for analyte in ANALYTES}
            facts = {"patient_id": f"p{patient}", "image_id": name, "sex": "mf"[patient % 2]}
            rows.append({**facts, "projection": "ap", **known, **offsets})
    table = pd.DataFrame(rows)
    table["crp_val"] = table["crp_val"].astype(object)
    table.loc[0, "crp_val"], table.loc[1, "crp_val"] = "", "inf"
    table.to_csv(made / "data.csv", index=False)
    return made


@pytest.fixture
def benchmark(folder: Path) -> Benchmark:
    return open_benchmark("hannover", data=folder)


def test_every_analyte_is_a_quantity_and_a_finding(benchmark: Benchmark) -> None:
    assert {target.label for target in benchmark.quantities} == set(ANALYTES)
    assert {target.label for target in benchmark.findings} == set(ANALYTES)
    assert all(target.unit for target in benchmark.targets)


def test_values_beyond_an_assay_count_as_its_end_and_missing_ones_not_at_all(
    benchmark: Benchmark,
) -> None:
    crp = next(target for target in benchmark.quantities if target.label == "crp")
    values = benchmark.values(crp)
    assert np.isnan(values[0])
    assert values[1] == np.nanmax(values)
    assert {e.reason: e.films for e in benchmark.exclusions}["crp: not measured"] == 1


def test_values_of_other_days_are_left_out_and_counted(folder: Path) -> None:
    table = pd.read_csv(folder / "data.csv", dtype=str)
    table["ldh_offset"] = "-3"
    other = folder.parent / "late"
    other.mkdir()
    (other / "images").symlink_to(folder / "images")
    table.to_csv(other / "data.csv", index=False)
    benchmark = open_benchmark("hannover", data=other)
    ldh = next(target for target in benchmark.targets if target.label == "ldh")
    assert not benchmark.usable(ldh).any()
    counted = [e.films for e in benchmark.exclusions if e.reason.startswith("ldh: measured more")]
    assert counted == [PATIENTS * FILMS]


def test_nobody_is_predicted_by_a_model_that_saw_him(benchmark: Benchmark) -> None:
    for target in benchmark.targets:
        usable = benchmark.usable(target)
        strata = benchmark.values(target) > 0 if target in benchmark.findings else None
        reported = []
        for r in rounds(benchmark, usable, strata, seed=0):
            patients = benchmark.cohort.patients
            assert r.choose is None
            assert not set(patients[r.fit]) & set(patients[r.report])
            reported += r.report.tolist()
        assert sorted(reported) == np.flatnonzero(usable).tolist()


def test_what_a_film_shows_is_predicted_and_what_it_does_not_is_not(
    benchmark: Benchmark, run_folder: Path, cache: EmbeddingCache
) -> None:
    encoder = open_subject(str(run_folder))
    study = prepare([encoder], benchmark, cache, bootstrap=Bootstrap(replicates=200))
    rows = {(r.target, r.metric): r for r in linear.run(study).section.measurements}
    for analyte in ("crp", "po2"):
        found = rows[analyte, "spearman"]
        assert found.low is not None
        assert found.low > 0.6
        assert found.patients == PATIENTS
    noise = rows["ldh", "spearman"]
    assert noise.low is not None
    assert noise.high is not None
    assert noise.low < 0.35
    assert (rows["crp >= 41.2 mg/l", "auroc"].value or 0) > 0.9
    assert (rows["po2 >= 60 mmHg", "auroc"].value or 0) > 0.9


def test_a_missing_column_is_named(folder: Path, tmp_path: Path) -> None:
    table = pd.read_csv(folder / "data.csv", dtype=str).drop(columns="crp_offset")
    table.to_csv(tmp_path / "data.csv", index=False)
    with pytest.raises(CohortError, match="crp_offset"):
        open_benchmark("hannover", data=tmp_path)
