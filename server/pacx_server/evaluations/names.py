"""Names of files inside an archive: what may become a path below a folder, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from pacx.errors import MalformedArchive, MalformedRequest

LONGEST_NAME_BYTES = 1000
LONGEST_PART_BYTES = 255
TABLES = (".csv", ".parquet")


def checked(name: str) -> PurePosixPath:
    """A name as a relative path.

    Raises:
        MalformedArchive: It is absolute, leaves the folder, or no file could be called so.
    """
    parts = name.rstrip("/").split("/")
    if not name.isprintable() or "\\" in name or any(part in ("", ".", "..") for part in parts):
        raise MalformedArchive("The archive holds a name that is not a path below its folder.")
    lengths = [len(part.encode(errors="surrogateescape")) for part in parts]
    if max(lengths) > LONGEST_PART_BYTES or sum(lengths) > LONGEST_NAME_BYTES:
        raise MalformedArchive("The archive holds a name that is too long.")
    return PurePosixPath(*parts)


def choose_manifest(names: Sequence[str], wanted: str | None) -> str:
    """The table that says which films there are and what is known about them.

    Args:
        names: Of all files of an archive.
        wanted: What the caller calls it; None finds the only table, or the only ``manifest.*``.

    Raises:
        MalformedRequest: There is none, or several and no telling which.
    """
    if wanted is not None:
        if wanted not in names:
            raise MalformedRequest("The archive holds no file of the name that manifest gives.")
        return wanted
    tables = [name for name in names if _is_table(PurePosixPath(name))]
    found = [name for name in tables if PurePosixPath(name).stem == "manifest"] or tables
    if len(found) != 1:
        raise MalformedRequest(
            "The archive needs one manifest.csv or manifest.parquet; manifest=NAME says which "
            "file it is where it is called otherwise."
        )
    return found[0]


def _is_table(path: PurePosixPath) -> bool:
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return path.suffix in TABLES and not hidden
