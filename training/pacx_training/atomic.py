"""Files that are either the old ones or the new ones, never half of either, and ones that grow."""

from __future__ import annotations

import io
import os
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside the target, flush to the disk, then rename over it.

    Args:
        path: The file to make or replace; its folder is made where missing.
        content: All of its bytes.

    Raises:
        OSError: It cannot be written; names it, and leaves what was there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Processes of several machines may share the disk, and their numbers.
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with draft.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        # On a full disk half a file would keep it full.
        draft.unlink(missing_ok=True)
    _flush_folder(path.parent)


def save_array(path: Path, array: NDArray[np.generic]) -> None:
    """Write an array as ``.npy``, atomically."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    write_atomically(path, stream.getvalue())


def open_mapped(path: Path, dtype: str, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[Any]]:
    """Make an ``.npy`` file that is mapped into memory, its room on the disk taken already.

    Where a disk is full, a page of a file with holes ends the process that writes to it.

    Raises:
        OSError: There is no room; names the file.
    """
    array = np.lib.format.open_memmap(path, "w+", dtype, shape)
    if hasattr(os, "posix_fallocate"):
        try:
            with path.open("r+b") as stream:
                os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)
        except OSError as error:
            path.unlink()
            raise OSError(error.errno, error.strerror, str(path)) from error
    return array


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
