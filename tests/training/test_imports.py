"""Checkpoints of others, written here in exactly their layouts, become runs."""

from __future__ import annotations

import math
from argparse import Namespace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from pacx.cli import app
from pacx.errors import CheckpointError
from pacx_training.checkpoints import import_encoder
from pacx_training.encoder import EncoderConfig, VisionTransformer
from pacx_training.fusion import fuse_adapter
from pacx_training.imports import import_head, import_run
from pacx_training.lora import LoraSettings, add_lora
from pacx_training.runs import RunDirectory

RANK = 4


@pytest.fixture
def config() -> EncoderConfig:
    """The smallest encoder whose head width is that of every published ViT."""
    return EncoderConfig(image_size=32, patch_size=8, embed_dim=64, depth=2, num_heads=1)


@pytest.fixture
def encoder(config: EncoderConfig) -> VisionTransformer:
    """Random weights, norms and biases included."""
    torch.manual_seed(0)
    encoder = VisionTransformer(config)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if name != "pos_embed":
                parameter.add_(0.1 * torch.randn_like(parameter))
    return encoder.eval()


@pytest.fixture
def adapted(config: EncoderConfig, encoder: VisionTransformer) -> VisionTransformer:
    """The same encoder of the authors' stage 2: eps 1e-5, PEFT's updates, a moved norm."""
    stage_2 = VisionTransformer(config.model_copy(update={"layer_norm_eps": 1e-5}))
    stage_2.load_state_dict(encoder.state_dict())
    add_lora(stage_2, LoraSettings(rank=RANK, alpha=16))
    with torch.no_grad():
        for name, parameter in stage_2.named_parameters():
            if "lora_" in name or name.startswith("norm."):
                parameter.add_(0.1 * torch.randn_like(parameter))
    return stage_2.eval()


@pytest.fixture
def pixels() -> Tensor:
    """Films float32 ``[2, 3, 32, 32]``."""
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(5))


def _save(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def _lightning(state: dict[str, Tensor], **hyper_parameters: object) -> dict[str, object]:
    """What Lightning's trainer writes around a state dict."""
    return {
        "epoch": 49,
        "global_step": 3900,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": state,
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"current": {"ready": 50}}}},
        "callbacks": {"ModelCheckpoint{'monitor': 'val_loss'}": {"best_model_score": None}},
        "optimizer_states": [{"state": {}, "param_groups": [{"lr": 1e-4, "params": [0]}]}],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": hyper_parameters,
    }


