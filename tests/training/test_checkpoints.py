"""Weights from elsewhere: names, shapes, folding, and refusal of what is unsafe."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pacx.errors import CheckpointError
from pacx_training.checkpoints import (
    import_dinov2,
    import_encoder,
    load_strictly,
    read_tensors,
    resize_kernel,
)
from pacx_training.encoder import EncoderConfig, VisionTransformer
from pacx_training.positions import resize_positions

WIDTH, BLOCKS, PATCH, GRID = 64, 2, 14, 5


@pytest.fixture
def dinov2() -> dict[str, Tensor]:
    """A small DINOv2 backbone under Hugging Face's names, drawn at random."""
    shapes = {
        "embeddings.cls_token": (1, 1, WIDTH),
        "embeddings.mask_token": (1, WIDTH),
        "embeddings.position_embeddings": (1, GRID * GRID + 1, WIDTH),
        "embeddings.patch_embeddings.projection.weight": (WIDTH, 3, PATCH, PATCH),
        "embeddings.patch_embeddings.projection.bias": (WIDTH,),
        "layernorm.weight": (WIDTH,),
        "layernorm.bias": (WIDTH,),
    }
    for block in range(BLOCKS):
        layer = f"encoder.layer.{block}"
        maps = {"mlp.fc1": (4 * WIDTH, WIDTH), "mlp.fc2": (WIDTH, 4 * WIDTH)}
        for name in ("attention.query", "attention.key", "attention.value", "output.dense"):
            maps[f"attention.{name}"] = (WIDTH, WIDTH)
        for name, shape in maps.items():
            shapes[f"{layer}.{name}.weight"] = shape
            shapes[f"{layer}.{name}.bias"] = shape[:1]
        for name in ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"):
            shapes[f"{layer}.{name}"] = (WIDTH,)
        for name in ("layer_scale1.lambda1", "layer_scale2.lambda1"):
            shapes[f"{layer}.{name}"] = (WIDTH,)
    generator = torch.Generator().manual_seed(3)
    tensors = {key: 0.2 * torch.randn(shape, generator=generator) for key, shape in shapes.items()}
    return {f"backbone.{key}": tensor for key, tensor in tensors.items()}


