"""A file in the pieces that it came in: to join those of a long one takes as long as reading it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TypeAlias


class Pieces:
    """Bytes that follow one another, and are only ever looked at one by one."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        """Take them in their order."""
        self._pieces = tuple(pieces)
        self._length = sum(map(len, self._pieces))

    def __len__(self) -> int:
        """Of all of them, in bytes."""
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        """Give them one by one."""
        return iter(self._pieces)


File: TypeAlias = bytes | Pieces


def pieces_of(file: File) -> Pieces:
    """A file's pieces, of which there is one where it is whole."""
    return file if isinstance(file, Pieces) else Pieces((file,))


def sha256_of(file: File) -> str:
    """Hash of the whole file, in hexadecimal."""
    digest = hashlib.sha256()
    for piece in pieces_of(file):
        digest.update(piece)
    return digest.hexdigest()
