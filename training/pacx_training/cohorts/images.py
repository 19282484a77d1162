"""Films as arrays: read and prepared exactly as the server does it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pacx.errors import CohortError, InputError
from pacx.preprocessing import PreprocessingSpec, prepare
from pacx.radiograph import Radiograph
from pacx.reading import read

READING_THREADS = 4


def read_film(path: Path) -> Radiograph:
    """Read one film.

    Raises:
        CohortError: It cannot be read; names the file, and says why.
    """
    try:
        return read(path)
    except InputError as error:
        raise CohortError(f"The film {path} cannot be read: {error.detail}") from error
    except OSError as error:
        raise CohortError(f"The film {path} cannot be read: {error.strerror}.") from error


def prepared_film(path: Path, spec: PreprocessingSpec) -> NDArray[np.float32]:
    """One film on the model's grid, float32 ``[size, size]`` in [0, 1], not yet normalised.

    Raises:
        CohortError: It cannot be read; names the file, and says why.
    """
    return prepare(read_film(path), spec).pixels


def prepared(paths: Sequence[Path], spec: PreprocessingSpec) -> Iterator[NDArray[np.float32]]:
    """Films on the model's grid, in order.

    Yields:
        float32 ``[size, size]`` in [0, 1], not yet normalised.

    Raises:
        CohortError: One cannot be read; names the file, and says why.
    """
    with ThreadPoolExecutor(READING_THREADS) as pool:
        yield from pool.map(partial(prepared_film, spec=spec), paths)
