"""Files that are either the old ones or the new ones, never half of either, and ones that grow."""

from __future__ import annotations

import io
import os
import uuid
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside the target, flush to the disk, then rename over it.

    Args:
        path: The file to make or replace; its folder is made where missing.
        content: All of its bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Processes of several machines may share the disk, and their numbers.
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    with draft.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)
    _flush_folder(path.parent)


def save_array(path: Path, array: NDArray[np.generic]) -> None:
    """Write an array as ``.npy``, atomically."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    write_atomically(path, stream.getvalue())


def append_flushed(path: Path, content: bytes) -> None:
    """Lengthen a file and flush it to the disk."""
    with path.open("ab") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
