"""What decays, what does not, and how fast each block learns."""

from __future__ import annotations

import pytest

from pacx_training.encoder import EncoderConfig, VisionTransformer
from pacx_training.mae import DecoderConfig, MaskedAutoencoder
from pacx_training.optimisers import adamw


@pytest.fixture
def groups(tiny: EncoderConfig) -> dict[str, tuple[float, float]]:
    """Peak learning rate and weight decay of every trained parameter, by name."""
    config = tiny.model_copy(update={"position_embedding": "learned"})
    model = MaskedAutoencoder(
        VisionTransformer(config), DecoderConfig(embed_dim=8, depth=1, num_heads=1)
    )
    optimiser = adamw(
        model, learning_rate=0.1, weight_decay=0.05, betas=(0.9, 0.95), layer_decay=0.5
    )
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]: (group["peak"], group["weight_decay"])
        for group in optimiser.param_groups
        for parameter in group["params"]
    }


def test_earlier_blocks_learn_more_slowly(groups: dict[str, tuple[float, float]]) -> None:
    def rate(name: str) -> float:
        return groups[name][0]

    assert rate("encoder.norm.weight") == rate("decoder_pred.weight") == pytest.approx(0.1)
    assert rate("decoder_blocks.0.mlp.fc1.weight") == rate("mask_token") == pytest.approx(0.1)
    assert rate("encoder.blocks.1.mlp.fc1.weight") == pytest.approx(0.05)
    assert rate("encoder.blocks.0.mlp.fc1.weight") == pytest.approx(0.025)
    for name in ("cls_token", "pos_embed", "patch_embed.proj.weight"):
        assert rate(f"encoder.{name}") == pytest.approx(0.0125)


def test_matrices_decay_and_nothing_else(groups: dict[str, tuple[float, float]]) -> None:
    decaying = {name for name, (_, decay) in groups.items() if decay}
    kept = {"cls_token", "pos_embed", "mask_token"}
    for name in groups:
        matrix = name.endswith("weight") and "norm" not in name
        assert (name in decaying) == matrix, name
        assert not (name in decaying and name.rpartition(".")[2] in kept)


def test_fixed_positions_are_no_parameters(tiny: EncoderConfig) -> None:
    encoder = VisionTransformer(tiny)
    optimiser = adamw(encoder, learning_rate=1.0, weight_decay=0.0, betas=(0.9, 0.95))
    trained = {id(p) for group in optimiser.param_groups for p in group["params"]}
    assert id(encoder.pos_embed) not in trained
    assert len(trained) == sum(p.requires_grad for p in encoder.parameters())