def _same(read: VisionTransformer, answering: VisionTransformer, pixels: Tensor) -> None:
    with torch.inference_mode():
        answer, expected = read.eval()(pixels), answering(pixels)
    torch.testing.assert_close(answer.cls, expected.cls, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(answer.tokens, expected.tokens, atol=1e-5, rtol=1e-5)


def _stage_2(adapted: VisionTransformer) -> dict[str, Tensor]:
    state = {f"cxr_encoder.base_model.model.{k}": v for k, v in adapted.state_dict().items()}
    heads = {"cxr_to_shared.1": (256, 64), "cxr_to_ecg.1": (1024, 64), "labs_encoder.0": (512, 100)}
    for name, shape in heads.items():
        state[f"{name}.weight"] = torch.zeros(shape)
    return state | {"logit_scale": torch.tensor(math.log(1 / 0.07))}


def test_stage_2_with_its_updates(
    adapted: VisionTransformer, pixels: Tensor, tmp_path: Path
) -> None:
    content = _lightning(_stage_2(adapted), lora_r=RANK, args=Namespace(lr=1e-4, out="runs"))
    read = import_encoder(_save(tmp_path / "stage2.ckpt", content))
    assert read.config.layer_norm_eps == 1e-5
    assert set(read.state_dict()) == set(VisionTransformer(read.config).state_dict())
    _same(read, adapted, pixels)


def test_stage_2_with_a_norm_that_peft_kept_twice(
    adapted: VisionTransformer, pixels: Tensor, tmp_path: Path
) -> None:
    """``modules_to_save=["norm"]``: the original stays beside the trained one."""
    state = _stage_2(adapted)
    prefix = "cxr_encoder.base_model.model.norm."
    for name in ("weight", "bias"):
        trained = state.pop(prefix + name)
        state[f"{prefix}original_module.{name}"] = torch.zeros_like(trained)
        state[f"{prefix}modules_to_save.default.{name}"] = trained
    _same(import_encoder(_save(tmp_path / "a.ckpt", _lightning(state))), adapted, pixels)


@pytest.mark.parametrize("prefix", ["cxr_encoder.", ""])
def test_stage_2_merged(
    prefix: str, adapted: VisionTransformer, pixels: Tensor, tmp_path: Path
) -> None:
    plain = fuse_adapter(adapted.state_dict(), alpha=16)
    path = _save(tmp_path / "merged.pth", {prefix + key: value for key, value in plain.items()})
    _same(import_encoder(path, layer_norm_eps=None if prefix else 1e-5), adapted, pixels)


def test_alpha_scales_the_updates(adapted: VisionTransformer, tmp_path: Path) -> None:
    path = _save(tmp_path / "stage2.ckpt", _lightning(_stage_2(adapted)))
    key = "blocks.1.mlp.fc1.weight"
    base, some, more = (
        import_encoder(path, lora_alpha=alpha).state_dict()[key] for alpha in (0, 8, 16)
    )
    torch.testing.assert_close(more - base, 2 * (some - base), atol=1e-5, rtol=0)
    assert (some - base).abs().max() > 1e-2


def test_the_alpha_that_lightning_recorded_counts(
    adapted: VisionTransformer, tmp_path: Path
) -> None:
    """The authors' module saves its arguments, ``lora_alpha`` among them."""
    state = _stage_2(adapted)
    recorded = _save(tmp_path / "recorded.ckpt", _lightning(state, lora_r=RANK, lora_alpha=32))
    silent = _save(tmp_path / "silent.ckpt", _lightning(state))
    for ours, wanted in (
        (import_encoder(recorded), import_encoder(silent, lora_alpha=32)),
        (import_encoder(recorded, lora_alpha=16), import_encoder(silent)),
    ):
        for key, tensor in wanted.state_dict().items():
            assert torch.equal(ours.state_dict()[key], tensor)
    odd = _save(tmp_path / "odd.ckpt", _lightning(state, lora_alpha="16"))
    with pytest.raises(CheckpointError, match="lora_alpha is no number"):
        import_encoder(odd)


@pytest.mark.parametrize(
    ("inner", "wrapped"),
    [
        ("cxr_encoder.", "module.cxr_encoder."),
        ("cxr_encoder.", "_orig_mod.cxr_encoder."),
        ("cxr_encoder.", "cxr_encoder._orig_mod."),
        ("", "_orig_mod.module."),
        ("", "module._orig_mod."),
    ],
)
def test_what_wraps_a_module_does_not_count(
    inner: str, wrapped: str, adapted: VisionTransformer, pixels: Tensor, tmp_path: Path
) -> None:
    """``torch.compile`` and data parallelism, around the whole or around the encoder."""
    state = {key: value for key, value in _stage_2(adapted).items() if key.startswith("cxr_enc")}
    if not inner:
        state = fuse_adapter(state, alpha=16)
        state = {key.removeprefix("cxr_encoder."): value for key, value in state.items()}
    renamed = {wrapped + key.removeprefix(inner): value for key, value in state.items()}
    path = _save(tmp_path / "a.ckpt", _lightning(renamed))
    _same(import_encoder(path, layer_norm_eps=1e-5), adapted, pixels)


def test_a_compiled_classifier_keeps_its_head(encoder: VisionTransformer, tmp_path: Path) -> None:
    head = {"model.head.weight": torch.ones(1, 64), "model.head.bias": torch.zeros(1)}
    state = {
        key.replace("model.", "model._orig_mod.", 1): value
        for key, value in _classifier(encoder, head).items()
    }
    told = {"class_names": ["TB"], "task_type": "binary"}
    read = import_head(_save(tmp_path / "tb.ckpt", _lightning(state, **told)))
    assert read is not None
    assert read.spec.labels == ("TB",)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"embed_dim": 96}, "96 numbers are no multiple of 64"),
        ({"in_channels": 1}, "has 1 channels, and PaCX's pictures have 3"),
    ],
)
def test_an_encoder_that_cannot_be_right_is_refused(
    change: dict[str, int], error: str, config: EncoderConfig, tmp_path: Path
) -> None:
    state = VisionTransformer(config.model_copy(update=change)).state_dict()
    with pytest.raises(CheckpointError, match=error):
        import_encoder(_save(tmp_path / "a.pth", state))


