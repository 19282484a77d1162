"""The processes of a training under ``torchrun``: all compute, the first of them writes.

What describes a run (recipe, inputs, environment, provenance) is the same in every process, and
the run folder is one that all of them see. Where it is not, a training that was begun is refused.
"""

from __future__ import annotations

import torch
from accelerate.state import PartialState
from accelerate.utils import gather_object

from pacx.errors import CheckpointError


def is_main() -> bool:
    """Whether this process is the only one of its training, or the first of all."""
    return bool(_among().is_main_process)


def wait_for_everyone() -> None:
    """Go on when all processes of the training have come this far."""
    _among().wait_for_everyone()


def refuse_different_starts(start: str) -> None:
    """Tell the other processes where this one would go on from; all go on from there, or none.

    Args:
        start: Step and digest of its snapshot, or that it has none.

    Raises:
        CheckpointError: In every process, where they differ.
    """
    starts: list[str] = gather_object([start])
    if len(set(starts)) > 1:
        named = (f"process {starts.index(other)} from {other}" for other in dict.fromkeys(starts))
        raise CheckpointError(
            f"The processes would go on from different snapshots: {', '.join(named)}. "
            "All of them must see one run folder: name one on a disk that they share."
        )


def _among() -> PartialState:
    """This process among the others; joins them where that has not happened yet."""
    return PartialState(cpu=not torch.accelerator.is_available())
