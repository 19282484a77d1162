"""From ``pacx evaluate`` into a bundle's model card: printed, and as a bundle that still holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer import Typer
from typer.testing import CliRunner, Result

from pacx.bundle import Bundle, open_bundle
from pacx.bundle_commands import app
from pacx.errors import BundleError, EvaluationError
from pacx.model_card import missing_statements, sections
from pacx.numerals import number
from pacx_evaluation.commands import evaluate
from pacx_evaluation.site_commands import calibrate
from tests.evaluation.conftest import DrawnFilms

HEADING = "Measured on Manifest other.csv: linear probe, calibration"


def card(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["card", *map(str, arguments)])


@pytest.fixture(scope="module")
def manifest(films: DrawnFilms) -> Path:
    """Labels of which the tiny bundle knows one."""
    return films.write(films.table.rename(columns={"opacity": "Edema"}).drop(columns="volume"))


@pytest.fixture(scope="module")
def report(tiny_bundle: Bundle, manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on random weights and on the tiny bundle."""
    folder = tmp_path_factory.mktemp("report")
    commands = Typer()
    commands.command()(evaluate)
    arguments: list[object] = ["random:vit_tiny_patch16_32", f"tiny={tiny_bundle.directory}"]
    arguments += ["--benchmark", manifest, "--protocol", "linear", "--protocol", "calibration"]
    arguments += ["-o", folder / "report", "--cache", folder / "cache", "--replicates", 100]
    result = CliRunner().invoke(commands, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return folder / "report"


def test_the_card_tells_what_the_report_found_about_this_bundle(
    tiny_bundle: Bundle, report: Path
) -> None:
    printed = card(tiny_bundle.directory, "--report", report).output
    told = sections(printed)[HEADING]
    assert f"sha256 `{tiny_bundle.sha256}`" in told
    metrics = json.loads((report / "metrics.json").read_bytes())
    mine, others = (
        {
            number(row["value"])
            for row in metrics["sections"][0]["measurements"]
            if (row["subject"], row["metric"]) == (name, "auroc") and row["value"] is not None
        }
        for name in ("tiny", "random weights")
    )
    assert all(f"| {value} (" in told for value in mine)
    assert not any(f"| {value} (" in told for value in others - mine)
    assert "after scaling" in told
    assert "the report gives the reasons" in told, "the finding `rare` has too few films"
    results = yaml.safe_load(printed.split("---\n")[1])["model-index"][0]["results"]
    assert {"auroc"} <= {metric["type"] for metric in results[0]["metrics"]}
    own = tiny_bundle.path("README.md").read_text()
    assert own != printed
    assert card(tiny_bundle.directory).output == own


def test_a_new_version_holds_and_keeps_its_results_when_it_is_calibrated(
    tiny_bundle: Bundle, report: Path, manifest: Path, tmp_path: Path
) -> None:
    made, local = tmp_path / "made", tmp_path / "local"
    arguments = ("--report", report, "-o", made, "--version", "0.1.1")
    result = card(tiny_bundle.directory, *arguments)
    opened = open_bundle(made)
    assert opened.sha256 in result.output.replace("\n", "")
    assert (opened.manifest.version, missing_statements(opened)) == ("0.1.1", ())
    assert opened.manifest.provenance.steps[-1] == "pacx bundle card --report"
    text = opened.path("README.md").read_text()
    assert HEADING in sections(text)
    assert "# tiny 0.1.1\n" in text
    commands = Typer()
    commands.command()(calibrate)
    fitted = (made, "--manifest", manifest, "--label", "Edema", "-o", local)
    options = [str(argument) for argument in (*fitted, "--version", "0.2.0")]
    assert CliRunner().invoke(commands, options).exit_code == 0
    after = sections(open_bundle(local).path("README.md").read_text())
    assert after[HEADING] == sections(text)[HEADING]
    assert after["Engines against torch"] == sections(text)["Engines against torch"]
    assert "onnxruntime f32" in after["Engines against torch"]


def test_a_report_about_something_else_and_half_an_order_are_refused(
    tiny_bundle: Bundle, tiny_copy: Path, report: Path, tmp_path: Path
) -> None:
    new = ("-o", tmp_path / "new")
    cases: list[tuple[tuple[object, ...], type[Exception], str]] = [
        (("--report", tmp_path), EvaluationError, "holds no metrics.json"),
        (("--report", report, *new), BundleError, "--version"),
        (("--version", "1.0"), BundleError, "--output"),
        ((*new, "--version", "1.0"), BundleError, "--report"),
        (("--report", report, *new, "--version", "0.1.0"), BundleError, "bundle's own"),
        (("--report", report, *new, "--version", "next"), BundleError, "version"),
    ]
    for arguments, kind, told in cases:
        with pytest.raises(kind, match=told):
            raise card(tiny_bundle.directory, *arguments).exception or AssertionError
    (tmp_path / "metrics.json").write_text('{"schema_version": 2}')
    with pytest.raises(EvaluationError, match="none that this version"):
        raise card(tiny_bundle.directory, "--report", tmp_path).exception or AssertionError
    other = tmp_path / "other"
    assert (
        card(tiny_bundle.directory, "--report", report, "-o", other, "--version", "2").exit_code
        == 0
    )
    with pytest.raises(EvaluationError, match="other models or versions"):
        raise card(other, "--report", report).exception or AssertionError
    assert not (tmp_path / "new").exists()
