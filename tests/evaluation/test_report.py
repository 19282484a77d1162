"""A report is whole, repeatable, stands alone and names nobody."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from typer import Typer
from typer.testing import CliRunner

from pacx_evaluation.commands import evaluate
from pacx_evaluation.report.records import DataFacts, EnvironmentFacts, Report
from tests.evaluation.conftest import DrawnFilms

FILES = {
    "report.html", "report.md", "model_card.md", "metrics.json", "data.json", "environment.json",
    "predictions.parquet",
}  # fmt: skip
PROTOCOLS = ("linear", "few-label", "calibration", "subgroups")


def run_command(films: DrawnFilms, run: Path, output: Path, cache: Path) -> Path:
    """Call ``pacx evaluate`` as the command line does."""
    app = Typer()
    app.command()(evaluate)
    arguments = [f"tiny={run}", "random:vit_tiny_patch16_32", "--benchmark", str(films.manifest)]
    arguments += [part for name in PROTOCOLS for part in ("--protocol", name)]
    arguments += ["-o", str(output), "--cache", str(cache), "--replicates", "100"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return output


@pytest.fixture(scope="module")
def report(films: DrawnFilms, run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two subjects with all protocols that need no further files."""
    folder = tmp_path_factory.mktemp("report")
    return run_command(films, run_folder, folder / "report", folder / "cache.sqlite")


def test_everything_that_a_reader_needs_is_there(report: Path) -> None:
    assert {path.name for path in report.iterdir() if path.is_file()} == FILES
    metrics = Report.model_validate_json((report / "metrics.json").read_bytes())
    assert [section.name for section in metrics.sections] == list(PROTOCOLS)
    for figure in metrics.figures:
        assert (report / f"figures/{figure.name}.svg").read_text().startswith("<?xml")
        assert len(pd.read_csv(report / f"figures/{figure.name}.csv"))
    for section in metrics.sections:
        table = pd.read_csv(report / f"tables/{section.name}.csv")
        assert len(table) == len(section.measurements)


def test_the_data_is_described_and_its_splits_proven_apart(report: Path, films: DrawnFilms) -> None:
    data = DataFacts.model_validate_json((report / "data.json").read_bytes())
    assert data.films == len(films.table) == sum(split.films for split in data.splits.values())
    assert len(data.disjointness) == 3
    assert all((d.shared_patients, d.shared_films) == (0, 0) for d in data.disjointness)
    test = films.table[films.table["split"] == "test"]
    assert data.splits["test"].targets["opacity"].positives == test["opacity"].sum()


def test_the_same_evaluation_gives_the_same_numbers(
    report: Path, films: DrawnFilms, run_folder: Path, tmp_path: Path
) -> None:
    again = run_command(films, run_folder, tmp_path / "again", tmp_path / "cache.sqlite")
    pictures = [str(path.relative_to(report)) for path in (report / "figures").iterdir()]
    for name in ("metrics.json", "data.json", "report.md", *pictures):
        assert (again / name).read_bytes() == (report / name).read_bytes(), name


def test_the_page_stands_alone(report: Path) -> None:
    page = (report / "report.html").read_text()
    loaded = re.findall(r"(?:src|href|xlink:href)=\"((?:https?:)?//[^\"]+)\"", page)
    assert not loaded
    assert "<script" not in page
    assert page.count("<svg") == len(list((report / "figures").glob("*.svg")))
    assert page.count('<div role="img" aria-label="') == page.count("<figure>") > 0
    assert 'name="viewport"' in page
    assert "not for clinical use" in page


def test_no_file_of_a_report_names_a_film_or_a_patient(report: Path, films: DrawnFilms) -> None:
    rows = pd.read_parquet(report / "predictions.parquet")
    assert set(rows["subject"]) == {"tiny", "random weights"}
    assert rows["film"].str.fullmatch(r"[0-9a-f]{32}").all()
    content = (
        "\n".join(
            path.read_text() for path in report.rglob("*") if path.suffix not in (".parquet", "")
        )
        + rows.to_csv()
    )
    for secret in (*films.table["path"].unique(), *films.table["patient"].unique()):
        assert not re.search(rf"{re.escape(secret)}\b", content)
    assert str(films.folder) not in content


def test_predictions_repeat_the_area_that_is_reported(report: Path) -> None:
    from sklearn.metrics import roc_auc_score

    metrics = json.loads((report / "metrics.json").read_text())
    rows = pd.read_parquet(report / "predictions.parquet").query("target == 'opacity'")
    for subject, own in rows.groupby("subject"):
        (reported,) = (
            m["value"]
            for m in metrics["sections"][0]["measurements"]
            if (m["subject"], m["target"], m["metric"]) == (subject, "opacity", "auroc")
        )
        assert reported == pytest.approx(roc_auc_score(own["label"], own["probability"]))


def test_the_environment_names_versions_and_weights_but_no_machine(report: Path) -> None:
    facts = EnvironmentFacts.model_validate_json((report / "environment.json").read_bytes())
    assert {"pacx", "torch", "numpy"} <= facts.packages.keys()
    assert set(facts.subjects) == {"tiny", "random weights"}
    assert str(Path.home()) not in facts.model_dump_json()


def test_the_card_has_what_model_hubs_read(report: Path) -> None:
    import yaml

    _, front, body = (report / "model_card.md").read_text().split("---\n", 2)
    fields = yaml.safe_load(front)
    (entry,) = fields["model-index"]
    assert entry["name"] == "random weights"
    assert {"auroc", "spearman"} <= {m["type"] for m in entry["results"][0]["metrics"]}
    assert "not for clinical use" in body