def test_half_an_update_is_refused(adapted: VisionTransformer, tmp_path: Path) -> None:
    state = _stage_2(adapted)
    del state["cxr_encoder.base_model.model.blocks.0.attn.qkv.lora_B.default.weight"]
    with pytest.raises(CheckpointError, match=r"blocks\.0\.attn\.qkv has only one half"):
        import_encoder(_save(tmp_path / "a.ckpt", _lightning(state)))


def test_facebookresearch_mae_with_its_arguments(
    encoder: VisionTransformer, pixels: Tensor, tmp_path: Path
) -> None:
    state = dict(encoder.state_dict()) | {
        "mask_token": torch.zeros(1, 1, 512),
        "decoder_embed.weight": torch.zeros(512, 64),
        "decoder_pos_embed": torch.zeros(1, 17, 512),
        "decoder_blocks.0.attn.qkv.weight": torch.zeros(1536, 512),
        "decoder_norm.weight": torch.zeros(512),
        "decoder_pred.weight": torch.zeros(192, 512),
    }
    content = {
        "model": state, "optimizer": {"state": {}, "param_groups": []}, "epoch": 399,
        "scaler": {"scale": 65536.0}, "args": Namespace(mask_ratio=0.75, norm_pix_loss=False),
    }  # fmt: skip
    read = import_encoder(_save(tmp_path / "checkpoint-399.pth", content))
    assert read.config.layer_norm_eps == 1e-6
    _same(read, encoder, pixels)


def test_timm_with_its_classifier(timm: ModuleType, pixels: Tensor, tmp_path: Path) -> None:
    theirs = timm.models.VisionTransformer(
        img_size=32, patch_size=8, embed_dim=64, depth=2, num_heads=1, num_classes=10
    ).eval()
    read = import_encoder(_save(tmp_path / "timm.pth", theirs.state_dict()))
    assert read.config.position_embedding == "learned"
    with torch.inference_mode():
        answer, expected = read.eval()(pixels), theirs.forward_features(pixels)
    torch.testing.assert_close(answer.cls, expected[:, 0], atol=1e-5, rtol=1e-5)


def test_dinov2_under_its_own_names(timm: ModuleType, pixels: Tensor, tmp_path: Path) -> None:
    """At 16 pixels nothing is resized, so that it must answer as timm with LayerScale does."""
    theirs = timm.models.VisionTransformer(
        img_size=224, patch_size=16, embed_dim=64, depth=2, num_heads=1, init_values=0.3,
        num_classes=0,
    ).eval()  # fmt: skip
    state = theirs.state_dict() | {"mask_token": torch.zeros(1, 64)}
    path = _save(tmp_path / "dinov2.pth", state)
    read = import_encoder(path)
    assert read.config.layer_norm_eps == 1e-6
    assert import_encoder(path, layer_norm_eps=1e-5).config.layer_norm_eps == 1e-5
    films = torch.nn.functional.interpolate(pixels, size=224)
    with torch.inference_mode():
        answer, expected = read.eval()(films), theirs.forward_features(films)
    torch.testing.assert_close(answer.cls, expected[:, 0], atol=2e-5, rtol=1e-4)


def _classifier(encoder: VisionTransformer, head: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"model.backbone.{k}": v for k, v in encoder.state_dict().items()} | head


