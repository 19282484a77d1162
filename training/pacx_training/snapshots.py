"""What an interrupted training goes on from: the module, the optimiser's moments and the step.

::

    RUN/checkpoints/step-00001200.3f2a9c....safetensors

The name carries the SHA-256 of the content, so that a damaged file is told from a good one.
Everything else that a step depends on (order, augmentation, masks, learning rate) is a function
of the seed and the step.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pacx.errors import CheckpointError
from pacx_training.atomic import write_atomically
from pacx_training.checkpoints import load_strictly

_NAME = re.compile(r"^step-(\d+)\.([0-9a-f]{64})\.safetensors$")
_MODULE, _OPTIMISER = "module.", "optimiser."


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The state of a training after a number of steps.

    Attributes:
        step: Steps done.
        module: Its state dict.
        moments: State of the optimiser by ``<index of parameter>.<name>``.
        digest: SHA-256 of the file that it was read from; None where it was not.
    """

    step: int
    module: dict[str, Tensor]
    moments: dict[str, Tensor]
    digest: str | None = None

    @classmethod
    def of(cls, step: int, module: nn.Module, optimiser: Optimizer) -> Snapshot:
        """The state as it is now; tensors are shared, not copied."""
        moments = {
            f"{index}.{name}": value
            for index, state in optimiser.state_dict()["state"].items()
            for name, value in state.items()
        }
        return cls(step, dict(module.state_dict()), moments)

    def restore(self, module: nn.Module, optimiser: Optimizer) -> None:
        """Put the state back.

        Raises:
            CheckpointError: It belongs to another module, or to one of which other parts are
                trained.
        """
        load_strictly(module, self.module)
        content = optimiser.state_dict()
        content["state"] = {}
        for key, value in self.moments.items():
            index, _, name = key.partition(".")
            content["state"].setdefault(int(index), {})[name] = value
        trained = [value for group in optimiser.param_groups for value in group["params"]]
        shapes = {index: value.shape for index, value in enumerate(trained)}
        if {i: state["exp_avg"].shape for i, state in content["state"].items()} != shapes:
            raise CheckpointError("The snapshot belongs to a training of other parameters.")
        optimiser.load_state_dict(content)


def save_snapshot(folder: Path, snapshot: Snapshot, *, keep: int) -> None:
    """Write a snapshot, flushed to the disk before it gets its name, and drop old ones.

    Args:
        folder: ``RUN/checkpoints``.
        snapshot: What to write.
        keep: Number of snapshots that stay.
    """
    named = {_MODULE + key: value for key, value in snapshot.module.items()}
    named |= {_OPTIMISER + key: value for key, value in snapshot.moments.items()}
    tensors = {key: value.detach().cpu().contiguous() for key, value in named.items()}
    content = safetensors.torch.save(tensors)
    digest = hashlib.sha256(content).hexdigest()
    # Only one process writes here: what is half written was left by a kill.
    for draft in folder.glob(".step-*.partial"):
        draft.unlink()
    write_atomically(folder / f"step-{snapshot.step:08d}.{digest}.safetensors", content)
    for _, path in _newest_first(folder)[keep:]:
        path.unlink()


def load_snapshot(folder: Path) -> Snapshot | None:
    """The newest snapshot that is undamaged; None where there is none."""
    return next(load_snapshots(folder), None)


def load_snapshots(folder: Path) -> Iterator[Snapshot]:
    """Every undamaged snapshot that is kept, the newest first."""
    for step, path in _newest_first(folder):
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if digest in path.name:
            yield _parse(step, safetensors.torch.load(content), digest)


def _newest_first(folder: Path) -> list[tuple[int, Path]]:
    found = [(match, path) for path in folder.glob("step-*") if (match := _NAME.match(path.name))]
    return sorted(((int(match[1]), path) for match, path in found), reverse=True)


def _parse(step: int, tensors: dict[str, Tensor], digest: str) -> Snapshot:
    def under(prefix: str) -> dict[str, Tensor]:
        names = [name for name in tensors if name.startswith(prefix)]
        return {name.removeprefix(prefix): tensors[name] for name in names}

    return Snapshot(step, under(_MODULE), under(_OPTIMISER), digest)
