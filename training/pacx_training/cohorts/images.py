"""Films as arrays: read and prepared exactly as the server does it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pacx.preprocessing import PreprocessingSpec, prepare
from pacx.radiograph import Radiograph
from pacx.reading import read

READING_THREADS = 4


def read_film(path: Path) -> Radiograph:
    """Read one film."""
    return read(path)


def prepared(paths: Sequence[Path], spec: PreprocessingSpec) -> Iterator[NDArray[np.float32]]:
    """Films on the model's grid, in order.

    Yields:
        float32 ``[size, size]`` in [0, 1], not yet normalised.
    """
    with ThreadPoolExecutor(READING_THREADS) as pool:
        yield from pool.map(partial(_prepare, spec=spec), paths)


def _prepare(path: Path, spec: PreprocessingSpec) -> NDArray[np.float32]:
    return prepare(read(path), spec).pixels