def test_dinov2_answers_as_with_its_layer_scale(
    dinov2: dict[str, Tensor], timm: ModuleType, tmp_path: Path
) -> None:
    """At its own patch size, folded LayerScale equals timm's ViT that keeps it apart."""
    save_file(dinov2, tmp_path / "dinov2.safetensors")
    size = GRID * PATCH
    ours = import_dinov2(tmp_path / "dinov2.safetensors", patch_size=PATCH, image_size=size)
    theirs = timm.models.VisionTransformer(
        img_size=size, patch_size=PATCH, embed_dim=WIDTH, depth=BLOCKS, num_heads=1,
        init_values=1.0, num_classes=0,
    ).eval()  # fmt: skip
    state = ours.state_dict()
    for block in range(BLOCKS):
        layer = f"backbone.encoder.layer.{block}"
        state[f"blocks.{block}.attn.proj.weight"] = dinov2[f"{layer}.attention.output.dense.weight"]
        state[f"blocks.{block}.attn.proj.bias"] = dinov2[f"{layer}.attention.output.dense.bias"]
        state[f"blocks.{block}.mlp.fc2.weight"] = dinov2[f"{layer}.mlp.fc2.weight"]
        state[f"blocks.{block}.mlp.fc2.bias"] = dinov2[f"{layer}.mlp.fc2.bias"]
        for scale in (1, 2):
            state[f"blocks.{block}.ls{scale}.gamma"] = dinov2[f"{layer}.layer_scale{scale}.lambda1"]
    theirs.load_state_dict(state, strict=True)
    pixels = torch.randn(2, 3, size, size)
    with torch.inference_mode():
        answer, expected = ours.eval()(pixels), theirs.forward_features(pixels)
    torch.testing.assert_close(answer.cls, expected[:, 0], atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(answer.tokens, expected[:, 1:], atol=2e-5, rtol=1e-4)


def test_dinov2_is_resized_to_the_wanted_patches(dinov2: dict[str, Tensor], tmp_path: Path) -> None:
    save_file(dinov2, tmp_path / "dinov2.safetensors")
    encoder = import_encoder(tmp_path / "dinov2.safetensors")
    assert encoder.config.patch_size == 16
    assert encoder.config.grid == 14
    assert encoder.config.position_embedding == "learned"


def test_resizing_agrees_with_timm(timm: ModuleType) -> None:
    kernel = torch.randn(6, 3, 14, 14)
    theirs = timm.layers.resample_patch_embed(kernel, [16, 16])
    torch.testing.assert_close(resize_kernel(kernel, 16), theirs, atol=1e-4, rtol=1e-3)
    positions = torch.randn(1, 37 * 37 + 1, 8)
    expected = timm.layers.resample_abs_pos_embed(positions, [14, 14])
    torch.testing.assert_close(resize_positions(positions, 14), expected, atol=1e-5, rtol=1e-4)


def test_a_resized_kernel_embeds_a_resized_patch_alike() -> None:
    kernel, patch = torch.randn(6, 3, 14, 14), torch.randn(1, 3, 14, 14)
    larger = nn.functional.interpolate(patch, size=(16, 16), mode="bicubic", antialias=True)
    before = nn.functional.conv2d(patch, kernel)
    after = nn.functional.conv2d(larger, resize_kernel(kernel, 16))
    torch.testing.assert_close(after, before, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("nesting", ["plain", "mae", "lightning"])
def test_published_layouts_of_stage_one_are_read(nesting: str, tmp_path: Path) -> None:
    config = EncoderConfig(image_size=32, patch_size=8, embed_dim=64, depth=2, num_heads=1)
    encoder = VisionTransformer(config)
    state = dict(encoder.state_dict())
    state["decoder_embed.weight"] = torch.zeros(8, 64)
    state["mask_token"] = torch.zeros(1, 1, 8)
    content = {
        "plain": state,
        "mae": {"model": state, "epoch": 3},
        "lightning": {"state_dict": {f"model.{key}": value for key, value in state.items()}},
    }[nesting]
    torch.save(content, tmp_path / "checkpoint.pth")
    read = import_encoder(tmp_path / "checkpoint.pth", layer_norm_eps=1e-5)
    assert read.config == config.model_copy(update={"layer_norm_eps": 1e-5})
    for key, tensor in encoder.state_dict().items():
        assert torch.equal(read.state_dict()[key], tensor)


def test_problems_are_listed_by_key(tiny: EncoderConfig) -> None:
    state = dict(VisionTransformer(tiny).state_dict())
    del state["norm.weight"]
    state["surplus"] = torch.zeros(1)
    state["cls_token"] = torch.zeros(2)
    expected = "missing: norm.weight; unexpected: surplus; of another shape: cls_token."
    with pytest.raises(CheckpointError, match=re.escape(expected)):
        load_strictly(VisionTransformer(tiny), state)


class _Opens:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path, str]]:
        return open, (self.path, "w")


def test_pickles_with_code_are_refused_and_not_run(tmp_path: Path) -> None:
    marker, checkpoint = tmp_path / "executed", tmp_path / "evil.pth"
    checkpoint.write_bytes(pickle.dumps(_Opens(marker), protocol=2))
    with pytest.raises(CheckpointError):
        read_tensors(checkpoint)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["damaged.safetensors", "damaged.pth", "missing.pth"])
def test_unreadable_files_are_refused(name: str, tmp_path: Path) -> None:
    if "damaged" in name:
        (tmp_path / name).write_bytes(b"\x80\x02 no checkpoint")
    with pytest.raises(CheckpointError):
        read_tensors(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("patch_embed.proj.weight", (16, 3)),
        ("patch_embed.proj.weight", (6, 3, 4, 4)),
        ("pos_embed", (5,)),
        ("blocks.0.mlp.fc1.weight", ()),
    ],
)
def test_a_vit_of_impossible_shapes_is_refused(
    tiny: EncoderConfig, name: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    state = {**VisionTransformer(tiny).state_dict(), name: torch.zeros(shape)}
    save_file(state, tmp_path / "bent.safetensors")
    with pytest.raises(CheckpointError):
        import_encoder(tmp_path / "bent.safetensors")


def test_a_vit_without_blocks_is_refused(tiny: EncoderConfig, tmp_path: Path) -> None:
    state = VisionTransformer(tiny).state_dict()
    rest = {key: value for key, value in state.items() if not key.startswith("blocks.")}
    save_file(rest, tmp_path / "hollow.safetensors")
    with pytest.raises(CheckpointError):
        import_encoder(tmp_path / "hollow.safetensors")


def test_something_else_than_a_vit_is_refused(tmp_path: Path) -> None:
    save_file({"conv1.weight": torch.zeros(3, 3)}, tmp_path / "resnet.safetensors")
    with pytest.raises(CheckpointError, match=re.escape("patch_embed.proj.weight")):
        import_encoder(tmp_path / "resnet.safetensors")
