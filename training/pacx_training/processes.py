"""The processes of a training under ``torchrun``: all compute, the first of them writes.

What describes a run (recipe, inputs, environment, provenance) is the same in every process, and
the run folder is one that all of them see.
"""

from __future__ import annotations

import torch
from accelerate.state import PartialState


def is_main() -> bool:
    """Whether this process is the only one of its training, or the first of all."""
    return bool(_among().is_main_process)


def wait_for_everyone() -> None:
    """Go on when all processes of the training have come this far."""
    _among().wait_for_everyone()


def _among() -> PartialState:
    """This process among the others; joins them where that has not happened yet."""
    return PartialState(cpu=not torch.accelerator.is_available())
