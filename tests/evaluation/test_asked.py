"""What was asked for is checked before any film is read: errors name the option and the way out."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from pacx.errors import BenchmarkError, EvaluationError, PacxError, SubjectError
from pacx_evaluation.asked import PROTOCOL_NAMES
from pacx_evaluation.commands import evaluate
from pacx_evaluation.protocols import PROTOCOLS
from tests.evaluation.conftest import DrawnFilms
from tests.onnx_pooling import write_pooling


def ask(folder: Path, *arguments: object) -> PacxError:
    """The error that the command ends with; neither cache nor report may have been begun."""
    app = Typer()
    app.command()(evaluate)
    words = [str(argument) for argument in arguments]
    cache, report = folder / "cache.sqlite", folder / "report"
    result = CliRunner().invoke(app, [*words, "-o", str(report), "--cache", str(cache)])
    assert isinstance(result.exception, PacxError), result.output
    assert not report.exists()
    return result.exception


def test_the_names_of_protocols_are_known_without_importing_them() -> None:
    assert tuple(PROTOCOLS) == PROTOCOL_NAMES


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--benchmark", "x.csv", "--protocol", "lineal"), r"--protocol lineal: .* linear, few-"),
        (("--benchmark", "nih", "--protocol", "explanations", "--outlines", "o"), r"--data FOLDER"),
        (("--benchmark", "x.csv", "--data", "."), "--data: a manifest names its films itself"),
        (("--benchmark", "nih", "--data", ".", "--images", "."), "--images: .* medmod or cxl-seg"),
        (("--benchmark", "nih", "--data", ".", "--label", "Edema"), "--label: only for a manifest"),
        (("--benchmark", "nih", "--data", ".", "--within", "."), "--within: only for a manifest"),
        (
            ("--benchmark", "nih", "--data", ".", "--teachers", "."),
            "--teachers: only for .* symile",
        ),
        (("--benchmark", "x.csv", "--epochs", 3), "--epochs: only for --protocol finetune"),
        (("--benchmark", "x.csv", "--seeds", 3), "--seeds: only for --protocol finetune"),
        (("--benchmark", "x.csv", "--learning-rate", 1), "--learning-rate: only .* finetune"),
        (("--benchmark", "x.csv", "--overlays", 2), "--overlays: only .* explanations"),
        (("--benchmark", "x.csv", "--decoder-steps", 2), "--decoder-steps: only .* segmentation"),
        (
            ("--benchmark", "x.csv", "--data", ".", "--outlines", "o"),
            "--outlines: only for --protocol explanations or segmentation",
        ),
    ],
)
def test_options_that_do_not_fit_together_are_refused_at_once(
    tmp_path: Path, arguments: tuple[object, ...], told: str
) -> None:
    with pytest.raises(EvaluationError, match=told):
        # There is neither such a subject nor such a table: options come first.
        raise ask(tmp_path, "no-subject", *arguments)


@pytest.mark.parametrize(
    ("protocol", "kind", "told"),
    [
        ("export-parity", SubjectError, "export-parity needs a bundle"),
        ("explanations", SubjectError, "explanations needs a bundle"),
        ("finetune", SubjectError, "pooling.onnx has no weights that torch can use"),
        ("segmentation", SubjectError, "pooling.onnx has no weights that torch can use"),
        ("alignment", BenchmarkError, "--benchmark simulated and --benchmark symile"),
    ],
)
def test_what_a_protocol_lacks_is_told_before_a_film_is_embedded(
    films: DrawnFilms, tmp_path: Path, protocol: str, kind: type[PacxError], told: str
) -> None:
    subject = write_pooling(tmp_path / "pooling.onnx")
    with pytest.raises(kind, match=told):
        raise ask(tmp_path, subject, "--benchmark", films.manifest, "--protocol", protocol)
    assert not (tmp_path / "cache.sqlite").exists()


def test_segmentation_without_masks_says_how_to_give_some(
    films: DrawnFilms, run_folder: Path, tmp_path: Path
) -> None:
    arguments = (run_folder, "--benchmark", films.manifest, "--protocol", "segmentation")
    with pytest.raises(BenchmarkError, match="--outlines FILE --data FOLDER"):
        raise ask(tmp_path, *arguments)


def test_a_table_without_train_is_refused_before_a_film_is_embedded(
    films: DrawnFilms, run_folder: Path, tmp_path: Path
) -> None:
    table = films.table[films.table["split"] != "train"]
    with pytest.raises(BenchmarkError, match="no train split"):
        raise ask(tmp_path, run_folder, "--benchmark", films.write(table))


@pytest.mark.parametrize("option", ["--output", "--cache"])
@pytest.mark.parametrize("below", ["", "further/down"])
def test_a_place_that_cannot_be_written_to_is_told_before_films_are_read(
    films: DrawnFilms, run_folder: Path, tmp_path: Path, option: str, below: str
) -> None:
    occupied = tmp_path / "notes.txt"
    occupied.write_text("These are notes, and neither a folder nor a cache of embeddings.")
    places = {"--output": tmp_path / "report", "--cache": tmp_path / "cache.sqlite"}
    places[option] = occupied / below
    app = Typer()
    app.command()(evaluate)
    words = [str(word) for place in places.items() for word in place]
    asked = [str(run_folder), "--benchmark", str(films.manifest), *words]
    error = CliRunner().invoke(app, asked).exception
    assert isinstance(error, EvaluationError)
    assert error.detail.startswith(f"{option} {occupied / below}: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt"]
    assert occupied.read_text().startswith("These are notes")
