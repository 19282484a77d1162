"""Films of a cohort, prepared once and then mapped into memory as bytes.

::

    CACHE/films-<digest of the preprocessing>.pixels    uint8 [rows, size, size], appended
    CACHE/films-<digest of the preprocessing>.index     SHA-256 of a film's file, a line per row

A film is found by the content of its file, wherever the file lies and whoever asks for it. Rows
are flushed to the disk before their lines, so that an interrupted build goes on where it was.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pacx.errors import CohortError, InputError
from pacx.preprocessing import PreprocessingSpec, prepare
from pacx.reading import read
from pacx_training.cohorts.images import READING_THREADS

CHUNK = 512
"""Films between two flushes."""

_LAYOUT = "1"
_DIGEST_BYTES = 65


@dataclass(frozen=True, slots=True, eq=False)
class CachedFilms:
    """Prepared films, in the order of the paths that were asked for.

    Attributes:
        pixels: uint8 ``[rows, size, size]``, the whole cache, mapped into memory.
        rows: int64 ``[N]``, where each film lies.
    """

    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, films: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Copies of some films, uint8 ``[n, size, size]``."""
        found: NDArray[np.uint8] = self.pixels[self.rows[films]]
        return found


@dataclass(frozen=True, slots=True)
class FilmCache:
    """Reads and extends one cache folder; processes that share it wait for each other.

    Attributes:
        folder: Made where missing.
        spec: How films are prepared; each specification has files of its own.
    """

    folder: Path
    spec: PreprocessingSpec

    def films(self, paths: Sequence[Path]) -> CachedFilms:
        """The films of some files; those that are not in the cache yet are read and added.

        Raises:
            CohortError: A film cannot be read; says which by its position.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(READING_THREADS) as pool:
            digests = list(pool.map(_digest, paths))
        with self._locked():
            known = self._recover()
            missing = {d: i for i, d in enumerate(digests) if d not in known}
            for chunk in _chunks(list(missing.items())):
                self._append(chunk, paths)
            rows = {digest: row for row, digest in enumerate(self._lines())}
        pixels = np.memmap(self._pixels, np.uint8, "r").reshape(-1, self.spec.size, self.spec.size)
        return CachedFilms(pixels, np.array([rows[digest] for digest in digests], np.int64))

    @property
    def _stem(self) -> str:
        content = self.spec.model_dump_json(include={"size", "resize", "interpolation"})
        return f"films-{hashlib.sha256((_LAYOUT + content).encode()).hexdigest()[:12]}"

    @property
    def _pixels(self) -> Path:
        return self.folder / f"{self._stem}.pixels"

    @property
    def _index(self) -> Path:
        return self.folder / f"{self._stem}.index"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / f"{self._stem}.lock").open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def _lines(self) -> list[str]:
        return self._index.read_text("ascii").split() if self._index.is_file() else []

    def _recover(self) -> set[str]:
        """Cut off what an interrupted build left half done; answer what is there."""
        for path in (self._pixels, self._index):
            path.touch()
        row_bytes = self.spec.size**2
        lines = self._index.stat().st_size // _DIGEST_BYTES
        rows = min(lines, self._pixels.stat().st_size // row_bytes)
        os.truncate(self._index, rows * _DIGEST_BYTES)
        os.truncate(self._pixels, rows * row_bytes)
        return set(self._lines())

    def _append(self, chunk: list[tuple[str, int]], paths: Sequence[Path]) -> None:
        with ThreadPoolExecutor(READING_THREADS) as pool:
            read = partial(_film, paths=paths, spec=self.spec)
            films = list(pool.map(read, [index for _, index in chunk]))
        _extend(self._pixels, b"".join(film.tobytes() for film in films))
        _extend(self._index, "".join(f"{digest}\n" for digest, _ in chunk).encode("ascii"))


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _film(index: int, paths: Sequence[Path], spec: PreprocessingSpec) -> NDArray[np.uint8]:
    try:
        pixels = prepare(read(paths[index]), spec).pixels
    except (InputError, OSError) as error:
        raise CohortError(f"Film {index + 1} of {len(paths)} cannot be read.") from error
    return np.rint(pixels * 255).astype(np.uint8)


def _chunks(items: list[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]


def _extend(path: Path, content: bytes) -> None:
    with path.open("ab") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