@pytest.mark.parametrize("place", ["model.head", "model.head.1"])
def test_a_classifier_brings_its_head(
    place: str, encoder: VisionTransformer, pixels: Tensor, tmp_path: Path
) -> None:
    weight, bias = torch.randn(3, 64), torch.randn(3)
    state = _classifier(encoder, {f"{place}.weight": weight, f"{place}.bias": bias})
    told = {"class_names": ["covid", "normal", "pneumonia"], "task_type": "multiclass"}
    path = _save(tmp_path / "classifier.ckpt", _lightning(state, **told))
    import_run(path, tmp_path / "run", "the authors' ChestX6 classifier")
    run = RunDirectory(tmp_path / "run")
    _same(run.load_encoder(), encoder, pixels)
    (head,) = run.load_heads()
    assert head.spec.task == "multiclass"
    assert [finding.label for finding in head.spec.findings] == told["class_names"]
    assert not any(finding.calibrated for finding in head.spec.findings)
    assert torch.equal(torch.from_numpy(head.weight), weight)
    assert torch.equal(torch.from_numpy(head.bias), bias)


def test_one_logit_tells_the_second_class(encoder: VisionTransformer, tmp_path: Path) -> None:
    state = _classifier(
        encoder, {"model.head.weight": torch.zeros(1, 64), "model.head.bias": torch.zeros(1)}
    )
    told = {"class_names": ["normal", "tuberculosis"], "task_type": "binary"}
    head = import_head(_save(tmp_path / "tb.ckpt", _lightning(state, **told)))
    assert head is not None
    assert [finding.label for finding in head.spec.findings] == ["tuberculosis"]


@pytest.mark.parametrize(("mode", "eps"), [("pacx", 1e-5), ("mae", 1e-6), ("imagenet", 1e-6)])
def test_a_classifier_runs_with_the_epsilon_of_what_it_stands_on(
    mode: str, eps: float, encoder: VisionTransformer, tmp_path: Path
) -> None:
    head = {"model.head.weight": torch.zeros(1, 64), "model.head.bias": torch.zeros(1)}
    told = {"class_names": ["TB"], "task_type": "binary", "model_mode": mode}
    path = _save(tmp_path / "tb.ckpt", _lightning(_classifier(encoder, head), **told))
    import_run(path, tmp_path / "told", "theirs")
    assert RunDirectory(tmp_path / "told").load_config().layer_norm_eps == eps
    import_run(path, tmp_path / "named", "theirs", layer_norm_eps=1e-4)
    assert RunDirectory(tmp_path / "named").load_config().layer_norm_eps == 1e-4


def test_the_command_names_the_task(encoder: VisionTransformer, tmp_path: Path) -> None:
    state = _classifier(
        encoder, {"model.head.weight": torch.zeros(2, 64), "model.head.bias": torch.zeros(2)}
    )
    path = _save(tmp_path / "a.ckpt", _lightning(state, class_names=["a", "b"]))
    arguments = ["import", str(path), "-o", str(tmp_path / "run"), "--task"]
    answer = CliRunner().invoke(app, [*arguments, "multiclass"])
    assert answer.exit_code == 0, answer.output
    assert RunDirectory(tmp_path / "run").load_heads()[0].spec.task == "multiclass"
    with pytest.raises(CheckpointError, match="one output, and this one has 2"):
        import_head(path, task="binary")
    assert CliRunner().invoke(app, [*arguments, "regression"]).exit_code == 2


def test_one_output_is_binary_whatever_it_is_called(
    encoder: VisionTransformer, tmp_path: Path
) -> None:
    head = {"model.head.weight": torch.zeros(1, 64), "model.head.bias": torch.zeros(1)}
    told = {"class_names": ["TB"], "task_type": "multiclass"}
    read = import_head(_save(tmp_path / "a.ckpt", _lightning(_classifier(encoder, head), **told)))
    assert read is not None
    assert read.spec.task == "multilabel"


