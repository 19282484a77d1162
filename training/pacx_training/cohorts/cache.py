"""Films of a cohort, prepared once and then mapped into memory as bytes.

::

    CACHE/films-<digest of the preprocessing>.pixels    uint8 [rows, size, size], appended
    CACHE/films-<digest of the preprocessing>.index     SHA-256 of a film's file, a line per row
    CACHE/films.digests                                 so that unchanged files are hashed once

A film is found by the content of its file, wherever the file lies and whoever asks for it. Rows
are flushed to the disk before their lines, so that an interrupted build goes on where it was.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pacx.preprocessing import PreprocessingSpec
from pacx_training.atomic import append_flushed
from pacx_training.cohorts.file_digests import FileDigests
from pacx_training.cohorts.images import READING_THREADS, prepared_film
from pacx_training.locks import locked
from pacx_training.progress import tracked

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
            CohortError: A film cannot be read; names its file.
        """
        digests = self.digests(paths)
        with locked(self.folder / f"{self._stem}.lock"):
            known = self._recover()
            found = zip(digests, paths, strict=True)
            self._append({digest: path for digest, path in found if digest not in known})
            rows = {digest: row for row, digest in enumerate(self._lines())}
        pixels = np.memmap(self._pixels, np.uint8, "r").reshape(-1, self.spec.size, self.spec.size)
        return CachedFilms(pixels, np.array([rows[digest] for digest in digests], np.int64))

    def digests(self, paths: Sequence[Path]) -> list[str]:
        """SHA-256 of what films hold, hexadecimal.

        Raises:
            CohortError: A film cannot be read; names its file.
        """
        return FileDigests(self.folder / "films.digests").of(paths)

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

    def _append(self, missing: Mapping[str, Path]) -> None:
        films = tracked(_films(missing, self.spec), "preparing films", len(missing))
        while chunk := list(islice(films, CHUNK)):
            append_flushed(self._pixels, b"".join(pixels.tobytes() for _, pixels in chunk))
            lines = "".join(f"{digest}\n" for digest, _ in chunk)
            append_flushed(self._index, lines.encode("ascii"))


def _films(
    missing: Mapping[str, Path], spec: PreprocessingSpec
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Films uint8 ``[size, size]`` by their digests; only a chunk of them is read ahead."""
    waiting = iter(missing.items())
    with ThreadPoolExecutor(READING_THREADS) as pool:
        while chunk := dict(islice(waiting, CHUNK)):
            yield from zip(chunk, pool.map(partial(_film, spec=spec), chunk.values()), strict=True)


def _film(path: Path, spec: PreprocessingSpec) -> NDArray[np.uint8]:
    return np.rint(prepared_film(path, spec) * 255).astype(np.uint8)
