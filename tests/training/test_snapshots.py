"""Snapshots: the newest good one counts, whatever happened to the disk."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from pacx.errors import CheckpointError
from pacx_training.atomic import open_mapped
from pacx_training.snapshots import Snapshot, load_snapshot, save_snapshot


def _trained(steps: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    module = nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(module.parameters(), lr=0.1)
    for _ in range(steps):
        module(torch.ones(1, 3)).square().sum().backward()
        optimiser.step()
        optimiser.zero_grad()
    return module, optimiser


def _save(folder: Path, *steps: int, keep: int = 9) -> None:
    for step in steps:
        save_snapshot(folder, Snapshot.of(step, *_trained(step)), keep=keep)


def _path(folder: Path, step: int) -> Path:
    (path,) = folder.glob(f"step-{step:08d}.*")
    return path


def test_module_and_moments_come_back(tmp_path: Path) -> None:
    _save(tmp_path, 4)
    (module, optimiser), (expected, ahead) = _trained(0), _trained(4)
    snapshot = load_snapshot(tmp_path)
    assert snapshot is not None
    assert snapshot.step == 4
    snapshot.restore(module, optimiser)
    for ours, theirs in zip(module.parameters(), expected.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    for index, state in ahead.state_dict()["state"].items():
        for name, value in state.items():
            assert torch.equal(optimiser.state_dict()["state"][index][name], value)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_newest_is_passed_over(damage: str, tmp_path: Path) -> None:
    _save(tmp_path, 1, 2, 3)
    newest = _path(tmp_path, 3)
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    damaged = {"cut": content[: len(content) // 2], "flip": content, "empty": b""}
    newest.write_bytes(bytes(damaged[damage]))
    snapshot = load_snapshot(tmp_path)
    assert snapshot is not None
    assert snapshot.step == 2


def test_half_written_files_are_no_snapshots(tmp_path: Path) -> None:
    _save(tmp_path, 1)
    whole = _path(tmp_path, 1)
    draft = whole.with_name(f".{whole.name.replace('0001', '0002')}.77.partial")
    draft.write_bytes(whole.read_bytes()[:50])
    snapshot = load_snapshot(tmp_path)
    assert snapshot is not None
    assert snapshot.step == 1


def test_old_ones_are_dropped_and_none_is_none(tmp_path: Path) -> None:
    assert load_snapshot(tmp_path / "nowhere") is None
    _save(tmp_path, 1, 20, 3, keep=2)
    assert {path.name[:13] for path in tmp_path.iterdir()} == {"step-00000020", "step-00000003"}


def test_a_training_of_other_parameters_is_refused(tmp_path: Path) -> None:
    _save(tmp_path, 2)
    module, _ = _trained(0)
    weight, _ = module.parameters()
    snapshot = load_snapshot(tmp_path)
    assert snapshot is not None
    with pytest.raises(CheckpointError, match="other parameters"):
        snapshot.restore(module, torch.optim.AdamW([weight]))


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process may grow beyond a kilobyte, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_files")
def test_a_full_disk_is_named_and_not_filled_with_halves(tmp_path: Path) -> None:
    save_snapshot(tmp_path, Snapshot.of(1, *_trained(1)), keep=2)
    great = Snapshot(2, {"weight": torch.zeros(1000)}, {})
    with pytest.raises(OSError, match=r"step-00000002.*\.safetensors'$"):
        save_snapshot(tmp_path, great, keep=2)
    assert [path.name[:13] for path in tmp_path.iterdir()] == ["step-00000001"]
    found = load_snapshot(tmp_path)
    assert found is not None
    assert found.step == 1


@pytest.mark.usefixtures("small_files")
def test_a_mapped_file_takes_its_room_before_it_is_written(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too large"):
        open_mapped(tmp_path / "films.npy", "f4", (1000, 1000))


def test_what_a_kill_left_half_written_goes_with_the_next_snapshot(tmp_path: Path) -> None:
    (tmp_path / ".step-00000001.0.safetensors.1.partial").write_bytes(b"half")
    save_snapshot(tmp_path, Snapshot.of(2, *_trained(2)), keep=2)
    assert [path.name[:13] for path in tmp_path.iterdir()] == ["step-00000002"]
