"""The films of a simulated cohort as pictures with a manifest, as stage 1 and heads read them.

::

    films/<hadm_id>.png   8 bits
    films.csv             path, patient, split, and every latent score as a label
    films.json            that they are simulated
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from pacx_training.cohorts.paired import SIMULATED
from pacx_training.cohorts.simulated.physiology import STATES
from pacx_training.cohorts.simulated.writer import Admission
from pacx_training.cohorts.symile_mimic import Split


class PictureWriter:
    """Writes pictures one by one, and their manifest at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: list[tuple[object, ...]] = []
        (folder / "films").mkdir(parents=True, exist_ok=True)

    def add(self, admission: Admission, split: Split) -> None:
        """Write one film."""
        path = f"films/{admission.number}.png"
        pixels = np.round(admission.pixels * 255).astype(np.uint8)
        Image.fromarray(pixels).save(self._folder / path)
        scores = [admission.truth[state] for state in STATES]
        self._rows.append((path, admission.patient, split, *scores))

    def finish(self) -> None:
        """Write the manifest and its terms."""
        with (self._folder / "films.csv").open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([("path", "patient", "split", *STATES), *self._rows])
        terms = SIMULATED.model_dump_json(indent=2)
        (self._folder / "films.json").write_text(terms + "\n", encoding="utf-8")
