"""A run folder gives back exactly what was put into it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from pacx.errors import CheckpointError
from pacx.manifest import FindingSpec, HeadSpec, Provenance
from pacx_training.encoder import EncoderConfig, VisionTransformer
from pacx_training.runs import Environment, RunDirectory, TrainedHead


def _head(name: str, *labels: str) -> TrainedHead:
    findings = tuple(
        FindingSpec(
            label=label,
            group="radiology",
            threshold=0.5,
            temperature=1.0,
            calibrated=False,
            simulated=False,
            training_positives=3,
            validation_auroc=None,
        )
        for label in labels
    )
    weight = np.arange(len(labels) * 32, dtype=np.float32).reshape(len(labels), 32)
    bias = np.arange(len(labels), dtype=np.float32)
    return TrainedHead(spec=HeadSpec(name=name, findings=findings), weight=weight, bias=bias)


def test_the_encoder_comes_back(tiny: EncoderConfig, tmp_path: Path) -> None:
    encoder, run = VisionTransformer(tiny), RunDirectory(tmp_path / "run")
    run.save_encoder(encoder.bfloat16())
    restored = run.load_encoder()
    assert restored.config == tiny
    assert not restored.training
    for key, tensor in restored.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, encoder.state_dict()[key].float())


def test_heads_come_back_in_order(tmp_path: Path) -> None:
    heads, run = (_head("zeta", "a", "b"), _head("alpha", "c")), RunDirectory(tmp_path)
    assert run.load_heads() == ()
    run.save_heads(heads)
    restored = run.load_heads()
    assert [head.spec for head in restored] == [head.spec for head in heads]
    for before, after in zip(heads, restored, strict=True):
        np.testing.assert_array_equal(after.weight, before.weight)
        np.testing.assert_array_equal(after.bias, before.bias)
    assert set(load_file(tmp_path / "heads.safetensors")) == {
        "heads.zeta.weight", "heads.zeta.bias", "heads.alpha.weight", "heads.alpha.bias",
    }  # fmt: skip


def test_heads_without_their_weights_are_refused(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.save_heads([_head("findings", "a")])
    (tmp_path / "heads.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"heads\.json"):
        run.load_heads()


def test_provenance_comes_back(tmp_path: Path) -> None:
    provenance = Provenance(initialisation="random", sources=(), steps=("pacx train mae",))
    RunDirectory(tmp_path).save_provenance(provenance)
    assert RunDirectory(tmp_path).load_provenance() == provenance


@pytest.mark.parametrize("content", [None, "{}", "no json"])
def test_broken_provenance_is_refused(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "provenance.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"provenance\.json"):
        RunDirectory(tmp_path).load_provenance()


def test_the_environment_names_versions_and_no_paths(tmp_path: Path) -> None:
    RunDirectory(tmp_path).save_environment()
    text = (tmp_path / "environment.json").read_text()
    assert Environment.model_validate_json(text).packages["torch"] == torch.__version__
    assert str(Path.home()) not in text


def test_no_partial_files_are_left(tiny: EncoderConfig, tmp_path: Path) -> None:
    RunDirectory(tmp_path).save_encoder(VisionTransformer(tiny))
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors"}
