"""Weights between two encoders, on the line from before a stage to after (Wortsman et al. 2022)."""

from __future__ import annotations

from pathlib import Path

import torch

from pacx_training.encoder import VisionTransformer
from pacx_training.provenance import extended
from pacx_training.runs import RunDirectory


def write_interpolated(before: Path, after: Path, share: float, output: Path) -> None:
    """Write a run whose encoder went only a share of the way; the story is that of ``after``.

    Args:
        before: Run that the stage started from.
        after: Run of the stage.
        share: 0 is before, 1 after.
        output: Run folder to write.
    """
    start, end = (RunDirectory(path) for path in (before, after))
    encoder = end.load_encoder()
    _move(encoder, start.load_encoder(), share)
    run = RunDirectory(output)
    run.save_encoder(encoder)
    run.save_environment()
    step = f"python -m benchmarks.shipped interpolate --share {share:g}"
    run.save_provenance(extended(end.load_provenance(), step, ()))


@torch.no_grad()
def _move(encoder: VisionTransformer, start: VisionTransformer, share: float) -> None:
    origin = start.state_dict()
    for name, tensor in encoder.state_dict().items():
        tensor.copy_(torch.lerp(origin[name], tensor, share))
