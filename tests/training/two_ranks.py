"""What each of two processes does in the tests of data parallelism."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.distributed as distributed
from torch.nn.parallel import DistributedDataParallel

from pacx_training.encoder import EncoderConfig, VisionTransformer
from pacx_training.student import ObjectiveSettings, Student, TuningSettings
from pacx_training.teachers.labs import LaboratoryTeacher, LaboratoryTeacherConfig
from pacx_training.teachers.labs_training import LabsStep

FILMS = 8
TINY = EncoderConfig(image_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=4)


def student() -> Student:
    """A small student without dropout, the same in every process."""
    torch.manual_seed(0)
    return Student(
        VisionTransformer(TINY),
        {"ecg": 12, "labs": 6},
        ObjectiveSettings(shared_dimension=16, head_dropout=0),
        TuningSettings(lora=None, last_blocks=2),
    )


def films() -> tuple[torch.Tensor, ...]:
    """Eight films of six patients; half have no ECG, and unevenly over the two processes."""
    generator = torch.manual_seed(1)
    return (
        torch.randn(FILMS, 3, 32, 32, generator=generator),
        torch.tensor([0, 1, 2, 3, 0, 4, 5, 5]),
        torch.randn(FILMS, 12, generator=generator),
        torch.tensor([True, False, False, False, True, True, True, False]),
        torch.randn(FILMS, 6, generator=generator),
        torch.tensor([True, True, True, True, True, True, False, True]),
    )


def laboratory() -> tuple[LabsStep, tuple[torch.Tensor, ...]]:
    """The laboratory teacher's step, and records that are measured unevenly often."""
    torch.manual_seed(2)
    step = LabsStep(LaboratoryTeacher(LaboratoryTeacherConfig(analytes=6, hidden=8)), 0.3)
    observed = torch.arange(FILMS)[:, None] >= torch.arange(6)
    return step, (torch.rand(FILMS, 6), observed, torch.rand(FILMS, 6))


def measured(module: torch.nn.Module, batch: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
    """The loss and the gradients of everything that is trained."""
    loss = module(*batch)["loss"]
    loss.backward()
    gradients = {
        name.removeprefix("module."): parameter.grad
        for name, parameter in module.named_parameters()
        if parameter.grad is not None
    }
    return {"loss": loss.detach(), **gradients}


def run(rank: int, folder: Path) -> None:
    """Compute half of the films in one of two processes, and save what rank 0 sees."""
    torch.set_num_threads(1)
    place = f"file://{folder}/store"
    distributed.init_process_group("gloo", init_method=place, rank=rank, world_size=2)
    half = slice(rank * FILMS // 2, (rank + 1) * FILMS // 2)
    answer = measured(DistributedDataParallel(student()), tuple(part[half] for part in films()))
    torch.save(answer, folder / f"student-{rank}.pt")
    step, records = laboratory()
    answer = measured(DistributedDataParallel(step), tuple(part[half] for part in records))
    torch.save(answer, folder / f"labs-{rank}.pt")
    distributed.destroy_process_group()
