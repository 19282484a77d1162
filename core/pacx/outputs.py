"""Files that a command is asked to write, checked before the work that fills them."""

from __future__ import annotations

import os
from pathlib import Path

from pacx.errors import MalformedRequest


def check_output(path: Path, *suffixes: str) -> None:
    """Refuse a file that could not be written, or not in a format that is known.

    Args:
        path: Of the file.
        suffixes: File endings that are accepted, in lower case.

    Raises:
        MalformedRequest: Says what is wrong with the path.
    """
    if path.suffix.lower() not in suffixes:
        raise MalformedRequest(f"The output is written as {' or '.join(suffixes)}.")
    if path.is_dir():
        raise MalformedRequest(f"{path}: there is a folder of that name.")
    if not path.parent.is_dir():
        raise MalformedRequest(f"{path.parent}: there is no such folder.")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise MalformedRequest(f"{path}: it cannot be written.")
