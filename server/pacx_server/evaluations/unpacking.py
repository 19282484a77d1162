"""A process that unpacks one archive, so that what an archive does to it is done to it alone.

``python -m pacx_server.evaluations.unpacking`` reads a :class:`Task` from standard input and writes
an :class:`Unpacked` to standard output.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pacx.errors import (
    InsufficientStorage,
    MalformedArchive,
    MalformedRequest,
    PacxError,
    TooLarge,
)
from pacx_server.evaluations.archive import ArchiveLimits, unpack
from pacx_server.evaluations.environment import bare_environment
from pacx_server.evaluations.names import choose_manifest
from pacx_server.seclusion import forbid_sockets

MEMORY_BYTES = 2 * 2**30
CPU_S = 900
OPEN_FILES = 64
_KINDS = {
    kind.code: kind for kind in (MalformedArchive, MalformedRequest, TooLarge, InsufficientStorage)
}


class Task(BaseModel):
    """What to unpack, where to, and what its table is called."""

    model_config = ConfigDict(frozen=True)

    archive: Path
    folder: Path
    limits: ArchiveLimits
    manifest: str | None = None


class Unpacked(BaseModel):
    """The table's name below the folder, or the code of an error and its words."""

    manifest: str | None = None
    code: str = MalformedArchive.code
    detail: str = "The archive is damaged."


async def unpack_apart(task: Task) -> str:
    """Unpack in a process of its own; it ends where the caller is cancelled.

    Returns:
        The manifest's name below the folder.

    Raises:
        MalformedArchive: See :func:`pacx_server.evaluations.archive.unpack`.
        MalformedRequest: No telling which file is the manifest.
        TooLarge: It holds too much, or the process came to its own limits.
        InsufficientStorage: The disk is full.
    """
    process = await asyncio.create_subprocess_exec(
        # Its caller waits, so that it does not take only what nobody else wants.
        *(sys.executable, "-m", "pacx_server.evaluations.launch", str(os.getpid()), "low"),
        *(sys.executable, "-m", __name__),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=bare_environment(),
    )
    try:
        answer, _ = await process.communicate(task.model_dump_json().encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise TooLarge("The archive cannot be unpacked within the limits on memory and time.")
    unpacked = Unpacked.model_validate_json(answer)
    if unpacked.manifest is None:
        raise _KINDS.get(unpacked.code, MalformedArchive)(unpacked.detail)
    return unpacked.manifest


def main() -> None:
    """Unpack what standard input says."""
    task = Task.model_validate_json(sys.stdin.buffer.read())
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    forbid_sockets()
    sys.stdout.write(_answer(task).model_dump_json())


def _answer(task: Task) -> Unpacked:
    try:
        names = unpack(task.archive, task.folder, task.limits)
        return Unpacked(manifest=choose_manifest(names, task.manifest))
    except PacxError as error:
        return Unpacked(code=error.code, detail=error.detail)


if __name__ == "__main__":
    main()
