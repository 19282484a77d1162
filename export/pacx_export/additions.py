"""Adding files to a bundle that exists: to a copy of it, or to itself in one go."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pacx.bundle import Bundle, bundled, copied
from pacx.errors import BundleError
from pacx.signature import SIGNATURE


@contextmanager
def adding(bundle: Bundle, directory: Path | None) -> Iterator[Path]:
    """Offer a copy of a bundle to add to; it becomes ``directory``, or the bundle itself.

    Whatever raises inside leaves everything as it was.

    Args:
        bundle: Stays as it is where ``directory`` is given.
        directory: To be made; None replaces the bundle.

    Yields:
        The folder to add to.

    Raises:
        BundleError: ``directory`` exists, or the bundle itself may not be changed, because it
            comes with the package or is signed.
    """
    if directory is None:
        _check_may_change(bundle)
    target = directory or bundle.directory.with_name(f".{bundle.directory.name}-new")
    with copied(bundle, target) as folder:
        yield folder
    if directory is None:
        _replace(bundle.directory, target)


def _check_may_change(bundle: Bundle) -> None:
    if bundle.directory.parent.resolve() == bundled().parent.resolve():
        raise BundleError("This bundle comes with the package; name a directory for the copy.")
    if (bundle.directory / SIGNATURE).exists():
        raise BundleError(
            "This bundle is signed, and what is added breaks the signature; name a directory for "
            "the copy, and sign that."
        )


def _replace(directory: Path, successor: Path) -> None:
    """Two renames, with the way back if the second fails."""
    former = directory.with_name(f".{directory.name}-old")
    directory.rename(former)
    try:
        successor.rename(directory)
    except OSError:
        former.rename(directory)
        raise
    shutil.rmtree(former)
