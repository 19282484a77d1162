"""An encoder between two others: stage 2 may be worth taking only part of the way."""

from __future__ import annotations

from pathlib import Path

from pacx_training.provenance import extended
from pacx_training.runs import RunDirectory


def write_scaled(before: Path, after: Path, share: float, output: Path) -> None:
    """Write the run whose weights lie between those of two runs (Wortsman et al., CVPR 2022).

    Args:
        before: Run before stage 2.
        after: Run of stage 2, made from it.
        share: Of the way: 0 gives ``before``, 1 gives ``after``.
        output: Run folder to write.
    """
    first, second, run = (RunDirectory(folder) for folder in (before, after, output))
    encoder, target = first.load_encoder(), second.load_encoder().state_dict()
    state = encoder.state_dict()
    encoder.load_state_dict(
        {name: start + share * (target[name] - start) for name, start in state.items()}
    )
    run.save_encoder(encoder)
    step = f"weights: {1 - share:.0%} before, {share:.0%} after stage 2"
    run.save_provenance(extended(second.load_provenance(), step, ()))
    run.save_environment()
