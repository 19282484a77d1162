"""Manifests of phantoms to train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from pacx_training.cohorts.phantom import phantom_radiograph


def write_phantoms(folder: Path, count: int, *, held_out: int = 0, of_a_patient: int = 1) -> Path:
    """Write phantoms, the first of which belong to the split ``val``, and their manifest."""
    rows = ["path,patient,split,weight"]
    for seed in range(count):
        pixels = phantom_radiograph(seed, size=80).pixels
        Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(folder / f"{seed}.png")
        split = "val" if seed < held_out else "train"
        rows.append(f"{seed}.png,{seed // of_a_patient},{split},1")
    manifest = folder / "phantoms.csv"
    manifest.write_text("\n".join(rows))
    return manifest
