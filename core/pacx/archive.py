"""A bundle as one file: a tar whose bytes depend on the bundle alone, and a wary way back."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pacx.bundle import MANIFEST, Bundle, open_bundle, staging
from pacx.errors import BundleError
from pacx.manifest import FileName
from pacx.signature import SIGNATURE

LARGEST_BYTES = 4 * 2**30
"""Of all files of an archive together."""
MOST_FILES = 1000

_NAME: TypeAdapter[str] = TypeAdapter(FileName)


def pack(bundle: Bundle, archive: Path) -> None:
    """Write a bundle as an uncompressed tar (POSIX ustar); equal bundles give equal bytes.

    Args:
        bundle: Opened, hence checked.
        archive: To be made or replaced, in one rename.

    Raises:
        BundleError: Its folder is not there.
    """
    names = sorted([MANIFEST, *bundle.manifest.files])
    if (bundle.directory / SIGNATURE).is_file():
        names.append(SIGNATURE)
    if not archive.parent.is_dir():
        raise BundleError(f"There is no folder {archive.parent} to put the archive into.")
    with tempfile.NamedTemporaryFile(dir=archive.parent, delete=False) as draft:
        try:
            with tarfile.open(fileobj=draft, mode="w", format=tarfile.USTAR_FORMAT) as tar:
                for name in names:
                    _add(tar, bundle.directory / name, name)
            draft.flush()
            os.fchmod(draft.fileno(), 0o644)  # temporary files are their owner's alone
            os.fsync(draft.fileno())
            Path(draft.name).replace(archive)
        except BaseException:
            Path(draft.name).unlink(missing_ok=True)
            raise


def unpack(archive: Path, directory: Path) -> Bundle:
    """Unpack an archive and open the bundle; nothing is left behind if it is not one.

    Raises:
        BundleError: Not a tar, or it holds links, devices, names that leave the folder, the same
            name twice or too much; or what it holds is no valid bundle.
        OSError: The archive cannot be read, or the folder cannot be written.
    """
    with staging(directory) as folder:
        try:
            with tarfile.open(archive, mode="r:") as tar:
                for member, name in _members(tar):
                    _extract(tar, member, folder / name)
        except (tarfile.TarError, EOFError) as error:
            raise BundleError("The archive is not a readable tar.") from error
        open_bundle(folder)
    return open_bundle(directory)


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = path.stat().st_size, 0o644
    with path.open("rb") as stream:
        tar.addfile(entry, stream)


def _members(tar: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, str]]:
    seen: set[str] = set()
    left = LARGEST_BYTES
    for member in tar:
        name = _checked_name(member)
        if name in seen:
            raise BundleError("The archive holds one name twice.")
        seen.add(name)
        left -= member.size
        if left < 0 or len(seen) > MOST_FILES:
            raise BundleError("The archive holds more than a bundle may.")
        yield member, name


def _checked_name(member: tarfile.TarInfo) -> str:
    if not member.isreg() or member.issparse():
        raise BundleError("The archive holds something else than plain files.")
    try:
        return _NAME.validate_python(member.name)
    except ValidationError as error:
        raise BundleError("The archive holds a name that no file of a bundle may have.") from error


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    stream = tar.extractfile(member)
    if stream is None:
        raise BundleError("The archive holds something else than plain files.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        target = path.open("xb")
    except (FileExistsError, NotADirectoryError) as error:
        raise BundleError("The archive holds a file where a folder must be.") from error
    with target:
        shutil.copyfileobj(stream, target)
