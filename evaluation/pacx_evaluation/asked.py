"""Whether the options of ``pacx evaluate`` fit together, told before any film is read."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pacx.errors import EvaluationError

PROTOCOL_NAMES = (
    "linear", "few-label", "finetune", "segmentation", "calibration", "subgroups", "alignment",
    "robustness", "export-parity", "explanations", "speed",
)  # fmt: skip
"""Those of ``pacx_evaluation.protocols``, without importing what they need."""
TABLES = (".csv", ".parquet")
"""How the file of a manifest ends; every other benchmark has a name."""
ON_MIMIC_FILMS = ("medmod", "cxl-seg")
"""Benchmarks whose films may lie elsewhere."""
_MEANT_FOR: Mapping[str, tuple[str, ...]] = {
    "--outlines": ("explanations", "segmentation"),
    "--overlays": ("explanations",),
    "--epochs": ("finetune",),
    "--learning-rate": ("finetune",),
    "--seeds": ("finetune",),
    "--decoder-steps": ("segmentation",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What stood on the command line.

    Attributes:
        benchmark: A name, or a manifest's path.
        protocols: Names.
        data: ``--data``.
        output: The report's folder, which need not be there yet.
        options: All other options that were given, such as ``--outlines``.
    """

    benchmark: str
    protocols: Sequence[str]
    data: Path | None
    output: Path
    options: Collection[str]

    def check(self) -> None:
        """Refuse what would be ignored or fail late.

        Raises:
            EvaluationError: Names the option and what would be accepted.
        """
        for wrong in (
            *self._protocols(),
            *self._benchmark(),
            *self._ignored(),
            *self._output(),
        ):
            raise EvaluationError(wrong)

    def _protocols(self) -> Iterator[str]:
        for name in self.protocols:
            if name not in PROTOCOL_NAMES:
                known = ", ".join(PROTOCOL_NAMES)
                yield f"--protocol {name}: there is no such protocol; there are {known}."

    def _benchmark(self) -> Iterator[str]:
        manifest, options = Path(self.benchmark).suffix in TABLES, self.options
        if "--outlines" in options and self.data is None:
            yield "--outlines: its films are read from a folder; name it with --data FOLDER."
        if manifest and self.data is not None and "--outlines" not in options:
            yield (
                "--data: a manifest names its films itself, relative to its own folder; --data is "
                "for named benchmarks, and for the films of --outlines."
            )
        if "--images" in options and self.benchmark not in ON_MIMIC_FILMS:
            yield f"--images: only for --benchmark {' or '.join(ON_MIMIC_FILMS)}."
        if "--teachers" in options and self.benchmark != "symile":
            yield "--teachers: only for --benchmark symile."
        for option in ("--label", "--within"):
            if option in options and not manifest:
                yield f"{option}: only for a manifest (--benchmark FILE.csv or FILE.parquet)."

    def _ignored(self) -> Iterator[str]:
        for option, protocols in _MEANT_FOR.items():
            if option in self.options and not set(protocols) & set(self.protocols):
                yield f"{option}: only for --protocol {' or '.join(protocols)}."

    def _output(self) -> Iterator[str]:
        there = next(
            place for place in (self.output, *self.output.absolute().parents) if _is(place)
        )
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            yield f"--output {self.output}: no folder can be made or written to there."


def _is(place: Path) -> bool:
    try:
        return place.exists()
    except OSError:  # it has a name that cannot be
        return False
