"""Integer variants are added to a bundle only if they decide as it does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from typer.testing import CliRunner

from pacx.bundle import Bundle
from pacx.engines import open_gated, open_ungated
from pacx.engines.parity import LIMITS
from pacx.errors import BundleError, EngineUnavailable
from pacx.preprocessing import PreprocessingSpec, normalise
from pacx_export.commands import app
from pacx_export.int8 import GRAPHS, RECIPES, export_int8
from pacx_export.int8_onnxruntime import blockwise
from pacx_export.int8_openvino import weight_only
from pacx_export.pictures import calibration_pictures
from pacx_export.verification_report import Verification
from pacx_training.cohorts.phantom import phantom_radiograph
from tests.tiny_bundle import INTEGER_LIMITS

ENGINES = ("onnxruntime", "openvino")


def test_the_copy_differs_by_the_variant_and_the_report_alone(
    tiny_bundle: Bundle, integer_bundle: Bundle
) -> None:
    before, after = tiny_bundle.manifest.files, integer_bundle.manifest.files
    files = {f"int8/{graph}{suffix}" for graph in GRAPHS for suffix in (".onnx", ".xml", ".bin")}
    assert after.keys() - before.keys() == files
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"README.md", "verification.json"}


def test_the_report_is_part_of_the_copy(integer_bundle: Bundle) -> None:
    report = Verification.model_validate_json(integer_bundle.path("verification.json").read_bytes())
    added = [result for result in report.results if result.precision == "int8"]
    assert [(result.engine, result.graph) for result in added] == [
        (engine, graph) for engine in ENGINES for graph in GRAPHS
    ]
    assert all(result.passed for result in added)
    card = integer_bundle.path("README.md").read_text()
    assert all(f"`predict` on {engine} int8" in card for engine in ENGINES)


def test_phantoms_alone_are_warned_of_in_report_card_and_command(
    integer_bundle: Bundle, tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = Verification.model_validate_json(integer_bundle.path("verification.json").read_bytes())
    assert report.integers is not None
    assert report.integers.calibrated_on == {"phantom": 32}
    assert report.integers.proved_on == {"phantom": 24, "adversarial": 9}
    card = integer_bundle.path("README.md").read_text()
    assert len(report.doubts) == 3
    assert all(doubt in card for doubt in report.doubts)
    monkeypatch.setitem(LIMITS, "int8", INTEGER_LIMITS)
    monkeypatch.setattr("pacx_export.int8.RECIPES", {"onnxruntime": (blockwise,)})
    arguments = ["int8", str(tiny_bundle.directory), "-o", str(tmp_path / "made")]
    told = CliRunner().invoke(app, arguments, env={"COLUMNS": "300"})
    assert told.exit_code == 0, told.output
    for doubt in report.doubts:
        assert f"Warning: {doubt.strip('*')} --films FOLDER" in told.stderr


@pytest.mark.parametrize(("count", "kind"), [(96, "film"), (95, "phantom")])
def test_ranges_come_from_films_where_enough_are_left_beside_the_proof(
    count: int, kind: str, tmp_path: Path
) -> None:
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 255, (40, 32), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    pictures = calibration_pictures(tmp_path, PreprocessingSpec(size=32))
    assert {name: batch.shape for name, batch in pictures.items()} == {kind: (32, 32, 32)}


@pytest.mark.parametrize("name", ENGINES)
def test_it_runs_behind_the_replay_and_is_not_float32(integer_bundle: Bundle, name: str) -> None:
    size = integer_bundle.manifest.input.size
    pixels = normalise(
        phantom_radiograph(5, size).pixels[np.newaxis], integer_bundle.manifest.input
    )
    integer = open_gated(integer_bundle, name, precision="int8")
    exact = open_gated(integer_bundle, name, precision="f32")
    left, right = (e.run("encode", {"pixel_values": pixels})["embedding"] for e in (integer, exact))
    assert not np.array_equal(left, right)
    assert np.corrcoef(left.ravel(), right.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("name", ENGINES)
def test_graphs_without_a_variant_are_not_offered(integer_bundle: Bundle, name: str) -> None:
    manifest = integer_bundle.manifest
    size, classes = manifest.input.size, len(manifest.findings)
    inputs = {
        "pixel_values": np.zeros((1, 3, size, size), np.float32),
        "target": np.eye(1, classes, dtype=np.float32),
    }
    with pytest.raises(EngineUnavailable, match=rf"explain is not offered on {name} in int8"):
        open_gated(integer_bundle, name, precision="int8").run("explain", inputs)


@pytest.mark.parametrize("name", ENGINES)
def test_a_bundle_without_the_variant_says_how_to_get_it(tiny_bundle: Bundle, name: str) -> None:
    with pytest.raises(EngineUnavailable, match="pacx export int8"):
        open_ungated(tiny_bundle, name, precision="int8")


def test_an_engine_whose_recipes_fail_goes_without(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LIMITS, "int8", INTEGER_LIMITS)
    monkeypatch.setitem(RECIPES, "openvino", (noise,))
    made = export_int8(tiny_bundle, tmp_path / "made")
    assert not any(name.endswith((".xml", ".bin")) for name in made.manifest.files)
    assert "int8/predict.onnx" in made.manifest.files
    with pytest.raises(EngineUnavailable, match="for this engine"):
        open_ungated(made, "openvino", precision="int8")


def noise(source: Path, target: Path, pixel_values: np.ndarray) -> None:
    """A recipe that makes another model of it."""
    model = onnx.load(source)
    for weight in model.graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if values.dtype == np.float32 and values.ndim == 2:
            changed = np.random.default_rng(0).permuted(values)
            weight.CopyFrom(onnx.numpy_helper.from_array(changed, weight.name))
    onnx.save(model, source)
    weight_only(source, target, pixel_values)


def test_a_variant_that_was_there_is_not_taken_for_a_new_one(
    integer_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenVINO's fails this time: neither its files nor its results may stay."""
    monkeypatch.setitem(LIMITS, "int8", INTEGER_LIMITS)
    monkeypatch.setattr(
        "pacx_export.int8.RECIPES", {"onnxruntime": (blockwise,), "openvino": (noise,)}
    )
    made = export_int8(integer_bundle, tmp_path / "made")
    files = {name for name in made.manifest.files if name.startswith("int8/")}
    assert files == {f"int8/{graph}.onnx" for graph in GRAPHS}
    report = Verification.model_validate_json(made.path("verification.json").read_bytes())
    added = {result.engine for result in report.results if result.precision == "int8"}
    assert added == {"onnxruntime"}
    assert "on openvino int8" not in made.path("README.md").read_text()


def test_over_tolerance_nothing_is_written(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LIMITS, "int8", replace(LIMITS["int8"], cosine=1e-9))
    with pytest.raises(BundleError, match="No integer variant passes"):
        export_int8(tiny_bundle, tmp_path / "made")
    assert list(tmp_path.iterdir()) == []
