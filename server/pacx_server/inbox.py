"""A file's way into a decoding process: memory that both see, written once and copied by nobody."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from multiprocessing import reduction
from threading import Lock
from typing import Protocol

from pacx_server.pieces import File, pieces_of


class Parcel(Protocol):
    """A file descriptor on its way to a process that is being started."""

    def detach(self) -> int:
        """The descriptor as the new process has it."""
        ...


class Inbox:
    """Anonymous memory for one file at a time; the process at the other end maps it to read.

    The memory is as long as the file, so that nothing of a longer one before it stays behind.
    What the other process may write into it is never looked at.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = os.memfd_create("pacx-inbox") if descriptor is None else descriptor
        # Whoever gives up waiting may close it while a thread still writes.
        self._lock = Lock()

    def __reduce__(self) -> tuple[Callable[[Parcel], Inbox], tuple[Parcel]]:
        """Travel to a process that is being started, with a descriptor of its own."""
        return _arrived, (reduction.DupFd(self._descriptor),)

    def resize(self, size_bytes: int) -> None:
        """Make the memory as long as the file that will be put there, so that it can be mapped.

        Raises:
            OSError: The memory was closed.
        """
        with self._lock:
            os.ftruncate(self._descriptor, size_bytes)

    def put(self, file: File) -> None:
        """Write a file over what was there.

        Raises:
            OSError: The memory was closed.
        """
        at = 0
        with self._lock:
            os.ftruncate(self._descriptor, len(file))
            for piece in pieces_of(file):
                rest = memoryview(piece)
                while rest:
                    written = os.pwrite(self._descriptor, rest, at)
                    at, rest = at + written, rest[written:]

    def look(self, size_bytes: int) -> bytes | mmap.mmap:
        """Map the file of that size, also before it is there; an empty one is ``b""``."""
        if not size_bytes:
            return b""
        return mmap.mmap(
            self._descriptor, size_bytes, mmap.MAP_SHARED | mmap.MAP_POPULATE, mmap.PROT_READ
        )

    def close(self) -> None:
        """Let go of the memory; once is enough, more do no harm."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._descriptor = -1


def _arrived(parcel: Parcel) -> Inbox:
    return Inbox(parcel.detach())
