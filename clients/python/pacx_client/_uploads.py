"""Files on their way to a server: streamed, and without their names.

A file's name often holds the patient's, so every part is sent under one constant name.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias, TypeGuard

FILE_NAME = "radiograph"
MEDIA_TYPE = "application/octet-stream"

Uploadable: TypeAlias = str | os.PathLike[str] | bytes | BinaryIO
Part: TypeAlias = tuple[str, tuple[str, BinaryIO, str]]


class Upload(Protocol):
    """A file that can be sent as often as a retry needs it."""

    def size_bytes(self) -> int:
        """How much there is to send."""
        ...

    def open(self) -> AbstractContextManager[BinaryIO]:
        """A fresh stream from the first byte."""
        ...


@dataclass(frozen=True, slots=True)
class _PathUpload:
    path: Path

    def size_bytes(self) -> int:
        return self.path.stat().st_size

    def open(self) -> AbstractContextManager[BinaryIO]:
        return self.path.open("rb")


@dataclass(frozen=True, slots=True)
class _BytesUpload:
    content: bytes

    def size_bytes(self) -> int:
        return len(self.content)

    def open(self) -> AbstractContextManager[BinaryIO]:
        return io.BytesIO(self.content)


@dataclass(frozen=True, slots=True)
class _FileUpload:
    """The caller's own open file: sent from its first byte each time, and left open."""

    file: BinaryIO

    def size_bytes(self) -> int:
        return os.fstat(self.file.fileno()).st_size

    def open(self) -> AbstractContextManager[BinaryIO]:
        return nullcontext(self.file)


def upload(file: Uploadable) -> Upload:
    """Wrap what a caller may pass.

    A stream is sent from its first byte. One that is no plain file (a pipe, a member of an
    archive) is read into memory, because its length must be known and a retry sends it again.

    Raises:
        TypeError: It is no path, bytes or binary stream.
    """
    if isinstance(file, str | os.PathLike):
        return _PathUpload(Path(file))
    if isinstance(file, bytes):
        return _BytesUpload(file)
    if not _is_binary_stream(file):
        raise TypeError(f"a path, bytes or a binary stream is needed, not {type(file).__name__}")
    if not file.seekable():
        return _BytesUpload(file.read())
    file.seek(0)
    plain = isinstance(getattr(file, "raw", file), io.FileIO)
    return _FileUpload(file) if plain else _BytesUpload(file.read())


def uploads(files: Uploadable | Iterable[Uploadable]) -> tuple[Upload, ...]:
    """Wrap one file or many."""
    if isinstance(files, str | os.PathLike | bytes):
        return (upload(files),)
    if _is_binary_stream(files):
        return (upload(files),)
    return tuple(upload(file) for file in files)


def _is_binary_stream(file: object) -> TypeGuard[BinaryIO]:
    return hasattr(file, "read") and not isinstance(file, io.TextIOBase)


def batches(
    files: Iterable[Upload], *, most_files: int, most_bytes: int
) -> Iterator[tuple[Upload, ...]]:
    """Cut a list of files into requests that a server accepts, keeping their order.

    A file that is larger than ``most_bytes`` goes alone: it is the server's to refuse.
    """
    batch: list[Upload] = []
    total = 0
    for file in files:
        size = file.size_bytes()
        if batch and (len(batch) == most_files or total + size > most_bytes):
            yield tuple(batch)
            batch, total = [], 0
        batch.append(file)
        total += size
    if batch:
        yield tuple(batch)


def open_parts(files: Sequence[Upload]) -> tuple[ExitStack, list[Part]]:
    """Open files as the parts of a form; closing the stack closes those that we opened."""
    with ExitStack() as stack:
        parts: list[Part] = [
            ("file", (FILE_NAME, stack.enter_context(file.open()), MEDIA_TYPE)) for file in files
        ]
        return stack.pop_all(), parts
