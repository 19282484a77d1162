"""``pacx bundle``, through its own face."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner, Result

from pacx.bundle import Bundle, write_manifest
from pacx.bundle_commands import app
from pacx.errors import BundleError, EngineUnavailable
from tests.tiny_bundle import LABELS


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_inspect_says_what_it_is(tiny_bundle: Bundle) -> None:
    output = call("inspect", tiny_bundle.directory).output
    for fact in (tiny_bundle.sha256[:16], "tiny 0.1.0", "Phantoms", *LABELS):
        assert fact in output
    assert "not for clinical use" in output


def test_inspect_as_json_is_the_manifest(tiny_bundle: Bundle) -> None:
    printed = json.loads(call("inspect", tiny_bundle.directory, "--json").output)
    assert printed == tiny_bundle.manifest.model_dump(mode="json")


def test_card_is_the_bundle_s_own(tiny_bundle: Bundle) -> None:
    result = call("card", tiny_bundle.directory)
    assert result.output == tiny_bundle.path("README.md").read_text()


def test_verify_passes_a_whole_bundle(tiny_bundle: Bundle) -> None:
    result = call("verify", tiny_bundle.directory)
    assert result.exit_code == 0
    assert "explain on onnxruntime f32: passed" in result.output
    assert "explain on openvino f32: not offered" in result.output


def test_verify_fails_where_a_named_engine_differs(tiny_bundle: Bundle) -> None:
    arguments = ("verify", tiny_bundle.directory, "--engine", "openvino", "--precision", "f32")
    assert call(*arguments).exit_code == 1


def test_verify_of_an_engine_that_is_not_here(tiny_bundle: Bundle) -> None:
    arguments = ("verify", tiny_bundle.directory, "--engine", "onnxruntime", "--precision", "bf16")
    assert isinstance(call(*arguments).exception, EngineUnavailable)


@pytest.mark.parametrize("option", ["--engine", "--precision"])
def test_verify_of_what_nobody_knows(tiny_bundle: Bundle, option: str) -> None:
    result = call("verify", tiny_bundle.directory, option, "fastest")
    assert result.exit_code == 2
    assert "fastest is not one of" in result.stderr


def test_verify_fails_a_bundle_with_another_weight(tiny_copy: Path, tiny_bundle: Bundle) -> None:
    heads = load_file(tiny_copy / "heads.safetensors")
    labels = json.dumps(list(LABELS))
    heads["heads.findings.weight"][0, 0] += 1
    save_file(heads, tiny_copy / "heads.safetensors", metadata={"labels.findings": labels})
    write_manifest(tiny_copy, tiny_bundle.manifest)
    result = call("verify", tiny_copy)
    assert result.exit_code == 1
    assert "predict is right on no engine here" in result.output


def test_verify_fails_a_card_that_keeps_quiet(tiny_copy: Path, tiny_bundle: Bundle) -> None:
    card = (tiny_copy / "README.md").read_text()
    (tiny_copy / "README.md").write_text(card.replace("not for clinical use", "for everybody"))
    write_manifest(tiny_copy, tiny_bundle.manifest)
    result = call("verify", tiny_copy)
    assert result.exit_code == 1
    assert "does not state: disclaimer" in result.output


def test_verify_fails_what_timm_would_build_otherwise(tiny_copy: Path, tiny_bundle: Bundle) -> None:
    path = tiny_copy / "config.json"
    told = json.loads(path.read_text())
    told["pretrained_cfg"]["mean"][1] *= 1.01
    for content, where in ((json.dumps(told), "pretrained_cfg.mean"), ("[]", "whole")):
        path.write_text(content)
        write_manifest(tiny_copy, tiny_bundle.manifest)
        result = call("verify", tiny_copy, "--engine", "onnxruntime")
        assert result.exit_code == 1
        assert f"config.json contradicts the manifest: {where}." in result.output


def test_verify_fails_a_damaged_file(tiny_copy: Path) -> None:
    (tiny_copy / "encode.onnx").write_bytes(b"")
    assert isinstance(call("verify", tiny_copy).exception, BundleError)


def test_diff_of_a_bundle_with_itself(tiny_bundle: Bundle) -> None:
    result = call("diff", tiny_bundle.directory, tiny_bundle.directory)
    assert (result.exit_code, result.output.strip()) == (0, "No difference.")


def test_diff_names_statements_and_tensors(
    tiny_copy: Path, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    weights = load_file(tiny_copy / "model.safetensors")
    weights["norm.weight"][0] *= 2
    save_file(weights, tiny_copy / "model.safetensors", metadata={"format": "pt"})
    write_manifest(tiny_copy, tiny_bundle.manifest.model_copy(update={"version": "0.2.0"}))
    result = call("diff", tiny_bundle.directory, tiny_copy)
    assert result.exit_code == 1
    assert "version" in result.output
    assert "norm.weight" in result.output
    assert "norm.bias" not in result.output


def test_diff_names_files_of_one_and_files_that_differ(
    tiny_copy: Path, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    (tiny_copy / "int8").mkdir()
    (tiny_copy / "int8" / "encode.onnx").write_bytes(b"of one alone")
    (tiny_copy / "README.md").write_text("another card")
    write_manifest(tiny_copy, tiny_bundle.manifest)
    result = call("diff", tiny_bundle.directory, tiny_copy)
    assert result.exit_code == 1
    assert {"file int8/encode.onnx", "file README.md"} == {
        line.strip("│ ").split(" │")[0].split("│")[0].strip()
        for line in result.output.splitlines()
        if "file " in line
    }


def test_pack_and_unpack(tiny_bundle: Bundle, tmp_path: Path) -> None:
    assert call("pack", tiny_bundle.directory, "-o", tmp_path / "tiny.tar").exit_code == 0
    result = call("unpack", tmp_path / "tiny.tar", "-o", tmp_path / "back")
    assert tiny_bundle.sha256 in result.output.replace("\n", "")
