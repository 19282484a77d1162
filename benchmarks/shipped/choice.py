"""Which encoder ships: the one that gained most of physiology and lost no finding."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.shipped.comparison import Line
from benchmarks.shipped.probes import FINDINGS

COMPARISON = "comparison.json"
"""In a candidate's run folder: its probes against those of the encoder before stage 2."""
LARGEST_LOSS = 0.005
"""Of AUROC that a finding may lose out of fold within NIH ``train``, and the five on average on
films held apart: there no label reached the physiology that stage 2 learnt from, but the films
are too few to judge each finding by itself."""
PHYSIOLOGY = "markers high or low, held apart, AUROC"
LINES: TypeAdapter[list[Line]] = TypeAdapter(list[Line])


def choose(before: Path, candidates: Sequence[Path], output: Path) -> Path:
    """Copy the run that ships.

    A candidate may ship if findings lose no more than ``LARGEST_LOSS`` and the gain on simulated
    markers of films held apart is above zero with its interval. Of those the one with the largest
    gain ships; where there is none, the encoder stays as it was.

    Args:
        before: Run that stage 2 started from.
        candidates: Runs with a ``comparison.json``.
        output: Run folder to write; must not exist.

    Returns:
        The run that was copied.
    """
    gains = {path: gain for path in candidates if (gain := gain_of(path)) is not None}
    chosen = max(gains, key=gains.__getitem__) if gains else before
    part = output.with_name(f"{output.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(chosen, part, ignore=shutil.ignore_patterns("checkpoints", "tensorboard"))
    part.rename(output)
    return chosen


def gain_of(candidate: Path) -> float | None:
    """How much a candidate gained of physiology; None where it may not ship."""
    lines = {
        line.measure: line for line in LINES.validate_json((candidate / COMPARISON).read_bytes())
    }
    losses, apart = (
        [-lines[f"{label}{where}, AUROC"].difference.value for label in FINDINGS]
        for where in ("", ", held apart")
    )
    lost = max(*losses, sum(apart) / len(apart))
    gain = lines[PHYSIOLOGY].difference
    return None if lost > LARGEST_LOSS or gain.low <= 0 else gain.value
