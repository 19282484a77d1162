"""An untrusted zip or tar -> files below a new folder, within bounds and without tricks.

Only plain files and folders come out. Every bound is checked on what is declared before anything
is written, and again on what is really there.
"""

from __future__ import annotations

import stat
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from pydantic import BaseModel, ConfigDict

from pacx.errors import InsufficientStorage, MalformedArchive, PacxError, TooLarge, is_full
from pacx_server.evaluations.names import checked

RATIO = 100
"""Honest films shrink to a tenth at best, tables to a thirtieth."""
ALLOWANCE_BYTES = 64 * 2**20
CHUNK_BYTES = 2**20
_ENCRYPTED = 0x1  # APPNOTE.TXT, section 4.4.4, bit 0
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class ArchiveLimits(BaseModel):
    """What an archive may hold.

    Attributes:
        files: Number of entries, of whatever kind.
        file_bytes: Longest file.
        total_bytes: All files together.
    """

    model_config = ConfigDict(frozen=True)

    files: int
    file_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class _Entry:
    path: PurePosixPath
    size_bytes: int
    content: IO[bytes]


def unpack(archive: Path, folder: Path, limits: ArchiveLimits) -> list[str]:
    """Unpack a zip, a tar or a gzipped tar.

    Args:
        archive: What a caller sent.
        folder: To be made.
        limits: What it may hold.

    Returns:
        Names of all files, relative to ``folder``.

    Raises:
        MalformedArchive: It is none of these, damaged, or holds links, devices, the same name
            twice, or names that leave the folder.
        TooLarge: It holds too much, or far more than its own size makes believable.
        InsufficientStorage: The disk is full.
    """
    try:
        return _unpack(archive, folder, limits)
    except PacxError:
        raise
    except MemoryError as error:
        raise TooLarge("The archive's list of contents is too long.") from error
    except OSError as error:
        if is_full(error):
            raise InsufficientStorage("There is no room for what the archive holds.") from error
        raise MalformedArchive("The archive is damaged or names one place twice.") from error
    except Exception as error:  # zipfile and tarfile raise a dozen kinds for damaged files
        raise MalformedArchive("The archive is damaged.") from error


def _unpack(archive: Path, folder: Path, limits: ArchiveLimits) -> list[str]:
    bound = min(limits.total_bytes, ALLOWANCE_BYTES + RATIO * archive.stat().st_size)
    folder.mkdir()
    names: list[str] = []
    for entry in _entries(archive, limits, bound):
        bound -= _write(entry, folder, bound)
        names.append(str(entry.path))
    return names


def _entries(archive: Path, limits: ArchiveLimits, bound: int) -> Iterator[_Entry]:
    with archive.open("rb") as stream:
        start = stream.read(4)
    if start[:2] == b"PK":
        return _zip_entries(archive, limits, bound)
    return _tar_entries(archive, limits, bound, "r|gz" if start[:2] == b"\x1f\x8b" else "r|")


def _zip_entries(archive: Path, limits: ArchiveLimits, bound: int) -> Iterator[_Entry]:
    with zipfile.ZipFile(archive) as opened:
        infos = opened.infolist()
        _check_bounds(len(infos), sum(info.file_size for info in infos), limits, bound)
        paths = [_zip_path(info, limits) for info in infos]
        _check_unique(paths)
        for info, path in zip(infos, paths, strict=True):
            if not info.is_dir():
                with opened.open(info) as content:
                    yield _Entry(path, info.file_size, content)


def _zip_path(info: zipfile.ZipInfo, limits: ArchiveLimits) -> PurePosixPath:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise MalformedArchive("The archive holds something else than plain files.")
    if info.flag_bits & _ENCRYPTED or info.compress_type not in _METHODS:
        raise MalformedArchive("Files of a zip are stored or deflated, and not encrypted.")
    _check_file(info.file_size, limits)
    return checked(info.orig_filename)


def _tar_entries(archive: Path, limits: ArchiveLimits, bound: int, mode: str) -> Iterator[_Entry]:
    total, paths = 0, []
    with tarfile.open(archive, mode=mode) as opened:  # type: ignore[call-overload]
        for member in opened:
            opened.members = []  # tarfile keeps them all, streaming or not
            name = member.name.removeprefix("./")
            if name in ("", ".") and member.isdir():
                continue
            total += member.size
            paths.append(_tar_path(member, name, limits))
            _check_bounds(len(paths), total, limits, bound)
            content = opened.extractfile(member)
            if content is not None:
                yield _Entry(paths[-1], member.size, content)
    _check_unique(paths)


def _tar_path(member: tarfile.TarInfo, name: str, limits: ArchiveLimits) -> PurePosixPath:
    if member.issparse() or not (member.isreg() or member.isdir()):
        raise MalformedArchive("The archive holds something else than plain files.")
    _check_file(member.size, limits)
    return checked(name)


def _check_bounds(entries: int, total_bytes: int, limits: ArchiveLimits, bound: int) -> None:
    if entries > limits.files:
        raise TooLarge(f"The archive holds more than {limits.files} files.")
    if total_bytes > bound:
        raise TooLarge(f"The archive holds more than {bound} bytes, the limit for its size.")


def _check_file(size_bytes: int, limits: ArchiveLimits) -> None:
    if size_bytes > limits.file_bytes:
        raise TooLarge(f"A file may have at most {limits.file_bytes} bytes.")


def _check_unique(paths: list[PurePosixPath]) -> None:
    if len(set(paths)) != len(paths):
        raise MalformedArchive("The archive holds one name twice.")


def _write(entry: _Entry, folder: Path, bound: int) -> int:
    target, written = folder / entry.path, 0
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as stream:
        while chunk := entry.content.read(CHUNK_BYTES):
            written += len(chunk)
            if written > min(bound, entry.size_bytes):
                raise TooLarge("A file of the archive is longer than it declares.")
            stream.write(chunk)
    return written
