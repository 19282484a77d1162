"""Embeddings that were computed before, found by the content of the film."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from pacx.errors import EvaluationError, is_full
from pacx_evaluation.subjects.encoder import Embeddings, Encoder

CHUNK = 64
"""Films between two commits: what a killed evaluation loses at most."""
_SCHEMA = """CREATE TABLE IF NOT EXISTS embedding (
    subject TEXT NOT NULL, film TEXT NOT NULL, vector BLOB NOT NULL,
    PRIMARY KEY (subject, film)) WITHOUT ROWID"""


def default_cache() -> Path:
    """Where the embeddings of this user lie."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "pacx" / "embeddings.sqlite"


class EmbeddingCache:
    """One SQLite file; holds hashes and vectors, neither films nor names.

    Raises:
        EvaluationError: The file is something else, or cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connect()) as database, database:
                database.execute(_SCHEMA)
        except (OSError, sqlite3.DatabaseError) as error:
            if "is full" in str(error) or (isinstance(error, OSError) and is_full(error)):
                raise
            raise EvaluationError(
                f"--cache {path}: that is no cache of embeddings, or cannot be written to."
            ) from error

    def embed(
        self,
        encoder: Encoder,
        paths: Sequence[Path],
        digests: Sequence[str],
        progress: Callable[[int], object] = int,
    ) -> Embeddings:
        """Embeddings ``[N, D]`` of films, computing only those that are not known yet.

        Args:
            encoder: The subject.
            paths: The films.
            digests: sha256 of each film's bytes.
            progress: Told the number of films done since the last call.
        """
        key = encoder.identity.key
        with closing(self._connect()) as database:
            known = self._known(database, key, digests)
            progress(sum(digest in known for digest in digests))
            missing = [n for n, digest in enumerate(digests) if digest not in known]
            for start in range(0, len(missing), CHUNK):
                rows = missing[start : start + CHUNK]
                vectors = encoder.embed([paths[row] for row in rows])
                fresh = {digests[row]: vector for row, vector in zip(rows, vectors, strict=True)}
                with database:
                    database.executemany(
                        "INSERT OR REPLACE INTO embedding VALUES (?, ?, ?)",
                        [(key, film, v.tobytes()) for film, v in fresh.items()],
                    )
                known |= fresh
                progress(len(rows))
        return np.stack([known[digest] for digest in digests])

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=60)

    @staticmethod
    def _known(
        database: sqlite3.Connection, key: str, digests: Sequence[str]
    ) -> dict[str, Embeddings]:
        wanted = set(digests)
        rows = database.execute("SELECT film, vector FROM embedding WHERE subject = ?", (key,))
        return {film: np.frombuffer(v, np.float32) for film, v in rows if film in wanted}
