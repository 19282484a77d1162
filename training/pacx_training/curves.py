"""The curves of a training: ``metrics.csv`` and TensorBoard beside it."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from pacx_training.atomic import write_atomically


@dataclass(frozen=True, slots=True)
class Curve:
    """One column of ``metrics.csv``.

    Attributes:
        steps: Steps done when each value was taken.
        values: As long as ``steps``.
    """

    steps: tuple[int, ...]
    values: tuple[float, ...]


def read_curve(path: Path, name: str) -> Curve:
    """Read one metric of a training from its ``metrics.csv``; empty where it was never logged."""
    with path.open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["metric"] == name]
    return Curve(
        tuple(int(row["step"]) for row in rows), tuple(float(row["value"]) for row in rows)
    )


class CurveWriter:
    """Appends to the curves of a run; a resumed run first forgets what came after its snapshot.

    ``metrics.csv`` has the columns ``step``, ``metric`` and ``value``; values are written with
    all their digits.
    """

    def __init__(self, metrics: Path, board: Path, *, resumed_step: int) -> None:
        """Open both.

        Args:
            metrics: The CSV file.
            board: TensorBoard's folder.
            resumed_step: Steps that are done already; 0 starts anew.
        """
        kept = _rows_until(metrics, resumed_step) if resumed_step else []
        lines = "".join(f"{','.join(row)}\n" for row in [["step", "metric", "value"], *kept])
        write_atomically(metrics, lines.encode())
        self._stream = metrics.open("a", newline="")
        self._board = SummaryWriter(board, purge_step=resumed_step + 1)

    def __enter__(self) -> CurveWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close both files."""
        self._stream.close()
        self._board.close()

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Add one point to every curve that is named."""
        for name, value in values.items():
            self._stream.write(f"{step},{name},{value!r}\n")
            self._board.add_scalar(name, value, step)
        self._stream.flush()

    def picture(self, step: int, name: str, picture: Tensor) -> None:
        """Show a grey picture ``[H, W]`` in [0, 1]."""
        self._board.add_image(name, picture, step, dataformats="HW")
        self._board.flush()


def _rows_until(path: Path, step: int) -> list[list[str]]:
    if not path.is_file():
        return []
    with path.open(newline="") as stream:
        # A kill may have left half a line at the end.
        rows = [row for row in csv.reader(stream) if len(row) == 3 and row[0].isdigit()]
    return [row for row in rows if int(row[0]) <= step]
