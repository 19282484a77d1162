"""The authors' own files, through ``pacx import`` and ``pacx export bundle``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pacx.bundle import Bundle, open_bundle
from pacx.engines import Engine, open_gated, open_ungated
from pacx.engines.protocol import Tensor as Array
from pacx.errors import CheckpointError, EngineUnavailable
from pacx.preprocessing import PreprocessingSpec, normalise
from pacx_export.assembly import export_bundle
from pacx_training.cohorts.phantom import phantom_radiograph
from pacx_training.imports import import_run
from pacx_training.runs import RunDirectory

WIDTH, RANK, ALPHA, DEPTH = 128, 8, 16, 1
ADAPTED = ("attn.qkv", "mlp.fc1", "mlp.fc2")


class Adapted(nn.Module):
    """A linear layer with a low-rank update beside it, as the authors' stage 2 computes it."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.down = nn.Parameter(torch.randn(RANK, base.in_features) * 0.05)
        self.up = nn.Parameter(torch.randn(base.out_features, RANK) * 0.05)

    def forward(self, values: Tensor) -> Tensor:
        """Values ``[..., in]`` -> ``[..., out]``."""
        base: Tensor = self.base(values)
        return base + ALPHA / RANK * ((values @ self.down.T) @ self.up.T)


@pytest.fixture
def architecture(timm: ModuleType) -> nn.Module:
    """Timm's ViT with PyTorch's epsilon and unfused updates: no code of ours."""
    torch.manual_seed(3)
    model: nn.Module = timm.models.vision_transformer.VisionTransformer(
        img_size=32,
        patch_size=8,
        embed_dim=WIDTH,
        depth=DEPTH,
        num_heads=WIDTH // 64,
        num_classes=0,
        global_pool="token",
        norm_layer=lambda width, **_: nn.LayerNorm(width, eps=1e-5),
    )
    with torch.no_grad():
        for parameter in model.parameters():
            # Values that float16 holds exactly, so that nothing but the arithmetic differs.
            parameter.copy_((parameter + torch.randn_like(parameter) * 0.05).half())
    return model.eval()


def adapt(model: nn.Module) -> None:
    for block in range(DEPTH):
        for name in ADAPTED:
            path, leaf = f"blocks.{block}.{name}".rsplit(".", 1)
            parent = model.get_submodule(path)
            linear = parent.get_submodule(leaf)
            assert isinstance(linear, nn.Linear)
            setattr(parent, leaf, Adapted(linear))


def lightning(state: Mapping[str, Tensor], **hyper_parameters: object) -> dict[str, object]:
    return {
        "epoch": 49,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": dict(state),
        "hyper_parameters": dict(hyper_parameters),
    }


def stage_2(model: nn.Module) -> dict[str, Tensor]:
    """State of an adapted model under the names that PEFT and Lightning give it."""
    names = (
        (".base.", ".base_layer."),
        (".down", ".lora_A.default.weight"),
        (".up", ".lora_B.default.weight"),
    )
    state = {}
    for key, tensor in model.state_dict().items():
        renamed = key
        for own, theirs in names:
            renamed = renamed.replace(own, theirs)
        state[f"cxr_encoder.base_model.model.{renamed}"] = tensor
    state["cxr_to_shared.1.weight"] = torch.randn(256, WIDTH)
    state["logit_scale"] = torch.tensor(2.6)
    return state


def own_embedding(model: nn.Module, pixels: Array) -> Array:
    with torch.inference_mode():
        embedding: Array = model(torch.from_numpy(pixels)).numpy()
    return embedding


def pixels() -> Array:
    spec = PreprocessingSpec(size=32)
    return normalise(np.stack([phantom_radiograph(s, 32).pixels for s in range(4)]), spec)


def assert_embeds_alike(run: RunDirectory, wanted: Array, folder: Path, limit: float) -> None:
    assert_bundle_embeds_alike(
        export_bundle(run, folder / "bundle", name="authors", version="0.1.0"), wanted, limit
    )


def assert_bundle_embeds_alike(bundle: Bundle, wanted: Array, limit: float) -> None:
    for name in ("onnxruntime", "openvino"):
        engine = open_ungated(bundle, name, precision="f32", threads=1)
        assert worst_cosine(engine, wanted) >= limit
        engine.close()
    assert_bf16_is_close_or_refused(bundle, wanted)


def worst_cosine(engine: Engine, wanted: Array) -> float:
    found = engine.run("encode", {"pixel_values": pixels()})["embedding"]
    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(wanted, axis=1)
    return float(((found * wanted).sum(axis=1) / norms).min())


def assert_bf16_is_close_or_refused(bundle: Bundle, wanted: Array) -> None:
    """An engine offers bf16 only where it keeps 0.9999, on processors that compute in it."""
    try:
        engine = open_gated(bundle, "openvino", precision="bf16", threads=1)
    except EngineUnavailable:
        return
    if engine.offers("encode"):
        assert worst_cosine(engine, wanted) >= 0.9999
    else:
        assert engine.report("encode").reason
    engine.close()


def test_stage_2_with_its_updates(architecture: nn.Module, tmp_path: Path) -> None:
    adapt(architecture)
    torch.save(lightning(stage_2(architecture)), tmp_path / "last.ckpt")
    called("import", str(tmp_path / "last.ckpt"), "-o", str(tmp_path / "run"))
    called("export", "bundle", str(tmp_path / "run"), "-o", str(tmp_path / "authors"))
    bundle = open_bundle(tmp_path / "authors")
    assert bundle.manifest.name == "authors"
    assert_bundle_embeds_alike(bundle, own_embedding(architecture, pixels()), 0.999999)


def called(*arguments: str) -> None:
    """Call ``pacx`` as users do."""
    subprocess.run([sys.executable, "-m", "pacx", *arguments], check=True, capture_output=True)


def test_stage_2_that_lost_an_update_is_refused(architecture: nn.Module, tmp_path: Path) -> None:
    adapt(architecture)
    state = stage_2(architecture)
    lost = [key for key in state if "blocks.0.attn.qkv.lora_" in key]
    for key in lost:
        del state[key]
    torch.save(lightning(state), tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError, match=r"blocks\.0\.attn\.qkv was adapted"):
        import_run(tmp_path / "last.ckpt", tmp_path / "run", "The authors' stage 2.")


def test_classification_with_its_head(architecture: nn.Module, tmp_path: Path) -> None:
    state = {f"model.backbone.{key}": value for key, value in architecture.state_dict().items()}
    state["model.head.weight"] = torch.randn(2, WIDTH) * 0.1
    state["model.head.bias"] = torch.zeros(2)
    checkpoint = lightning(state, class_names=["Normal", "Tuberculosis"], task_type="multiclass")
    torch.save(checkpoint, tmp_path / "best.ckpt")
    import_run(
        tmp_path / "best.ckpt", tmp_path / "run", "The authors' classifier.", layer_norm_eps=1e-5
    )
    run = RunDirectory(tmp_path / "run")
    assert_embeds_alike(run, own_embedding(architecture, pixels()), tmp_path, 0.999999)
