"""The student of stage 2: what is trained, what is frozen, what missing modalities change."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch.multiprocessing.spawn import start_processes

from pacx.errors import RecipeError
from pacx_training.distillation import DistillationRecipe
from pacx_training.encoder import EncoderConfig, VisionTransformer
from pacx_training.fusion import fuse_adapter
from pacx_training.lora import LoraSettings, add_lora, fused, fused_state, save_adapter
from pacx_training.recipes import read_section
from pacx_training.student import FrozenFeatures, ObjectiveSettings, Student, TuningSettings
from tests.training import two_ranks


@pytest.fixture
def adapted(tiny: EncoderConfig) -> VisionTransformer:
    """An encoder whose low-rank updates are no longer zero."""
    encoder = VisionTransformer(tiny)
    add_lora(encoder, LoraSettings())
    for name, parameter in encoder.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return encoder.eval()


def test_an_untrained_adapter_changes_nothing(tiny: EncoderConfig) -> None:
    encoder, pixels = VisionTransformer(tiny).eval(), torch.randn(2, 3, 32, 32)
    before = encoder(pixels).cls
    add_lora(encoder, LoraSettings())
    torch.testing.assert_close(encoder.eval()(pixels).cls, before)


def test_only_low_rank_updates_and_the_final_norm_are_trained(adapted: VisionTransformer) -> None:
    trained = {name for name, p in adapted.named_parameters() if p.requires_grad}
    layers = {name.split(".lora_")[0] for name in trained if ".lora_" in name}
    assert layers == {
        f"blocks.{block}.{layer}"
        for block in range(2)
        for layer in ("attn.qkv", "mlp.fc1", "mlp.fc2")
    }
    assert {name for name in trained if ".lora_" not in name} == {"norm.weight", "norm.bias"}
    ranks = {p.shape[0] for name, p in adapted.named_parameters() if "lora_A" in name}
    assert ranks == {8}


def test_the_fused_encoder_answers_as_the_adapted_one(adapted: VisionTransformer) -> None:
    pixels = torch.randn(2, 3, 32, 32)
    plain = fused(adapted)
    assert plain.state_dict().keys() == VisionTransformer(adapted.config).state_dict().keys()
    torch.testing.assert_close(plain(pixels).cls, adapted(pixels).cls, atol=1e-5, rtol=1e-5)


def test_exports_fusion_of_the_adapter_gives_the_same_weights(
    adapted: VisionTransformer, tmp_path: Path
) -> None:
    save_adapter(adapted, LoraSettings(), tmp_path)
    adapter = safetensors.torch.load_file(tmp_path / "adapter.safetensors")
    base = {
        name.replace(".base_layer.", "."): tensor
        for name, tensor in adapted.state_dict().items()
        if ".lora_" not in name
    }
    exported, own = fuse_adapter({**base, **adapter}, alpha=16), fused_state(adapted)
    assert exported.keys() == own.keys()
    for name, tensor in own.items():
        torch.testing.assert_close(exported[name], tensor, atol=1e-6, rtol=1e-5)


def test_last_blocks_are_an_alternative(tiny: EncoderConfig) -> None:
    tuning = TuningSettings(lora=None, last_blocks=1)
    student = Student(VisionTransformer(tiny), {"labs": 6}, ObjectiveSettings(), tuning)
    trained = {name for name, p in student.encoder.named_parameters() if p.requires_grad}
    assert all(name.startswith(("blocks.1.", "norm.")) for name in trained)
    assert "blocks.1.attn.qkv.weight" in trained
    assert fused_state(student.encoder).keys() == VisionTransformer(tiny).state_dict().keys()


def test_a_recipe_tunes_in_one_way_only() -> None:
    with pytest.raises(RecipeError, match="either lora or last_blocks"):
        read_section("smoke", "distill", DistillationRecipe, ["tuning.last_blocks=2"])


def test_the_loss_is_the_weighted_sum_of_its_parts() -> None:
    parts = two_ranks.student()(*two_ranks.films())
    contrastive = (parts["contrastive_ecg"] + parts["contrastive_labs"]) / 2
    regression = (parts["regression_ecg"] + parts["regression_labs"]) / 2
    torch.testing.assert_close(parts["loss"], 0.5 * contrastive + 1.0 * regression)


def test_retention_pulls_features_back_and_is_in_no_snapshot(tiny: EncoderConfig) -> None:
    torch.manual_seed(0)
    objective = ObjectiveSettings(retention_weight=2.0, head_dropout=0)
    tuning = TuningSettings(lora=LoraSettings(dropout=0))
    student = Student(VisionTransformer(tiny), {"labs": 6}, objective, tuning)
    plain = Student(VisionTransformer(tiny), {"labs": 6}, ObjectiveSettings(), tuning)
    assert student.state_dict().keys() == plain.state_dict().keys()
    pixels, patients = torch.randn(4, 3, 32, 32), torch.arange(4)
    batch = (pixels, patients, torch.randn(4, 6), torch.ones(4, dtype=torch.bool))
    unmoved = student(*batch)
    torch.testing.assert_close(unmoved["retention"], torch.tensor(0.0), atol=1e-6, rtol=0)
    with torch.no_grad():
        for name, parameter in student.encoder.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
    moved = student(*batch)
    assert moved["retention"] > 1e-3
    expected = 0.5 * moved["contrastive_labs"] + moved["regression_labs"] + 2 * moved["retention"]
    torch.testing.assert_close(moved["loss"], expected)
    moved["retention"].backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in student.encoder.parameters())


def test_retention_of_patches_leaves_the_class_token_free(tiny: EncoderConfig) -> None:
    encoder, pixels = VisionTransformer(tiny).eval(), torch.randn(2, 3, 32, 32)
    features = encoder(pixels)
    moved = features._replace(cls=-features.cls)
    turned = features._replace(tokens=-features.tokens)
    both, patches = (FrozenFeatures(encoder, of=of) for of in ("both", "patches"))
    for blocks in range(tiny.depth + 1):
        shared = encoder.start(encoder.embed(pixels), blocks=blocks)
        torch.testing.assert_close(both.distance(shared, moved, blocks=blocks), torch.tensor(1.0))
        for features_now, distance in ((moved, 0.0), (turned, 2.0)):
            told = patches.distance(shared, features_now, blocks=blocks)
            torch.testing.assert_close(told, torch.tensor(distance))


def test_low_rank_updates_of_the_last_blocks_alone(tiny: EncoderConfig) -> None:
    torch.manual_seed(0)
    tuning = TuningSettings(lora=LoraSettings(dropout=0, last_blocks=1))
    objective = ObjectiveSettings(retention_weight=1.0, head_dropout=0)
    student = Student(VisionTransformer(tiny), {"labs": 6}, objective, tuning)
    trained = {name for name, p in student.encoder.named_parameters() if p.requires_grad}
    last = f"blocks.{tiny.depth - 1}."
    assert {name for name in trained if name.startswith("blocks.")}
    assert all(name.startswith((last, "norm.")) for name in trained)
    pixels, patients = torch.randn(4, 3, 32, 32), torch.arange(4)
    for name, parameter in student.encoder.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    batch = (pixels, patients, torch.randn(4, 6), torch.ones(4, dtype=torch.bool))
    film = student.represent(*batch)["film"]
    torch.testing.assert_close(film, student.cxr_to_shared(student.encoder(pixels).cls))
    student(*batch)["loss"].backward()
    gradients = {n for n, p in student.encoder.named_parameters() if p.grad is not None}
    assert gradients == trained


def test_a_patient_without_ecg_still_teaches_labs() -> None:
    pixels, patients, ecg, _, labs, has_labs = two_ranks.films()
    nobody = torch.zeros(len(patients), dtype=torch.bool)
    student = two_ranks.student()
    parts = student(pixels, patients, ecg, nobody, labs, has_labs)
    expected = 0.5 * parts["contrastive_labs"] + parts["regression_labs"]
    torch.testing.assert_close(parts["loss"], expected)
    parts["loss"].backward()
    gradients = {name: p.grad for name, p in student.named_parameters() if p.grad is not None}
    assert gradients["cxr_to.labs.1.weight"].abs().sum() > 0
    assert gradients["cxr_to.ecg.1.weight"].abs().sum() == 0


def test_what_stands_in_a_missing_row_does_not_matter() -> None:
    pixels, patients, ecg, has_ecg, labs, has_labs = two_ranks.films()
    student = two_ranks.student()
    first = student(pixels, patients, ecg, has_ecg, labs, has_labs)["loss"]
    zeroed = torch.where(has_ecg[:, None], ecg, 0.0)
    torch.testing.assert_close(
        student(pixels, patients, zeroed, has_ecg, labs, has_labs)["loss"], first
    )


def test_the_temperature_is_clamped() -> None:
    student = two_ranks.student()
    assert student.scale.item() == pytest.approx(1 / 0.07)
    for log_scale, limit in ((10.0, 100.0), (-5.0, 1.0)):
        torch.nn.init.constant_(student.log_scale, log_scale)
        assert student.scale.item() == limit


@pytest.fixture(scope="module")
def both_ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes measured, each on half of the films."""
    folder = tmp_path_factory.mktemp("ranks")
    start_processes(two_ranks.run, (folder,), nprocs=2, start_method="spawn")  # type: ignore[no-untyped-call]
    return folder


def test_two_processes_give_the_loss_and_gradients_of_one(both_ranks: Path) -> None:
    alone = two_ranks.measured(two_ranks.student(), two_ranks.films())
    for rank in (0, 1):
        together = torch.load(both_ranks / f"student-{rank}.pt", weights_only=True)
        assert together.keys() == alone.keys()
        for name, value in alone.items():
            torch.testing.assert_close(together[name], value, atol=1e-4, rtol=1e-4, msg=name)


def test_the_laboratory_teacher_counts_entries_of_both_processes(both_ranks: Path) -> None:
    step, records = two_ranks.laboratory()
    alone = two_ranks.measured(step, records)
    ranks = [torch.load(both_ranks / f"labs-{rank}.pt", weights_only=True) for rank in (0, 1)]
    mean = (ranks[0].pop("loss") + ranks[1].pop("loss")) / 2
    torch.testing.assert_close(mean, alone.pop("loss"), atol=1e-6, rtol=1e-5)
    for name, value in alone.items():
        torch.testing.assert_close(ranks[0][name], value, atol=1e-6, rtol=1e-4, msg=name)
