"""Net1D: ECGFounder's published checkpoint fits, and nothing in it can run code."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pacx.errors import CheckpointError
from pacx_training.teachers.ecg import import_ecg_teacher
from pacx_training.teachers.net1d import Net1D, Net1DConfig, import_ecgfounder
from pacx_training.teachers.storage import load_card, load_ecg_teacher
from tests.training.teachers.published_checkpoint import published

SMALL = Net1DConfig(base_filters=16, filters=(16, 32), blocks=(1, 2))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ecgfounder") / "12_lead_ECGFounder.pth"
    torch.save({"state_dict": published(), "epoch": 7}, path)
    return path


def test_the_published_checkpoint_becomes_a_teacher(checkpoint: Path, tmp_path: Path) -> None:
    import_ecg_teacher(checkpoint, tmp_path)
    assert load_card(tmp_path).modality == "ecg"
    teacher = load_ecg_teacher(tmp_path)
    assert not teacher.training
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    with torch.inference_mode():
        assert teacher(torch.randn(1, 12, 5000)).shape == (1, 1024)


@pytest.mark.parametrize("change", ["missing", "shape", "extra", "other"])
def test_a_checkpoint_that_does_not_fit_is_refused_by_name(change: str, tmp_path: Path) -> None:
    tensors = published()
    name = "stage_list.3.block_list.1.conv2.conv.weight"
    if change == "missing":
        del tensors[name]
    elif change == "shape":
        tensors[name] = torch.zeros(400, 400, 16)
    elif change == "extra":
        name = "stage_list.9.block_list.0.conv1.conv.bias"
        tensors[name] = torch.zeros(3)
    else:
        tensors, name = {"weight": torch.zeros(3)}, "first_conv.conv.weight"
    path = tmp_path / "bad.pth"
    torch.save(tensors, path)
    with pytest.raises(CheckpointError, match=name.replace(".", r"\.")):
        import_ecgfounder(path)


def test_a_pickle_with_code_in_it_is_not_run(tmp_path: Path) -> None:
    marker, path = tmp_path / "ran", tmp_path / "evil.pth"
    torch.save({"state_dict": _Evil(marker)}, path)
    with pytest.raises(CheckpointError):
        import_ecgfounder(path)
    assert not marker.exists()


class _Evil:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.marker,))


def test_every_stage_halves_the_time_rounding_up() -> None:
    network = Net1D(SMALL).eval()
    for length in (1000, 1001, 999):
        expected = length
        for _ in range(3):
            expected = -(-expected // 2)
        assert network.features(torch.randn(1, 12, length)).shape == (1, 32, expected)


def test_batch_norms_run_only_where_the_configuration_says_so() -> None:
    plain, normed = Net1D(SMALL), Net1D(SMALL.model_copy(update={"batch_norm": True}))
    assert not any(".bn" in name for name in plain.state_dict())
    assert "stage_list.1.block_list.1.bn2.running_mean" in normed.state_dict()
