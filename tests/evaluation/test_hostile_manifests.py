"""What is wrong with a table is said before anything is computed, or stated in the report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pacx.errors import BenchmarkError, CohortError, SubjectError
from pacx_evaluation.benchmarks import open_benchmark
from pacx_evaluation.benchmarks.shared_pictures import with_patients_joined
from pacx_evaluation.evaluation import prepare
from pacx_evaluation.protocols import linear
from pacx_evaluation.report.records import DataFacts
from pacx_evaluation.report.writer import write_report
from pacx_evaluation.statistics.bootstrap import Bootstrap
from pacx_evaluation.subjects import EmbeddingCache, open_subject
from tests.evaluation.conftest import DrawnFilms


def test_a_patient_on_both_sides_is_refused(films: DrawnFilms) -> None:
    table = films.table.copy()
    films_of_one = np.flatnonzero(table["patient"] == "patient 0")
    table.loc[films_of_one[0], "split"] = "test"
    with pytest.raises(CohortError, match=r"rows \d+ and \d+: .* share a patient") as caught:
        open_benchmark(str(films.write(table)))
    assert "patient 0" not in caught.value.detail


@pytest.mark.parametrize("nothing", ["", "  ", None])
@pytest.mark.parametrize("column", ["patient", "path", "split"])
def test_an_empty_cell_is_named_by_its_row(
    films: DrawnFilms, column: str, nothing: str | None
) -> None:
    table = films.table.copy()
    table.loc[4, column] = nothing
    with pytest.raises(CohortError, match=f"row 6: {column} is empty"):
        open_benchmark(str(films.write(table)))


def test_blanks_do_not_make_another_patient(films: DrawnFilms) -> None:
    table = films.table.copy()
    table["patient"] = [
        f" {name} " if row < 3 else name for row, name in enumerate(table["patient"])
    ]
    patients = open_benchmark(str(films.write(table))).cohort.patients
    assert set(patients.tolist()) == set(films.table["patient"].tolist())


def test_a_parquet_table_is_read_as_a_csv_is(films: DrawnFilms) -> None:
    parquet = films.folder / "films.parquet"
    films.table.to_parquet(parquet)
    first, second = (open_benchmark(str(path)) for path in (parquet, films.manifest))
    assert first.cohort.paths == second.cohort.paths
    np.testing.assert_array_equal(first.cohort.labels, second.cohort.labels)
    films.table.assign(path=None).to_parquet(parquet)
    with pytest.raises(CohortError, match="row 2: path is empty"):
        open_benchmark(str(parquet))


def test_few_labels_among_many_films_are_a_reason_and_no_crash(
    films: DrawnFilms, run_folder: Path, cache: EmbeddingCache
) -> None:
    table = films.table.drop(columns="split").assign(rare=np.nan)
    table.loc[:7, "rare"] = [0, 1] * 4
    benchmark = open_benchmark(str(films.write(table)), labels=["rare"])
    study = prepare(
        [open_subject(str(run_folder))], benchmark, cache, bootstrap=Bootstrap(replicates=100)
    )
    (row,) = linear.run(study).section.measurements
    assert row.reason == "4 positive films, fewer than 10"


def test_nothing_is_reported_of_a_finding_that_few_patients_have(
    films: DrawnFilms, run_folder: Path, cache: EmbeddingCache
) -> None:
    table = films.table.drop(columns="split").assign(rare=0)
    patients = table["patient"].unique()[:2]
    table.loc[table["patient"].isin(patients), "rare"] = 1
    extra = table[table["rare"] == 1].sample(12, replace=True, random_state=0)
    benchmark = open_benchmark(
        str(films.write(pd.concat([table, extra], ignore_index=True))), labels=["rare"]
    )
    study = prepare(
        [open_subject(str(run_folder))], benchmark, cache, bootstrap=Bootstrap(replicates=100)
    )
    (row,) = linear.run(study).section.measurements
    assert row.reason == "positive films of 2 patients, fewer than 3"


def test_the_same_picture_on_both_sides_is_refused(own_films: Callable[[], DrawnFilms]) -> None:
    films = own_films()
    table = films.table.assign(split=["train", "test"] + ["train"] * (len(films.table) - 2))
    table["patient"] = [f"film {row}" for row in range(len(table))]
    first, second = table["path"][:2]
    (films.folder / second).write_bytes((films.folder / first).read_bytes())
    with pytest.raises(BenchmarkError, match=r"train and test share a picture \(films 1 and 2\)"):
        _ = open_benchmark(str(films.write(table))).digests


def test_patients_who_share_a_picture_count_as_one_and_the_report_says_so(
    own_films: Callable[[], DrawnFilms], run_folder: Path, cache: EmbeddingCache, tmp_path: Path
) -> None:
    films = own_films()
    table = films.table.drop(columns="split")
    one, two, three = (table.index[table["patient"] == f"patient {n}"] for n in (0, 4, 7))
    for first, second in ((one[0], two[0]), (two[1], three[0])):
        copy, original = (films.folder / table.loc[row, "path"] for row in (second, first))
        copy.write_bytes(original.read_bytes())
    benchmark = open_benchmark(str(films.write(table)), labels=["opacity"])
    study = prepare(
        [open_subject(str(run_folder))], benchmark, cache, bootstrap=Bootstrap(replicates=100)
    )
    patients = study.benchmark.cohort.patients
    assert set(patients[[*one, *two, *three]]) == {"patient 0"}
    others = [row for row in range(len(table)) if row not in {*one, *two, *three}]
    assert patients[others].tolist() == table["patient"][others].tolist()
    write_report(study, [linear.run(study)], tmp_path / "report")
    told = "4 films show pictures that 3 patients have in common"
    for name in ("data.json", "report.md", "report.html", "model_card.md"):
        assert told in (tmp_path / "report" / name).read_text()
    data = DataFacts.model_validate_json((tmp_path / "report" / "data.json").read_bytes())
    assert data.patients == 10


def test_the_same_patient_may_have_the_same_picture_twice(films: DrawnFilms) -> None:
    table = pd.concat([films.table, films.table[:3]], ignore_index=True)
    benchmark = open_benchmark(str(films.write(table)))
    assert with_patients_joined(benchmark) is benchmark


def test_a_missing_image_is_named_by_its_row(films: DrawnFilms) -> None:
    table = films.table.copy()
    table.loc[3, "path"] = "gone.png"
    with pytest.raises(CohortError, match=r"row 5: the image file is missing"):
        open_benchmark(str(films.write(table)))


def test_a_label_column_of_text_is_named(films: DrawnFilms) -> None:
    table = films.table.assign(comment="Doe, Jane")
    with pytest.raises(CohortError, match="row 2: comment is not a number") as caught:
        open_benchmark(str(films.write(table)))
    assert "Doe" not in caught.value.detail
    benchmark = open_benchmark(str(films.write(table)), labels=["opacity"])
    assert [target.label for target in benchmark.targets] == ["opacity"]


@pytest.mark.parametrize("value", ["inf", "-Infinity", "1e300"])
def test_a_number_that_is_none_of_any_measurement_is_named(films: DrawnFilms, value: str) -> None:
    table = films.table.astype({"opacity": object})
    table.loc[2, "opacity"] = value
    with pytest.raises(CohortError, match="row 4: opacity is infinite, or too large"):
        open_benchmark(str(films.write(table)), labels=["opacity"])


def test_moments_are_no_numbers(films: DrawnFilms) -> None:
    parquet = films.folder / "moments.parquet"
    films.table.assign(taken=pd.Timestamp("2020-01-01")).to_parquet(parquet)
    with pytest.raises(CohortError, match="row 2: taken is not a number"):
        open_benchmark(str(parquet), labels=["taken"])


def test_blanks_are_an_empty_cell_and_no_part_of_a_columns_name(films: DrawnFilms) -> None:
    table = films.table.astype({"opacity": object})
    table.loc[3, "opacity"] = "  "
    table = table.rename(columns={"path": "path ", "opacity": " opacity"})
    benchmark = open_benchmark(str(films.write(table)), labels=["opacity"])
    (target,) = benchmark.findings
    assert not benchmark.usable(target)[3]


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_are_named(films: DrawnFilms, separator: str) -> None:
    films.table.to_csv(films.folder / "other.csv", sep=separator, index=False)
    with pytest.raises(CohortError, match="separated by commas"):
        open_benchmark(str(films.folder / "other.csv"))


def test_a_column_without_a_name_is_no_label(films: DrawnFilms) -> None:
    films.table.to_csv(films.folder / "numbered.csv")
    with pytest.raises(CohortError, match=r"numbered\.csv: column 1 has no name"):
        open_benchmark(str(films.folder / "numbered.csv"))
    assert open_benchmark(str(films.folder / "numbered.csv"), labels=["opacity"]).findings


def test_a_name_that_no_file_can_have_is_a_missing_image(films: DrawnFilms) -> None:
    table = films.table.copy()
    table.loc[3, "path"] = "x" * 5000
    with pytest.raises(CohortError, match=r"row 5: the image file is missing"):
        open_benchmark(str(films.write(table)))


def test_a_quantity_that_never_differs_is_a_reason(
    films: DrawnFilms, run_folder: Path, cache: EmbeddingCache
) -> None:
    benchmark = open_benchmark(str(films.write(films.table.assign(dose=0.5))), labels=["dose"])
    study = prepare(
        [open_subject(str(run_folder))], benchmark, cache, bootstrap=Bootstrap(replicates=100)
    )
    (row,) = linear.run(study).section.measurements
    assert (row.value, row.reason) == (None, "all reported films have the same value")


def test_unknown_splits_columns_and_benchmarks_are_refused(films: DrawnFilms) -> None:
    with pytest.raises(CohortError, match="row 2: splits are train, val, test"):
        open_benchmark(str(films.write(films.table.assign(split="holdout"))))
    with pytest.raises(CohortError, match="lacks the columns oedema"):
        open_benchmark(str(films.manifest), labels=["oedema"])
    with pytest.raises(BenchmarkError, match="nih"):
        open_benchmark("imagenet")
    with pytest.raises(BenchmarkError, match="--data"):
        open_benchmark("nih")
    with pytest.raises(CohortError, match=r"nowhere\.csv is missing"):
        open_benchmark("nowhere.csv")
    with pytest.raises(BenchmarkError, match="nothing to ask"):
        open_benchmark(str(films.write(films.table[["path"]])))


def test_films_without_a_label_are_left_out_and_counted(films: DrawnFilms) -> None:
    table = films.table.astype({"opacity": float})
    table.loc[:6, "opacity"] = np.nan
    table.loc[7:9, "opacity"] = -1
    benchmark = open_benchmark(str(films.write(table)), labels=["opacity"])
    (target,) = benchmark.findings
    assert benchmark.usable(target).sum() == len(table) - 10
    assert [(e.reason, e.films) for e in benchmark.exclusions] == [("opacity: no label", 10)]


def test_nothing_is_reported_of_a_finding_with_one_positive(
    films: DrawnFilms, run_folder: Path, cache: EmbeddingCache
) -> None:
    table = films.table.assign(rare=0)
    table.loc[table.index[table["split"] == "test"][0], "rare"] = 1
    benchmark = open_benchmark(str(films.write(table)), labels=["rare"])
    study = prepare(
        [open_subject(str(run_folder))], benchmark, cache, bootstrap=Bootstrap(replicates=100)
    )
    (row,) = linear.run(study).section.measurements
    assert row.value is None
    assert row.reason == "1 positive films, fewer than 10"


def test_two_subjects_of_one_name_are_refused(
    films: DrawnFilms, run_folder: Path, cache: EmbeddingCache
) -> None:
    encoders = [open_subject(f"same={run_folder}") for _ in range(2)]
    with pytest.raises(SubjectError, match="same name"):
        prepare(encoders, open_benchmark(str(films.manifest)), cache, bootstrap=Bootstrap())


def test_films_outside_the_folder_are_refused_before_they_are_looked_for(films: DrawnFilms) -> None:
    for place in ("../secret.png", "/etc/passwd", "a/../../secret.png"):
        table = films.table.copy()
        table.loc[2, "path"] = place
        with pytest.raises(CohortError, match="row 4: the image lies outside"):
            open_benchmark(str(films.write(table)), within=films.folder)
    assert open_benchmark(str(films.manifest), within=films.folder).targets
