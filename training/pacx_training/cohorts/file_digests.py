"""SHA-256 of films, each read again only where its file changed.

::

    <path>    a line per file as it was once: SHA-256 of its stamp, a blank, SHA-256 of its content

A stamp is where a file lies, its size, and when its content and its entry last changed, to the
nanosecond: a file that is replaced under its own name has another one, even by a copy that keeps
the time of the original. No name is written down. Hashing a data set means reading all of it;
looking at its stamps does not.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pacx.errors import CohortError
from pacx_training.atomic import append_flushed
from pacx_training.cohorts.images import READING_THREADS
from pacx_training.locks import locked
from pacx_training.progress import tracked

CHUNK = 512
"""Files between two flushes."""

_LINE_BYTES = 2 * 64 + 2


@dataclass(frozen=True, slots=True)
class FileDigests:
    """What is known of files; processes that share it wait for each other.

    Attributes:
        path: The file that remembers; made where missing.
    """

    path: Path

    def of(self, files: Sequence[Path]) -> list[str]:
        """SHA-256 of the content of every file, hexadecimal.

        Raises:
            CohortError: A file cannot be read; names it.
        """
        with locked(self.path.with_suffix(".lock")), ThreadPoolExecutor(READING_THREADS) as pool:
            stamps = list(pool.map(_stamp, files))
            known = self._read()
            missing = {s: f for s, f in zip(stamps, files, strict=True) if s not in known}
            made = zip(missing, pool.map(_digest, missing.values()), strict=True)
            known |= self._remembered(tracked(made, "hashing films", len(missing)))
        return [known[stamp] for stamp in stamps]

    def _read(self) -> dict[str, str]:
        """What is remembered; half a line at the end, left by a kill, is cut off."""
        self.path.touch()
        os.truncate(self.path, self.path.stat().st_size // _LINE_BYTES * _LINE_BYTES)
        words = self.path.read_text("ascii").split()
        return dict(zip(words[::2], words[1::2], strict=True))

    def _remembered(self, found: Iterator[tuple[str, str]]) -> Mapping[str, str]:
        new: dict[str, str] = {}
        while chunk := list(islice(found, CHUNK)):
            lines = "".join(f"{stamp} {digest}\n" for stamp, digest in chunk)
            append_flushed(self.path, lines.encode("ascii"))
            new |= dict(chunk)
        return new


def _stamp(file: Path) -> str:
    try:
        found = file.stat()
    except OSError as error:
        raise CohortError(f"The film {file} cannot be read: {error.strerror}.") from error
    facts = (file.absolute(), found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return hashlib.sha256("\0".join(map(str, facts)).encode()).hexdigest()


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise CohortError(f"The film {file} cannot be read: {error.strerror}.") from error
