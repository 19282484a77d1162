"""Net1D: ECGFounder's published checkpoint fits, and nothing in it can run code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pacx.errors import CheckpointError
from pacx_training.teachers.ecg import import_ecg_teacher
from pacx_training.teachers.net1d import Net1D, Net1DConfig, import_ecgfounder
from pacx_training.teachers.storage import load_card, load_ecg_teacher

FILTERS, BLOCKS, BASE, KERNEL, GROUP = (
    (64, 160, 160, 400, 400, 1024, 1024),
    (2, 2, 2, 3, 3, 4, 4),
    64,
    16,
    16,
)
SMALL = Net1DConfig(base_filters=16, filters=(16, 32), blocks=(1, 2))


def published() -> dict[str, Tensor]:
    """A checkpoint with the keys and shapes of ECGFounder's network, its values random."""
    torch.manual_seed(0)
    shapes = dict(_shapes())
    return {
        name: torch.tensor(0) if name.endswith("tracked") else 0.02 * torch.randn(shape)
        for name, shape in shapes.items()
    }


def _shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from _convolution("first_conv", 12, BASE, KERNEL)
    yield from _norm("first_bn", BASE)
    width = BASE
    for stage, (filters, count) in enumerate(zip(FILTERS, BLOCKS, strict=True)):
        for block in range(count):
            name = f"stage_list.{stage}.block_list.{block}"
            yield from _block(name, width, filters)
            width = filters
    yield "dense.weight", (150, width)
    yield "dense.bias", (150,)


def _block(name: str, inputs: int, outputs: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from _norm(f"{name}.bn1", inputs)
    yield from _convolution(f"{name}.conv1", inputs, outputs, 1)
    yield from _norm(f"{name}.bn2", outputs)
    yield from _convolution(f"{name}.conv2", GROUP, outputs, KERNEL)
    yield from _norm(f"{name}.bn3", outputs)
    yield from _convolution(f"{name}.conv3", outputs, outputs, 1)
    for layer, shape in (("se_fc1", (outputs // 2, outputs)), ("se_fc2", (outputs, outputs // 2))):
        yield f"{name}.{layer}.weight", shape
        yield f"{name}.{layer}.bias", shape[:1]


def _convolution(
    name: str, inputs: int, outputs: int, kernel: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.conv.weight", (outputs, inputs, kernel)
    yield f"{name}.conv.bias", (outputs,)


def _norm(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", (width,)
    yield f"{name}.num_batches_tracked", ()


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