def test_labels_and_task_of_no_head_are_refused(encoder: VisionTransformer, tmp_path: Path) -> None:
    path = _save(tmp_path / "plain.pth", encoder.state_dict())
    with pytest.raises(CheckpointError, match="holds no head"):
        import_run(path, tmp_path / "run", "theirs", task="binary")
    assert not (tmp_path / "run").exists()


def test_what_has_no_meaning_is_refused(encoder: VisionTransformer, tmp_path: Path) -> None:
    path = _save(tmp_path / "plain.pth", encoder.state_dict())
    for source, option in ((str(path), "0"), ("pacx-small", "1e-5")):
        arguments = ["import", source, "-o", str(tmp_path / "run"), "--layer-norm-eps", option]
        assert CliRunner().invoke(app, arguments).exit_code == 2
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("told", "error"),
    [
        ({"task_type": "multilabel"}, "does not name the classes"),
        ({"task_type": "multilabel", "class_names": ["a"]}, "2 outputs but 1 classes"),
        ({"class_names": ["a", "b"]}, "task_type"),
    ],
)
def test_a_head_that_is_not_understood_is_refused(
    told: dict[str, object], error: str, encoder: VisionTransformer, tmp_path: Path
) -> None:
    state = _classifier(
        encoder, {"model.head.weight": torch.zeros(2, 64), "model.head.bias": torch.zeros(2)}
    )
    with pytest.raises(CheckpointError, match=error):
        import_head(_save(tmp_path / "a.ckpt", _lightning(state, **told)))


def test_a_head_of_several_layers_is_refused(encoder: VisionTransformer, tmp_path: Path) -> None:
    layers = {f"model.head.{n}.{part}": torch.zeros(2, 2) for n in (0, 2) for part in ("weight",)}
    with pytest.raises(CheckpointError, match=r"not one linear layer: model\.head\.0\.weight"):
        import_head(_save(tmp_path / "a.ckpt", _lightning(_classifier(encoder, layers))))


def test_the_command_names_the_outputs(encoder: VisionTransformer, tmp_path: Path) -> None:
    state = _classifier(
        encoder, {"model.head.weight": torch.zeros(2, 64), "model.head.bias": torch.zeros(2)}
    )
    path = _save(tmp_path / "a.ckpt", _lightning(state, task_type="multilabel"))
    arguments = ["import", str(path), "-o", str(tmp_path / "run"), "--initialisation", "theirs"]
    answer = CliRunner().invoke(app, [*arguments, "--label", "a", "--label", "b"])
    assert answer.exit_code == 0, answer.output
    run = RunDirectory(tmp_path / "run")
    assert [finding.label for finding in run.load_heads()[0].spec.findings] == ["a", "b"]
    assert run.load_provenance().initialisation == "theirs"
    assert run.load_provenance().steps == ("pacx import a.ckpt",)


def test_the_story_tells_the_numbers_that_were_given(
    encoder: VisionTransformer, tmp_path: Path
) -> None:
    path = _save(tmp_path / "a.pth", encoder.state_dict())
    clip = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
    import_run(path, tmp_path / "run", "theirs", layer_norm_eps=1e-5, normalisation=clip)
    assert RunDirectory(tmp_path / "run").load_provenance().steps == (
        "pacx import a.pth --layer-norm-eps 1e-05 --mean 0.48145466 0.4578275 0.40821073 "
        "--std 0.26862954 0.26130258 0.27577711",
    )


def test_what_is_missing_and_unexpected_is_listed(
    encoder: VisionTransformer, tmp_path: Path
) -> None:
    state = {f"model.{key}": value for key, value in encoder.state_dict().items()}
    del state["model.blocks.1.norm2.bias"]
    state["model.reg_token"] = torch.zeros(1, 4, 64)
    expected = r"missing: blocks\.1\.norm2\.bias; unexpected: reg_token\."
    with pytest.raises(CheckpointError, match=expected):
        import_encoder(_save(tmp_path / "a.ckpt", _lightning(state)))
