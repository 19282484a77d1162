"""The encoder against timm, facebookresearch/mae's equations, and itself."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from pacx_training.encoder import EncoderConfig, VisionTransformer
from pacx_training.positions import resize_positions, sincos_positions

ARCHITECTURES = ("vit_tiny_patch16_224", "vit_small_patch16_224", "vit_base_patch16_224")


def _pixels(config: EncoderConfig, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    shape = (count, config.in_channels, config.image_size, config.image_size)
    return torch.randn(shape, generator=generator)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_timm_weights_load_strictly_and_answer_the_same(timm: ModuleType, name: str) -> None:
    config = EncoderConfig.named(name, position_embedding="learned")
    theirs = timm.create_model(name, num_classes=0).eval()
    ours = VisionTransformer(config).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    pixels = _pixels(config)
    with torch.inference_mode():
        expected = theirs.forward_features(pixels)
        answer = ours(pixels)
    torch.testing.assert_close(answer.cls, expected[:, 0], atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(answer.tokens, expected[:, 1:], atol=2e-5, rtol=1e-4)


def test_our_weights_load_strictly_into_timm(timm: ModuleType) -> None:
    ours = VisionTransformer(EncoderConfig.named("vit_tiny_patch16_224"))
    theirs = timm.create_model("vit_tiny_patch16_224", num_classes=0)
    theirs.load_state_dict(ours.state_dict(), strict=True)


@pytest.mark.parametrize("name", [*ARCHITECTURES, "vit_small_patch8_96"])
def test_names_survive_the_round_trip(name: str) -> None:
    assert EncoderConfig.named(name).architecture == name


def test_shapes_that_timm_does_not_name_are_spelt_out(tiny: EncoderConfig) -> None:
    assert tiny.architecture == "vit_32x2x4_patch8_32"


@pytest.mark.parametrize("name", ["resnet50", "vit_small", "vit_huge_patch14_224", ""])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected vit_"):
        EncoderConfig.named(name)


@pytest.mark.parametrize(("field", "value"), [("patch_size", 7), ("num_heads", 5)])
def test_shapes_that_do_not_divide_are_refused(field: str, value: int) -> None:
    with pytest.raises(ValueError, match="multiple"):
        EncoderConfig.model_validate({"image_size": 32, "patch_size": 8, field: value})


def test_attention_maps_do_not_change_the_answer(tiny: EncoderConfig) -> None:
    encoder = VisionTransformer(tiny).eval()
    plain = encoder(_pixels(tiny))
    mapped = encoder(_pixels(tiny), return_attention=True)
    assert plain.attentions is None
    assert len(mapped.attentions) == tiny.depth
    length = tiny.patches + 1
    for weights in mapped.attentions:
        assert weights.shape == (2, tiny.num_heads, length, length)
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, tiny.num_heads, length))
    torch.testing.assert_close(mapped.cls, plain.cls, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(mapped.tokens, plain.tokens, atol=1e-5, rtol=1e-5)


def test_all_patches_visible_is_the_whole_picture(tiny: EncoderConfig) -> None:
    encoder = VisionTransformer(tiny).eval()
    order = torch.stack([torch.randperm(tiny.patches) for _ in range(2)])
    whole, shuffled = encoder(_pixels(tiny)), encoder.forward_visible(_pixels(tiny), order)
    torch.testing.assert_close(shuffled.cls, whole.cls, atol=1e-5, rtol=1e-5)
    expected = torch.stack([tokens[ids] for tokens, ids in zip(whole.tokens, order, strict=True)])
    torch.testing.assert_close(shuffled.tokens, expected, atol=1e-5, rtol=1e-5)


def test_hidden_patches_have_no_influence(tiny: EncoderConfig) -> None:
    encoder = VisionTransformer(tiny).eval()
    pixels, visible = _pixels(tiny, 1), torch.tensor([[0, 5]])
    changed = pixels.clone()
    changed[..., -8:, -8:] = 9.0  # patch 15
    before = encoder.forward_visible(pixels, visible)
    after = encoder.forward_visible(changed, visible)
    assert torch.equal(before.cls, after.cls)


def test_fixed_positions_are_those_of_mae() -> None:
    """get_2d_sincos_pos_embed of facebookresearch/mae, written out entry by entry."""
    table = sincos_positions(8, 3)
    assert table.shape == (1, 10, 8)
    assert not table[0, 0].any()
    for row in range(3):
        for column in range(3):
            expected = [
                function(position / 10000 ** (index / 2))
                for position in (column, row)
                for function in (np.sin, np.cos)
                for index in range(2)
            ]
            np.testing.assert_allclose(table[0, 1 + 3 * row + column], expected, atol=1e-6)


def test_fixed_positions_are_not_trained(tiny: EncoderConfig) -> None:
    learned = tiny.model_copy(update={"position_embedding": "learned"})
    assert not VisionTransformer(tiny).pos_embed.requires_grad
    assert VisionTransformer(learned).pos_embed.requires_grad


def test_resized_positions_keep_cls_and_a_constant_field() -> None:
    table = torch.cat([torch.full((1, 1, 4), 5.0), torch.full((1, 37 * 37, 4), 2.0)], dim=1)
    resized = resize_positions(table, 14)
    assert resized.shape == (1, 197, 4)
    torch.testing.assert_close(resized[:, 0], table[:, 0])
    torch.testing.assert_close(resized[:, 1:], torch.full((1, 196, 4), 2.0))


class _Embedder(nn.Module):
    def __init__(self, encoder: VisionTransformer) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        output = self.encoder(pixels, return_attention=True)
        return output.cls, torch.stack(output.attentions)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_exports_to_onnx_with_a_dynamic_batch(tiny: EncoderConfig, tmp_path: Path) -> None:
    model, path = _Embedder(VisionTransformer(tiny)).eval(), tmp_path / "encode.onnx"
    batch = {"pixels": {0: torch.export.Dim("batch", min=1, max=64)}}
    torch.onnx.export(
        model, (_pixels(tiny),), path, dynamo=True, dynamic_shapes=batch, verbose=False
    )
    session = onnxruntime.InferenceSession(str(path))
    pixels = _pixels(tiny, 5)
    cls, maps = session.run(None, {session.get_inputs()[0].name: pixels.numpy()})
    with torch.inference_mode():
        expected_cls, expected_maps = model(pixels)
    np.testing.assert_allclose(cls, expected_cls.numpy(), atol=2e-5)
    np.testing.assert_allclose(maps, expected_maps.numpy(), atol=2e-5)


def test_bf16_answers_as_fp32_does_and_keeps_its_maps_to_itself(tiny: EncoderConfig) -> None:
    """In bf16 a processor computes attention another way than in fp32."""
    torch.manual_seed(0)
    encoder, pixels = VisionTransformer(tiny).eval(), torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        exact = encoder(pixels)
        with torch.autocast("cpu", torch.bfloat16):
            short = encoder(pixels)
    assert short.attentions is None
    similarity = torch.cosine_similarity(exact.cls, short.cls.float())
    assert similarity.min() > 0.999
